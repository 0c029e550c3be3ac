// @ts-check
/** Nodes put somewhere by hand, for everybody: by drag, or by `m`, arrow keys and Enter. A failure puts them back. */
import { announce } from "../announce.js";
import { toast } from "../toast.js";

const STEP = 20, FINE = 4; // map units
const BELIEVED = 500; // ms: an answer asked for so soon after a save may still be the old one
const WAYS = { left: [-1, 0], right: [1, 0], up: [0, -1], down: [0, 1] };

/** @typedef {import("./draw.js").View} View */
/** @typedef {{x: number, y: number, pinned: boolean, at: number}} Spot */

export class Mover {
  /** @param {SVGSVGElement} svg @param {import("./draw.js").Drawing} drawing @param {import("./camera.js").Camera} camera
   * @param {HTMLElement} element the map: its form [data-map-places] saves, its data-map-why says why not */
  constructor(svg, drawing, camera, element) {
    this.drawing = drawing;
    this.camera = camera;
    this.form = /** @type {HTMLFormElement | null} */ (element.querySelector("form[data-map-places]"));
    this.why = element.dataset.mapWhy ?? "";
    this.bar = /** @type {HTMLElement | null} */ (element.querySelector("[data-map-moving]"));
    this.still = false; // while the past is looked at
    /** @type {Map<string, Spot>} */ this.saving = new Map();
    /** @type {{id: string, x: number, y: number} | null} */ this.from = null; // what is moved by keys, and from where
    this.dragged = ""; // what is under the pointer
    camera.taken = (event) => this.may && event.pointerType !== "touch" && /** @type {Element} */ (event.target).closest(".node") !== null;
    this.#drag(svg);
  }

  get may() { return this.form !== null && !this.still; }

  /** Whether a node is being moved by keys. */
  get on() { return this.from !== null; }

  /** Take a node up, to move it by keys or buttons. @param {string} id */
  take(id) {
    const { view } = this.drawing, i = view?.nodes.id.indexOf(id) ?? -1;
    if (!this.form) return this.why ? toast(this.why) : undefined;
    if (this.still) return toast("Nodes are placed on the present map, not in the past.");
    if (!view || i < 0) return;
    this.from = { id, x: view.nodes.x[i], y: view.nodes.y[i] };
    this.#tell(view.nodes.name[i]);
  }

  /** One step. @param {"left"|"right"|"up"|"down"} way @param {boolean} fine */
  nudge(way, fine) {
    const { view } = this.drawing, i = view?.nodes.id.indexOf(this.from?.id ?? "") ?? -1;
    if (!view || i < 0) return this.#tell("");
    const size = fine ? FINE : STEP, [dx, dy] = WAYS[way];
    this.drawing.place(i, view.nodes.x[i] + dx * size, view.nodes.y[i] + dy * size);
    this.camera.reveal(view.nodes.x[i], view.nodes.y[i]);
  }

  /** A key while a node is in the hand; true = it was for the node, nothing else may follow. @param {KeyboardEvent} event */
  key(event) {
    const way = /** @type {"left"} */ (event.key.replace("Arrow", "").toLowerCase());
    if (event.key.startsWith("Arrow")) this.nudge(way, event.shiftKey);
    else if (event.key === "Enter" || event.key === "m") this.put();
    else if (event.key === "Escape") this.cancel();
    return event.key !== "Tab";
  }

  /** Put it down here, and save. */
  put() {
    const from = this.from;
    this.#tell("");
    if (from) this.#save(from.id, from);
  }

