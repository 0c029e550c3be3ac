// @ts-check
/**
 * The topology map: fetches the view, draws it, keeps it fresh, and makes it walkable.
 * One tab stop; arrows follow edges; Enter opens, o or Space shows the panel, f focuses, c unfolds a group.
 */
import { Camera } from "./camera.js";
import { openDrawer } from "../drawer.js";
import { Drawing, make } from "./draw.js";
import { nextComponent, related, start, step } from "./walk.js";
import { HEIGHT, MARKS, WIDTH } from "./shapes.js";

const ARROWS = /** @type {const} */ ({ ArrowRight: "right", ArrowLeft: "left", ArrowUp: "up", ArrowDown: "down" });

/** @param {HTMLElement} element */
export function attach(element) {
  const svg = /** @type {SVGSVGElement} */ (element.querySelector("svg"));
  svg.prepend(arrows());
  const camera = new Camera(svg), drawing = new Drawing(svg);
  /** @type {string | null} */ let etag = null;
  /** @type {string | null} */ let layout = null;
  let current = "", running = false, again = false;

  const index = () => drawing.view?.nodes.id.indexOf(current) ?? -1;

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
    if (document.hidden || (layout !== null && "frozen" in document.body.dataset)) return;
    if (running) { again = true; return; }
    running = true;
    try {
      const answer = await fetch(/** @type {string} */ (element.dataset.src), { headers: etag ? { "If-None-Match": etag } : {} });
      if (answer.status !== 304) {
        if (!answer.ok) throw new Error(`the map could not be read (${answer.status})`);
        etag = answer.headers.get("ETag");
        show(await answer.json());
      }
      element.removeAttribute("data-problem");
    } catch (problem) {
      element.dataset.problem = problem instanceof Error ? problem.message : "the map could not be read";
    }
    running = false;
    if (again) { again = false; update(); }
  };

  /** @param {import("./draw.js").View} view */
  const show = (view) => {
    drawing.show(view);
    element.dataset.nodes = String(view.nodes.id.length);
    tell(element, view);
    camera.setWorld(world(view));
    if (layout === null) camera.fit();
    layout = view.layout.hash;
    if (index() < 0) go(start(view), false);
    element.removeAttribute("aria-busy");
  };

  /** @param {number | null} i */
  const highlight = (i) => {
    const view = drawing.view;
    svg.classList.toggle("lit", i !== null);
    if (!view || i === null) return;
    const near = new Set([...related(view, i)].map((one) => view.nodes.id[one]));
    drawing.nodes.forEach((node, id) => node.classList.toggle("near", near.has(id)));
    drawing.edges.forEach((edge) => edge.classList.toggle("near",
      (edge.dataset.ends ?? "").split(" ").every((id) => near.has(id))));
  };

  const panel = () => {
    if (drawing.view?.nodes.href[index()]) openDrawer(`/fragments/node-panel?${new URLSearchParams({ id: current })}`);
  };
  const focusHere = () => {
    const address = new URL(location.href);
    address.searchParams.set("focus", current);
    location.assign(address);
  };

  svg.addEventListener("keydown", (event) => {
    const view = drawing.view, at = index();
    if (!view || event.ctrlKey || event.metaKey || event.altKey) return;
    const way = ARROWS[/** @type {keyof ARROWS} */ (event.key)];
    if (way) go(step(view, at, way), true);
    else if (event.key === "Home") go(start(view), true);
    else if (event.key === "PageDown") go(nextComponent(view, at, 1), true);
    else if (event.key === "PageUp") go(nextComponent(view, at, -1), true);
    else if (event.key === "o" || event.key === " ") panel();
    else if (event.key === "f") focusHere();
    else if (event.key === "+" || event.key === "=") camera.zoom(0.8);
    else if (event.key === "-") camera.zoom(1.25);
    else if (event.key === "0") camera.fit();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  svg.addEventListener("focusin", (event) => {
    const node = /** @type {Element} */ (event.target).closest(".node");
    if (node instanceof SVGElement) { go(drawing.view?.nodes.id.indexOf(node.dataset.id ?? "") ?? -1, false); highlight(index()); }
  });
  svg.addEventListener("focusout", () => highlight(null));
  svg.addEventListener("pointerover", (event) => {
    const node = /** @type {Element} */ (event.target).closest(".node");
    highlight(node instanceof SVGElement ? drawing.view?.nodes.id.indexOf(node.dataset.id ?? "") ?? null : null);
  });
  element.querySelectorAll("[data-map-do]").forEach((button) => button.addEventListener("click", () => {
    const what = /** @type {HTMLElement} */ (button).dataset.mapDo;
    if (what === "in") camera.zoom(0.8);
    else if (what === "out") camera.zoom(1.25);
    else if (what === "fit") camera.fit();
    else if (what === "left" || what === "right") camera.pan(what === "left" ? -0.2 : 0.2, 0);
    else if (what === "up" || what === "down") camera.pan(0, what === "up" ? -0.2 : 0.2);
  }));
  new ResizeObserver(() => { if (layout !== null) camera.zoom(1); }).observe(svg);
  document.addEventListener("qd:stale", (event) => {
    if (/** @type {CustomEvent} */ (event).detail.includes("topology")) update();
  });
  for (const name of ["qd:revalidate", "visibilitychange"]) document.addEventListener(name, () => layout === null || update());
  update();
}

/** The rectangle that holds all nodes. @param {import("./draw.js").View} view */
function world({ nodes }) {
  if (!nodes.id.length) return { x: 0, y: 0, w: 1000, h: 600 };
  const xs = [Math.min(...nodes.x), Math.max(...nodes.x)], ys = [Math.min(...nodes.y), Math.max(...nodes.y)];
  return { x: xs[0] - WIDTH / 2 - 24, y: ys[0] - HEIGHT - 24, w: xs[1] - xs[0] + WIDTH + 48, h: ys[1] - ys[0] + 2 * HEIGHT + 48 };
}

/** What is not drawn, and whether the places are provisional. @param {HTMLElement} element @param {import("./draw.js").View} view */
function tell(element, view) {
  const parts = view.cut.why ? [view.cut.why] : [];
  if (view.cut.nodes_shown < view.cut.nodes_total) parts.push(`${view.cut.nodes_shown} of ${view.cut.nodes_total} nodes drawn`);
  if (view.layout.approximate) parts.push("layout is provisional");
  const place = element.parentElement?.querySelector("[data-map-cut]");
  if (place) place.textContent = parts.join("; ");
}

/** One arrow head per health colour. */
function arrows() {
  const defs = make("defs");
  for (const token of Object.values(MARKS)) {
    const marker = make("marker", { id: `arrow-${token}`, class: `arrow mark-${token}`, viewBox: "0 0 8 8", refX: 7, refY: 4,
      markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto-start-reverse" });
    marker.append(make("path", { d: "M0 .5 7.5 4 0 7.5z" }));
    defs.append(marker);
  }
  return defs;
}
