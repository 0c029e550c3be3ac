// @ts-check
/** Fetches a map's document: the live one again and again by its entity tag, past ones by their address. */

/** @typedef {import("./draw.js").View} View */

const KEPT = 8; // past minutes kept ahead and behind

export class Feed {
  /** @param {HTMLElement} element with data-src, data-problem and aria-busy @param {(view: View, since: number) => void} show */
  constructor(element, show) {
    this.element = element;
    this.show = show;
    this.held = false; // while the past is looked at
    this.fresh = false; // whether anything was shown yet
    /** @type {string | null} */ this.etag = null;
    this.running = false;
    this.again = false;
    /** @type {Map<string, Promise<View>>} */ this.frames = new Map();
  }

  get address() { return this.element.dataset.src ?? ""; }

  /** Ask for another view from now on. @param {string} address */
  turn(address) {
    this.element.dataset.src = address;
    this.etag = null;
    this.frames.clear();
  }

  /** Look whether there is something newer. @param {{asked?: boolean}} [options] asked = a person wants it */
  async update({ asked = false } = {}) {
    if (this.held || document.hidden || (this.fresh && !asked && "frozen" in document.body.dataset)) return;
    if (this.running) { this.again = true; return; }
    this.running = true;
    const address = this.address, since = performance.now();
    try {
      const answer = await fetch(address, { headers: this.etag ? { "If-None-Match": this.etag } : {} });
      if (answer.status !== 304) {
        if (answer.status === 400) throw new Error((await answer.json()).detail); // an expression half typed
        if (!answer.ok) throw new Error(`the map could not be read (${answer.status})`);
        const view = await answer.json();
        if (this.held || address !== this.address) this.again = !this.held;
        else {
          this.etag = answer.headers.get("ETag");
          this.show(view, since);
          this.fresh = true;
        }
      }
      this.element.removeAttribute("data-problem");
    } catch (problem) {
      this.element.dataset.problem = problem instanceof Error ? problem.message : "the map could not be read";
    }
    this.element.removeAttribute("aria-busy");
    this.running = false;
    if (this.again) { this.again = false; this.update({ asked }); }
  }

  /** The same view at a past moment; rejects when it cannot be read. @param {string} at an ISO time */
  frame(at) {
    const known = this.frames.get(at);
    if (known) return known;
    const address = new URL(this.address, location.href);
    address.searchParams.set("at", at);
    const asked = fetch(address).then((answer) => {
      if (!answer.ok) throw new Error(String(answer.status));
      return answer.json();
    });
    asked.catch(() => this.frames.delete(at));
    this.frames.set(at, asked);
    const oldest = this.frames.keys().next().value;
    if (this.frames.size > KEPT && oldest !== undefined) this.frames.delete(oldest);
    return asked;
  }
}
