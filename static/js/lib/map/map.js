// @ts-check
/**
 * The topology map: draws the view at data-src, keeps it fresh, and makes it walkable.
 * One tab stop; arrows follow edges; Enter opens, o or Space shows the panel, f focuses, c folds, m moves, d compares.
 */
import { announce } from "../announce.js";
import { openDrawer } from "../drawer.js";
import { Camera } from "./camera.js";
import { Drawing, toggle } from "./draw.js";
import { Feed } from "./feed.js";
import { Light } from "./light.js";
import { Mover } from "./move.js";
import { Replay } from "./replay.js";
import { markers, tell, world } from "./scene.js";
import { nextComponent, start, step } from "./walk.js";

/** @typedef {import("./draw.js").View} View */
const ARROWS = /** @type {const} */ ({ ArrowRight: "right", ArrowLeft: "left", ArrowUp: "up", ArrowDown: "down" });
/** Page parameter -> parameter of the API. */
const ASKED = { find: "find", hide: "hide", folded: "folded", opened: "opened" };

/** @param {HTMLElement} element */
export function attach(element) {
  const svg = /** @type {SVGSVGElement} */ (element.querySelector("svg[role='group']"));
  svg.prepend(markers());
  const drawing = new Drawing(svg), camera = new Camera(svg, drawing.scene), light = new Light(svg, drawing);
  const mover = new Mover(svg, drawing, camera, element);
  const feed = new Feed(element, (view, since) => { mover.keep(view, since); show(view); });
  const tools = /** @type {HTMLElement[]} */ ([...element.querySelectorAll("[data-map-do]")]);
  const unpin = tools.find((one) => one.dataset.mapDo === "unpin");
  /** @type {Map<string, [number, number]>} */ const places = new Map(); // where everything ever drawn here stood last
  /** @type {((view: View) => number) | null} */ let next = null;
  let current = "", drawn = false;

  const index = () => drawing.view?.nodes.id.indexOf(current) ?? -1;
  const query = () => new URLSearchParams(location.search);
  /** @param {EventTarget | null} target @param {".node" | ".edge"} what */
  const row = (target, what) => {
    const found = /** @type {Element} */ (target).closest(what);
    const ids = what === ".node" ? drawing.view?.nodes.id : drawing.view?.edges.id;
    return found instanceof SVGElement ? ids?.indexOf(found.dataset.id ?? "") ?? -1 : -1;
  };

  /** @param {number} i @param {boolean} focus */
  const go = (i, focus) => {
    const view = drawing.view;
    if (!view || i < 0) return;
    drawing.nodes.get(current)?.setAttribute("tabindex", "-1");
    current = view.nodes.id[i];
    const node = drawing.nodes.get(current);
    node?.setAttribute("tabindex", "0");
    if (!focus) return;
    camera.reveal(view.nodes.x[i], view.nodes.y[i]);
    node?.focus({ preventScroll: true });
  };

  /** @param {View} view */
  const show = (view) => {
    drawing.show(view);
    element.dataset.nodes = String(view.nodes.id.length);
    element.dataset.layout = view.layout.hash;
    tell(element, view);
    placed();
    if (!drawn) camera.fit();
    light.again();
    if (next) go(next(view), true);
    else if (index() < 0) go(start(view), false);
    next = null;
    if (!drawn) reopen();
    drawn ||= view.nodes.id.length > 0; // what begins empty is shown whole when there is something
  };

  /** Nodes were put somewhere: by a view, or by hand. */
  const placed = () => {
    const view = drawing.view;
    if (!view) return;
    view.nodes.id.forEach((id, i) => places.set(id, [view.nodes.x[i], view.nodes.y[i]]));
    camera.setWorld(world(view));
    if (unpin) unpin.hidden = !view.nodes.pinned?.some(Boolean);
  };

  const replayBar = /** @type {HTMLElement | null} */ (element.querySelector("[data-map-replay]"));
  const replay = replayBar && new Replay(replayBar, feed, {
    hold: (on) => {
      feed.held = mover.still = on;
      svg.classList.toggle("past", on);
      tools.find((one) => one.dataset.mapDo === "replay")?.setAttribute("aria-pressed", String(on));
      if (!on) { feed.etag = null; feed.update({ asked: true }); }
    },
    missing: (on) => svg.classList.toggle("missing", on),
    show: (view) => {
      const { x, y } = view.nodes;
      view.nodes.id.forEach((id, i) => { const spot = places.get(id); if (spot) [x[i], y[i]] = spot; });
      show(view);
    },
  });

  /** The page's address has changed: ask for that view. */
  const follow = () => {
    const source = new URL(feed.address, location.href), asked = query();
    for (const [mine, theirs] of Object.entries(ASKED)) source.searchParams.set(theirs, asked.get(mine) ?? "");
    const address = source.pathname + source.search;
    const back = /** @type {HTMLInputElement | null} */ (element.querySelector("input[name='back']"));
    if (back) back.value = asked.toString();
    if (light.picked && !asked.get("sel")) remember("sel", light.picked);
    if (address === feed.address) return;
    feed.turn(address);
    if (replay?.open) replay.again(); else feed.update({ asked: true });
  };

  /** @param {string} name @param {string} value */
  const remember = (name, value) => {
    const address = new URL(location.href);
    if (value) address.searchParams.set(name, value); else address.searchParams.delete(name);
    history.replaceState(history.state, "", address);
  };

  /** Select a node or an edge: it stays lit, is in the address, and the panel tells of it. @param {string} id @param {{focus?: boolean}} [how] */
  const pick = (id, { focus = true } = {}) => {
    const view = drawing.view;
    if (!view) return;
    light.pick(id);
    remember("sel", id);
    const kept = [...query()].filter(([name]) => ["at", "from", "to", "tz", "cluster"].includes(name));
    const what = view.nodes.id.includes(id) ? "id" : "edge";
    const own = element.dataset.panelSrc;  // a page with a panel of its own names it with all it needs but the id
    openDrawer(own ? `${own}&${new URLSearchParams({ id })}` : `/fragments/topology-panel?${new URLSearchParams([[what, id], ...kept])}`, { focus });
  };
  /** What the address selects is selected again. */
  const reopen = () => {
    const id = query().get("sel") ?? "", view = drawing.view;
    const at = view?.nodes.id.indexOf(id) ?? -1;
    if (!view || (at < 0 && !view.edges.id.includes(id))) return;
    go(at, false);
    pick(id, { focus: false });
  };
  /** A panel covers the right of the map: what it tells of must not lie under it. */
  camera.covered = () => {
    const panel = document.querySelector("[data-drawer]:not([hidden])")?.getBoundingClientRect(), map = svg.getBoundingClientRect();
    return panel && panel.top < map.bottom && panel.left > map.left ? Math.max(0, map.right - panel.left) : 0;
  };
  const uncover = () => {
    const view = drawing.view, id = light.picked;
    const edge = view?.edges.id.indexOf(id) ?? -1, at = edge < 0 ? view?.nodes.id.indexOf(id) ?? -1 : view?.edges.source[edge] ?? -1;
    if (view && at >= 0) camera.reveal(view.nodes.x[at], view.nodes.y[at]);
  };

  const focusHere = () => {
    const address = new URL(location.href);
    address.searchParams.set("focus", current);
    location.assign(address);
  };
  /** Fold the namespace of the current node, or unfold the current group; focus goes with it. */
  const fold = () => {
    const view = drawing.view, at = index();
    const name = view?.nodes.kind[at] === "group" ? view.nodes.name[at] : view?.nodes.namespace[at];
    if (!view || !name) return announce("This node belongs to no group.");
    const open = view.nodes.kind[at] === "group", address = new URL(location.href);
    toggle(address.searchParams, "opened", name, open);
    toggle(address.searchParams, "folded", name, !open);
    history.replaceState(history.state, "", address);
    next = (fresh) => {
      const found = fresh.nodes.id.findIndex((_, i) => open ? fresh.nodes.namespace[i] === name : fresh.nodes.kind[i] === "group" && fresh.nodes.name[i] === name);
      announce(open ? `${name} is unfolded` : `${name} is folded`);
      return found < 0 ? start(fresh) : found;
    };
    follow();
  };
  /** @param {"left"|"right"|"up"|"down"} way @param {number} dx @param {number} dy */
  const shift = (way, dx, dy) => () => mover.on ? mover.nudge(way, false) : camera.pan(dx, dy);
  /** @param {"svg"|"png"} kind */
  const save = (kind) => async () => {
    const { save: write } = await import("./export.js");
    if (drawing.view) await write(kind, svg, drawing.view, world(drawing.view));
  };
  /** Take the current node up; its place follows the arrow keys. */
  const move = () => {
    if (mover.on) return mover.put();
    go(index(), true);
    mover.take(current);
  };

  /** @type {Record<string, () => void>} */
  const does = {
    in: () => camera.zoom(0.8), out: () => camera.zoom(1.25), fit: () => camera.fit(), move, svg: save("svg"), png: save("png"),
    left: shift("left", -0.2, 0), right: shift("right", 0.2, 0), up: shift("up", 0, -0.2), down: shift("down", 0, 0.2),
    put: () => { mover.put(); go(index(), true); }, cancel: () => { mover.cancel(); go(index(), true); },
    unpin: () => mover.free(), replay: () => replay?.open ? replay.close() : replay?.start(),
  };
  /** @type {Record<string, (view: View, at: number) => void>} */
  const keys = {
    Home: (view) => go(view.view.focus ? view.nodes.id.indexOf(view.view.focus) : start(view), true),
    PageDown: (view, at) => go(nextComponent(view, at, 1), true), PageUp: (view, at) => go(nextComponent(view, at, -1), true),
    o: () => pick(current), " ": () => pick(current), f: focusHere, c: fold, m: move,
    e: () => /** @type {HTMLElement | null} */ (document.querySelector("[data-map-errors]"))?.click(),
    d: () => /** @type {HTMLElement | null} */ (element.querySelector("[data-map-diff]"))?.click(),
    "+": does.in, "=": does.in, "-": does.out, 0: does.fit, Escape: () => tools[0]?.focus(),
  };
  svg.addEventListener("keydown", (event) => {
    const view = drawing.view, at = index();
    if (!view || event.ctrlKey || event.metaKey || event.altKey) return;
    const way = ARROWS[/** @type {keyof typeof ARROWS} */ (event.key)], other = keys[event.key];
    if (mover.on) { if (!mover.key(event)) return; }
    else if (way) go(step(view, at, way), true);
    else if (other && (event.key.length > 1 || document.body.dataset.keys !== "off")) other(view, at);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  svg.addEventListener("focusin", (event) => { if (!mover.on) go(row(event.target, ".node"), false); light.on(index()); });
  svg.addEventListener("focusout", () => light.on());
  svg.addEventListener("pointerover", (event) => light.on(row(event.target, ".node"), row(event.target, ".edge")));
  svg.addEventListener("pointerleave", () => light.on(svg.contains(document.activeElement) ? index() : -1));
  // A click by hand selects and a second one opens; a click by key or by an assistive tool follows the link.
  svg.addEventListener("click", (event) => {
    const edge = row(event.target, ".edge"), node = row(event.target, ".node"), view = drawing.view;
    if (!view || event.detail === 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (edge >= 0) return pick(view.edges.id[edge]);
    if (node < 0) return;
    go(node, false);
    event.preventDefault();
    if (view.nodes.kind[node] === "group") fold();
    else if (event.detail === 1) pick(current);
  });
  svg.addEventListener("dblclick", (event) => {
    const href = /** @type {Element} */ (event.target).closest(".node:not(.node-group)")?.getAttribute("href");
    if (href) location.assign(href);
  });
  for (const tool of tools) {
    tool.addEventListener("click", () => { tool.closest("details")?.removeAttribute("open"); does[tool.dataset.mapDo ?? ""]?.(); });
  }
  new ResizeObserver(() => { if (drawn) camera.resize(); }).observe(svg);
  svg.addEventListener("qd:placed", placed);
  document.addEventListener("qd:drawer", (event) => {
    if (/** @type {CustomEvent} */ (event).detail) return uncover();
    light.pick("");
    remember("sel", "");
  });
  document.addEventListener("qd:stale", (event) => {
    if (/** @type {CustomEvent} */ (event).detail.includes("topology")) feed.update();
  });
  for (const name of ["qd:revalidate", "visibilitychange"]) document.addEventListener(name, () => drawn && feed.update());
  document.addEventListener("qd:filtered", follow);
  feed.update();
}
