// @ts-check
/** The map over the stored minutes: a slider, play at one minute a second, and the way back to now. Nodes keep their places. */
import { now } from "../age.js";
import { fragments, refresh } from "../refresh.js";
import { moment } from "../time-picker.js";

const MINUTE = 60_000, FRAME = 1000, SETTLE = 400; // ms
const MOST = 60 * 24 * 31; // minutes on the slider

/** @typedef {import("./draw.js").View} View */
/** A minute as the query has it. @param {number} ms */
const stamp = (ms) => new Date(ms).toISOString().replace(".000Z", "Z");

export class Replay {
  /** @param {HTMLElement} bar with a range input, an output and buttons [data-replay] @param {import("./feed.js").Feed} feed
   * @param {{show: (view: View) => void, hold: (on: boolean) => void, missing: (on: boolean) => void}} map */
  constructor(bar, feed, map) {
    this.bar = bar;
    this.feed = feed;
    this.map = map;
    this.slider = /** @type {HTMLInputElement} */ (bar.querySelector("input[type='range']"));
    this.clock = /** @type {HTMLOutputElement} */ (bar.querySelector("output"));
    this.told = /** @type {HTMLElement} */ (bar.querySelector("[data-replay-told]"));
    this.playButton = /** @type {HTMLButtonElement} */ (bar.querySelector("[data-replay='play']"));
    this.first = 0;
    this.turn = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */ this.timer = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */ this.settling = undefined;
    this.slider.addEventListener("input", () => { this.pause(); this.#go(Number(this.slider.value)); });
    bar.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { event.stopPropagation(); this.close(); }
      if (event.key === " " && event.target === this.slider) { event.preventDefault(); this.playing ? this.pause() : this.play(); }
    });
    for (const button of bar.querySelectorAll("[data-replay]")) {
      button.addEventListener("click", () => this.#does(/** @type {HTMLElement} */ (button).dataset.replay ?? ""));
    }
  }

  get open() { return !this.bar.hidden; }
  get playing() { return this.timer !== undefined; }

  /** Open the slider over the page's range; at the moment of the address, or at its end. */
  start() {
    if (this.open) return this.slider.focus();
    const query = new URLSearchParams(location.search), at = query.get("at");
    const end = Math.floor((at && !query.get("to") ? Math.min(now(), Date.parse(at) + 30 * MINUTE) : moment(query.get("to") ?? "now") * 1000) / MINUTE) * MINUTE;
    const length = (moment(query.get("to") ?? "now") - moment(query.get("from") ?? "now-1h")) / 60;
    const minutes = Math.min(Math.max(Math.round(length) || 60, 1), MOST);
    this.first = end - minutes * MINUTE;
    this.slider.max = String(minutes);
    const value = at ? Math.round((Date.parse(at) - this.first) / MINUTE) : minutes;
    this.bar.hidden = false;
    this.map.hold(true);
    this.#go(Math.min(Math.max(value, 0), minutes));
    this.slider.focus();
  }

  /** Back to the present. */
  close() {
    if (!this.open) return;
    this.pause();
    clearTimeout(this.settling);
    this.turn += 1;
    this.bar.hidden = true;
    const address = new URL(location.href);
    address.searchParams.delete("at");
    if ("frozen" in document.body.dataset) return location.assign(address);
    history.replaceState(history.state, "", address);
    this.#follow();
    this.map.missing(false);
    this.map.hold(false);
  }

  play() {
    if (this.slider.value === this.slider.max) this.#go(0);
    const tick = () => {
      const next = Number(this.slider.value) + 1;
      if (next > Number(this.slider.max)) return this.pause();
      this.timer = setTimeout(tick, FRAME);
      if (!this.waiting) this.#go(next); // a slow answer is waited for, not overtaken
    };
    this.timer = setTimeout(tick, FRAME);
    this.#paint();
  }

  pause() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.#paint();
  }

  /** @param {string} what */
  #does(what) {
    if (what === "play") this.playing ? this.pause() : this.play();
    if (what === "back" || what === "on") { this.pause(); this.#go(Number(this.slider.value) + (what === "on" ? 1 : -1)); }
    if (what === "live") this.close();
  }

  #paint() {
    const label = this.playing ? "Pause" : "Play";
    this.playButton.setAttribute("aria-label", label);
    this.playButton.title = `${label}, one minute a second`;
    this.playButton.querySelector("use")?.setAttribute("href", this.playing ? "#i-pause" : "#i-play");
  }

  /** Show a minute. @param {number} value minutes after the first */
  async #go(value) {
    const place = Math.min(Math.max(value, 0), Number(this.slider.max)), turn = ++this.turn;
    const ms = this.first + place * MINUTE, at = stamp(ms), said = this.#said(ms);
    this.slider.value = String(place);
    this.slider.setAttribute("aria-valuetext", said);
    this.clock.textContent = said;
    const address = new URL(location.href);
    address.searchParams.set("at", at);
    history.replaceState(history.state, "", address);
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.playing || this.#follow(), SETTLE);
    this.waiting = true;
    try {
      const view = await this.feed.frame(at);
      if (turn !== this.turn) return;
      const empty = view.nodes.id.length === 0;
      this.told.textContent = empty ? `nothing stored for ${said}` : "";
      this.map.missing(empty);
      if (!empty) this.map.show(structuredClone(view));
      if (place < Number(this.slider.max)) this.feed.frame(stamp(ms + MINUTE)).catch(() => undefined);
    } catch {
      if (turn === this.turn) this.told.textContent = `${said} could not be read`;
    } finally {
      if (turn === this.turn) this.waiting = false;
    }
  }

  waiting = false;

  /** Another view is asked for: the same minute of that one. */
  again() { this.#go(Number(this.slider.value)); }

  /** The sentence and the table tell of the same moment as the map. */
  #follow() {
    const query = new URLSearchParams(location.search), at = query.get("at") ?? "";
    for (const form of document.querySelectorAll("form[data-filter]")) {
      const known = form.querySelector("input[name='at']"), field = /** @type {HTMLInputElement} */ (known ?? document.createElement("input"));
      Object.assign(field, { type: "hidden", name: "at", value: at });
      if (!known) form.append(field);
    }
    for (const part of fragments()) {
      if (!part.closest("main")) continue;
      const address = `${(part.dataset.fragment ?? "").split("?")[0]}${query.size ? `?${query}` : ""}`;
      if (part.dataset.fragment === address) continue;
      part.dataset.fragment = address;
      part.dataset.rev = "";
      refresh(part, { asked: true });
    }
  }

  /** A minute in the page's zone, with its day when that is not today's. @param {number} ms */
  #said(ms) {
    const zone = this.bar.dataset.zone || "UTC", clock = { timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    const day = (/** @type {number} */ at) => new Date(at).toLocaleDateString("en-GB", { timeZone: zone, day: "numeric", month: "short" });
    const time = new Date(ms).toLocaleTimeString("en-GB", /** @type {Intl.DateTimeFormatOptions} */ (clock));
    return day(ms) === day(now()) ? time : `${day(ms)}, ${time}`;
  }
}
