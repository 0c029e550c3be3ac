// @ts-check
/** Pan and zoom of a map by the transform of its scene: drag, wheel, pinch, buttons; never more than needed to see everything. */

export class Camera {
  /** @param {SVGSVGElement} svg the frame @param {Element} scene the group that holds the drawing */
  constructor(svg, scene) {
    this.svg = svg;
    this.scene = scene;
    this.box = { x: 0, y: 0, w: 1000, h: 600 };
    this.world = { x: 0, y: 0, w: 1000, h: 600 };
    this.touched = false; // whether a person chose what is seen
    this.covered = () => 0; // pixels at the right that something lies over
    this.taken = (/** @type {PointerEvent} */ _event) => false; // whether a drag that begins here is somebody else's
    this.#drag();
    svg.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  /** @param {{x: number, y: number, w: number, h: number}} world the rectangle that holds everything */
  setWorld(world) { this.world = world; }

  /** Show everything, but never larger than life. */
  fit() {
    this.touched = false;
    const { clientWidth: width, clientHeight: height } = this.svg, free = Math.max(width - this.covered(), width / 3);
    const scale = Math.max(this.world.w / (free || 1), this.world.h / (height || 1), 1);
    const w = width * scale, h = height * scale;
    this.#set({ x: this.world.x + (this.world.w - free * scale) / 2, y: this.world.y + (this.world.h - h) / 2, w, h });
  }

  /** @param {number} factor below 1 comes nearer @param {number} [cx] centre in world units @param {number} [cy] */
  zoom(factor, cx = this.box.x + this.box.w / 2, cy = this.box.y + this.box.h / 2) {
    const { x, y, w, h } = this.box;
    const least = this.svg.clientWidth / 3, most = Math.max(this.world.w, this.world.h * (w / h)) * 1.5 + 200;
    this.touched = true;
    const real = Math.min(Math.max(w * factor, least), Math.max(most, least)) / w;
    this.#set({ x: cx - (cx - x) * real, y: cy - (cy - y) * real, w: w * real, h: h * real });
  }

  /** The frame has another size: the same place at the same size. */
  resize() {
    const { clientWidth: width, clientHeight: height } = this.svg;
    if (!width || !height) return;
    if (!this.touched) return this.fit();
    const { x, y, w, h } = this.box, fresh = w * (height / width);
    this.#set({ x, y: y + (h - fresh) / 2, w, h: fresh });
  }

  /** @param {number} dx share of the width @param {number} dy share of the height */
  pan(dx, dy) { this.touched = true; this.#set({ ...this.box, x: this.box.x + this.box.w * dx, y: this.box.y + this.box.h * dy }); }

  /** Bring a point into sight if it is not; what lies over the map counts as out of sight. @param {number} x @param {number} y */
  reveal(x, y) {
    const { box } = this, w = box.w * (1 - this.covered() / (this.svg.clientWidth || 1));
    const mx = Math.min(w * 0.08 + 60, w / 2), my = box.h * 0.08;
    const inside = x > box.x + mx && x < box.x + w - mx && y > box.y + my && y < box.y + box.h - my;
    if (!inside) this.#set({ ...box, x: x - w / 2, y: y - box.h / 2 });
  }

  /** @param {{x: number, y: number, w: number, h: number}} box */
  #set(box) {
    this.box = box;
    const { clientWidth: width } = this.svg, scale = width / box.w;
    if (!width) return;
    // A transform of one group is painted in a third of the time that another viewBox takes.
    this.scene.setAttribute("transform", `matrix(${scale.toFixed(5)} 0 0 ${scale.toFixed(5)} ${(-box.x * scale).toFixed(1)} ${(-box.y * scale).toFixed(1)})`);
    this.svg.classList.toggle("far", box.w > width * 2.2);
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    const unit = this.box.w / (this.svg.clientWidth || 1);
    if (event.ctrlKey || event.metaKey) {
      const frame = this.svg.getBoundingClientRect();
      this.zoom(event.deltaY > 0 ? 1.15 : 1 / 1.15,
        this.box.x + (event.clientX - frame.left) * unit, this.box.y + (event.clientY - frame.top) * unit);
      event.preventDefault();
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      this.#set({ ...this.box, x: this.box.x + (event.deltaX || event.deltaY) * unit });
      event.preventDefault();
    }
  }

  #drag() {
    /** @type {Map<number, {x: number, y: number}>} */
    const fingers = new Map();
    let moved = 0;
    this.svg.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || this.taken(event)) return;
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      moved = 0;
    });
    this.svg.addEventListener("pointermove", (event) => {
      const last = fingers.get(event.pointerId);
      if (!last) return;
      const unit = this.box.w / (this.svg.clientWidth || 1);
      const before = spread(fingers);
      const dx = event.clientX - last.x, dy = event.clientY - last.y;
      moved += Math.abs(dx) + Math.abs(dy);
      if (moved > 4) this.touched = true;
      if (moved > 4 && !this.svg.hasPointerCapture(event.pointerId)) this.svg.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      const after = spread(fingers);
      if (before && after) this.zoom(before / after);
      this.#set({ ...this.box, x: this.box.x - (dx * unit) / fingers.size, y: this.box.y - (dy * unit) / fingers.size });
    });
    for (const end of ["pointerup", "pointercancel"]) {
      this.svg.addEventListener(end, (event) => fingers.delete(/** @type {PointerEvent} */ (event).pointerId));
    }
    this.svg.addEventListener("dragstart", (event) => event.preventDefault());
    this.svg.addEventListener("click", (event) => {
      if (moved > 4) { event.preventDefault(); event.stopPropagation(); }
    }, true);
  }
}

/** Distance of two fingers, or null. @param {Map<number, {x: number, y: number}>} fingers */
function spread(fingers) {
  const [a, b] = [...fingers.values()];
  return a && b ? Math.hypot(a.x - b.x, a.y - b.y) : null;
}