  /** Put it back where it was. */
  cancel() {
    const from = this.from, i = from ? this.drawing.view?.nodes.id.indexOf(from.id) ?? -1 : -1;
    if (from && i >= 0) { this.drawing.place(i, from.x, from.y); this.drawing.settle(i, this.#pinned(i)); }
    this.#tell("");
  }

  /** What is on its way to the server, or in the hand, stays where it is in a view that knows nothing of it yet.
   * @param {View} view @param {number} since when the view was asked for */
  keep(view, since) {
    for (const [id, spot] of this.saving) if (spot.at + BELIEVED < since) this.saving.delete(id);
    const hand = this.from?.id ?? this.dragged, held = this.drawing.view?.nodes.id.indexOf(hand) ?? -1;
    if (held >= 0 && this.drawing.view) this.#put(view, hand, this.drawing.view.nodes.x[held], this.drawing.view.nodes.y[held], this.#pinned(held));
    for (const [id, spot] of this.saving) this.#put(view, id, spot.x, spot.y, spot.pinned);
  }

  /** Give all back to the layout. */
  async free() {
    const view = this.drawing.view;
    if (!view || !this.form) return;
    const before = [...(view.nodes.pinned ?? [])];
    this.saving.clear();
    before.forEach((pinned, i) => pinned && this.drawing.settle(i, false));
    this.drawing.svg.dispatchEvent(new CustomEvent("qd:placed"));
    if (await this.#send("unpin", {})) return toast("Nothing is pinned now. Nodes stay until somebody tidies up.");
    before.forEach((pinned, i) => pinned && this.drawing.settle(i, true));
    this.drawing.svg.dispatchEvent(new CustomEvent("qd:placed"));
  }

  /** @param {string} id @param {{x: number, y: number}} from @param {boolean} [pinned] */
  async #save(id, from, pinned = true) {
    const { view } = this.drawing, i = view?.nodes.id.indexOf(id) ?? -1;
    if (!view || i < 0) return;
    const x = Math.round(view.nodes.x[i]), y = Math.round(view.nodes.y[i]), before = this.#pinned(i);
    const spot = { x, y, pinned, at: Infinity };
    this.#show(id, x, y, pinned);
    this.saving.set(id, spot);
    const saved = await this.#send("pin", { node: id, x: String(x), y: String(y), ...(pinned ? {} : { free: "1" }) });
    if (this.saving.get(id) !== spot) return; // moved again meanwhile
    spot.at = performance.now();
    if (!saved) { this.saving.delete(id); return this.#show(id, from.x, from.y, before); }
    if (!pinned) return announce(`${view.nodes.name[i]} is back`);
    const undo = () => { this.#show(id, from.x, from.y, before); this.#save(id, { x, y }, before); };
    toast(`${view.nodes.name[i].slice(0, 60)} is pinned here for everybody.`, { action: { label: "Undo", run: undo } });
  }

  /** @param {string} id @param {number} x @param {number} y @param {boolean} pinned */
  #show(id, x, y, pinned) {
    const i = this.drawing.view?.nodes.id.indexOf(id) ?? -1;
    if (i < 0) return;
    this.drawing.place(i, x, y);
    this.drawing.settle(i, pinned);
    this.drawing.svg.dispatchEvent(new CustomEvent("qd:placed"));
  }

  /** @param {View} view @param {string} id @param {number} x @param {number} y @param {boolean} pinned */
  #put({ nodes }, id, x, y, pinned) {
    const i = nodes.id.indexOf(id);
    if (i < 0) return;
    nodes.x[i] = x;
    nodes.y[i] = y;
    if (nodes.pinned) nodes.pinned[i] = pinned;
  }

  /** @param {number} i */
  #pinned(i) { return this.drawing.view?.nodes.pinned?.[i] ?? false; }

  /** @param {"pin"|"unpin"} what @param {Record<string, string>} fields */
  async #send(what, fields) {
    const form = /** @type {HTMLFormElement} */ (this.form), body = new URLSearchParams(/** @type {any} */ (new FormData(form)));
    body.set("view", this.drawing.view?.layout.view ?? "");
    for (const [name, value] of Object.entries(fields)) body.set(name, value);
    const answer = await fetch(`/topology/${what}`, { method: "POST", body }).catch(() => null);
    if (answer?.ok) return true;
    const why = answer?.status === 401 ? "You are signed out" : answer?.status === 403 ? "Your role may not place nodes"
      : answer?.status === 404 ? "The node is not on the map any longer" : "Quarterdeck did not take the place";
    toast(`${why}; it is as before.`, { error: true });
    return false;
  }

  /** Say that a node is in the hand; "" = none is. @param {string} name */
  #tell(name) {
    if (!name) this.from = null;
    this.drawing.svg.classList.toggle("moving", name !== "");
    this.drawing.nodes.forEach((node, id) => node.classList.toggle("moved", id === this.from?.id));
    if (!this.bar) return;
    this.bar.hidden = name === "";
    const place = this.bar.querySelector("[data-map-moved]");
    if (place) place.textContent = name.slice(0, 60);
    if (name) announce(`Moving ${name.slice(0, 60)}: arrow keys move it, Enter places it, Escape puts it back.`);
  }

  /** @param {SVGSVGElement} svg */
  #drag(svg) {
    /** @type {{id: string, i: number, x: number, y: number, px: number, py: number, moved: boolean} | null} */ let held = null;
    let dragged = false;
    const drop = () => { held = null; this.dragged = ""; svg.classList.remove("dragging"); };
    svg.addEventListener("pointerdown", (event) => {
      dragged = false;
      if (event.button !== 0 || !this.camera.taken(event) || this.on) return;
      const { view } = this.drawing, id = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest(".node"))?.dataset.id ?? "";
      const i = view?.nodes.id.indexOf(id) ?? -1;
      if (view && i >= 0) held = { id, i, x: view.nodes.x[i], y: view.nodes.y[i], px: event.clientX, py: event.clientY, moved: false };
    });
    svg.addEventListener("pointermove", (event) => {
      if (!held) return;
      const dx = event.clientX - held.px, dy = event.clientY - held.py, unit = this.camera.box.w / (svg.clientWidth || 1);
      if (!held.moved && Math.abs(dx) + Math.abs(dy) < 6) return;
      if (!held.moved) { held.moved = dragged = true; this.dragged = held.id; svg.setPointerCapture(event.pointerId); svg.classList.add("dragging"); }
      const i = this.drawing.view?.nodes.id.indexOf(held.id) ?? -1;
      if (i >= 0) this.drawing.place(i, held.x + dx * unit, held.y + dy * unit);
    });
    svg.addEventListener("pointerup", () => {
      const done = held;
      drop();
      if (done?.moved) this.#save(done.id, done);
    });
    svg.addEventListener("pointercancel", () => {
      if (held?.moved) this.#show(held.id, held.x, held.y, this.#pinned(held.i));
      drop();
    });
    svg.addEventListener("click", (event) => {
      if (dragged) { event.preventDefault(); event.stopPropagation(); dragged = false; }
    }, true);
  }
}
