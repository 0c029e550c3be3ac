// @ts-check
/**
 * The topology map: fetches the view, draws it, keeps it fresh, and makes it walkable.
 * One tab stop; arrows follow edges; Enter opens, o or Space shows the panel, f focuses, c folds and unfolds.
 */
import { announce } from "../announce.js";
import { Camera } from "./camera.js";
import { openDrawer } from "../drawer.js";
import { Drawing, toggle } from "./draw.js";
import { nextComponent, related, start, step } from "./walk.js";
import { arrows, tell, world } from "./scene.js";

const ARROWS = /** @type {const} */ ({ ArrowRight: "right", ArrowLeft: "left", ArrowUp: "up", ArrowDown: "down" });
/** Page parameter -> parameter of the API. */
const ASKED = { q: "find", hide: "hide", folded: "folded", opened: "opened" };

/** @param {HTMLElement} element */
export function attach(element) {
  const svg = /** @type {SVGSVGElement} */ (element.querySelector("svg"));
  svg.prepend(arrows());
  const camera = new Camera(svg), drawing = new Drawing(svg);
  const tools = /** @type {HTMLElement[]} */ ([...element.querySelectorAll("[data-map-do]")]);
  /** @type {string | null} */ let etag = null;
  /** @type {string | null} */ let layout = null;
  /** @type {((view: import("./draw.js").View) => number) | null} */ let next = null;
  let current = "", running = false, again = false;

  const index = () => drawing.view?.nodes.id.indexOf(current) ?? -1;
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

  const update = async () => {
    if (document.hidden || (layout !== null && !next && "frozen" in document.body.dataset)) return;
    if (running) { again = true; return; }
    running = true;
    const address = /** @type {string} */ (element.dataset.src);
    try {
      const answer = await fetch(address, { headers: etag ? { "If-None-Match": etag } : {} });
      if (answer.status !== 304) {
        if (!answer.ok) throw new Error(`the map could not be read (${answer.status})`);
        const view = await answer.json();
        etag = answer.headers.get("ETag");
        if (address === element.dataset.src) show(view); else again = true;
      }
      element.removeAttribute("data-problem");
    } catch (problem) {
      element.dataset.problem = problem instanceof Error ? problem.message : "the map could not be read";
    }
    element.removeAttribute("aria-busy");
    running = false;
    if (again) { again = false; update(); }
  };

  /** @param {import("./draw.js").View} view */
  const show = (view) => {
    drawing.show(view);
    element.dataset.nodes = String(view.nodes.id.length);
    element.dataset.layout = view.layout.hash;
    tell(element, view);
    camera.setWorld(world(view));
    if (layout === null) camera.fit();
    layout = view.layout.hash;
    find();
    if (next) go(next(view), true);
    else if (index() < 0) go(start(view), false);
    next = null;
  };

  /** Found nodes stand out. */
  const find = () => {
    const view = drawing.view, wanted = new URLSearchParams(location.search).get("q")?.toLocaleLowerCase() ?? "";
    svg.classList.toggle("finding", wanted !== "");
    view?.nodes.id.forEach((id, i) =>
      drawing.nodes.get(id)?.classList.toggle("found", wanted !== "" && view.nodes.name[i].toLocaleLowerCase().includes(wanted)));
  };

  /** The page's address has changed: ask for that view. */
  const follow = () => {
    const query = new URLSearchParams(location.search);
    const source = new URL(/** @type {string} */ (element.dataset.src), location.href);
    for (const [mine, theirs] of Object.entries(ASKED)) source.searchParams.set(theirs, query.get(mine) ?? "");
    const address = source.pathname + source.search;
    const back = /** @type {HTMLInputElement | null} */ (element.querySelector("input[name='back']"));
    if (back) back.value = query.toString();
    find();
    if (address === element.dataset.src) return;
    element.dataset.src = address;
    etag = null;
    update();
  };

  /** @param {number | null} i a node @param {number} [edge] */
  const highlight = (i, edge = -1) => {
    const view = drawing.view;
    svg.classList.toggle("lit", i !== null && i >= 0);
    if (!view) return;
    drawing.ask(edge >= 0 ? [edge] : i === null || i < 0 ? []
      : view.edges.id.map((_, one) => one).filter((one) => view.edges.source[one] === i || view.edges.target[one] === i));
    if (i === null || i < 0) return;
    const near = new Set([...related(view, i)].map((one) => view.nodes.id[one]));
    drawing.nodes.forEach((node, id) => node.classList.toggle("near", near.has(id)));
    view.edges.id.forEach((id, one) => drawing.edges.get(id)?.classList.toggle("near",
      near.has(view.nodes.id[view.edges.source[one]]) && near.has(view.nodes.id[view.edges.target[one]])));
  };

  /** @param {Record<string, string>} what */
  const panel = (what) => {
    const at = new URLSearchParams(location.search);
    const kept = Object.fromEntries(["at", "from", "to", "tz", "cluster"].filter((name) => at.get(name)).map((name) => [name, at.get(name) ?? ""]));
    openDrawer(`/fragments/topology-panel?${new URLSearchParams({ ...what, ...kept })}`);
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
  const errors = () => {
    const on = svg.classList.toggle("errors");
    tools.find((one) => one.dataset.mapDo === "errors")?.setAttribute("aria-pressed", String(on));
  };

  /** @type {Record<string, () => void>} */
  const does = {
    in: () => camera.zoom(0.8), out: () => camera.zoom(1.25), fit: () => camera.fit(), errors,
    left: () => camera.pan(-0.2, 0), right: () => camera.pan(0.2, 0), up: () => camera.pan(0, -0.2), down: () => camera.pan(0, 0.2),
  };
  /** @type {Record<string, (view: import("./draw.js").View, at: number) => void>} */
  const keys = {
    Home: (view) => go(view.view.focus ? view.nodes.id.indexOf(view.view.focus) : start(view), true),
    PageDown: (view, at) => go(nextComponent(view, at, 1), true), PageUp: (view, at) => go(nextComponent(view, at, -1), true),
    o: () => panel({ id: current }), " ": () => panel({ id: current }), f: focusHere, c: fold, e: errors,
    "+": does.in, "=": does.in, "-": does.out, 0: does.fit, Escape: () => tools[0]?.focus(),
  };
  svg.addEventListener("keydown", (event) => {
    const view = drawing.view, at = index();
    if (!view || event.ctrlKey || event.metaKey || event.altKey) return;
    const way = ARROWS[/** @type {keyof ARROWS} */ (event.key)], other = keys[event.key];
    if (way) go(step(view, at, way), true);
    else if (other && (event.key.length > 1 || document.body.dataset.keys !== "off")) other(view, at);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  svg.addEventListener("focusin", (event) => { go(row(event.target, ".node"), false); highlight(index()); });
  svg.addEventListener("focusout", () => highlight(null));
  svg.addEventListener("pointerover", (event) => highlight(row(event.target, ".node"), row(event.target, ".edge")));
  svg.addEventListener("pointerleave", () => highlight(svg.contains(document.activeElement) ? index() : null));
  svg.addEventListener("click", (event) => {
    const edge = row(event.target, ".edge");
    if (edge >= 0 && drawing.view) panel({ edge: drawing.view.edges.id[edge] });
  });
  for (const tool of tools) tool.addEventListener("click", () => does[tool.dataset.mapDo ?? ""]?.());
  new ResizeObserver(() => { if (layout !== null) camera.resize(); }).observe(svg);
  document.addEventListener("qd:stale", (event) => {
    if (/** @type {CustomEvent} */ (event).detail.includes("topology")) update();
  });
  for (const name of ["qd:revalidate", "visibilitychange"]) document.addEventListener(name, () => layout === null || update());
  document.addEventListener("qd:filtered", follow);
  update();
}
