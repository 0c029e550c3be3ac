// @ts-check
/**
 * Draws a map view as SVG: nodes are links, edges are straight lines with an arrow at the callee.
 * A refresh only changes attributes that differ; known nodes keep their elements.
 */
import { brief, full, spot, worst } from "./labels.js";
import { headFor, HEADS, straight, thickness } from "./line.js";
import { HEIGHT, MARKS, OUTLINES, WIDTH } from "./shapes.js";
import { fit, label, rate, share, SIGNS, time, words } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const NAME = "600 14px", FACT = "12.5px"; // as in topology.css; a cut name ends inside its box
const ROOM = WIDTH - 31 - 8;
const PIN = "M-3.5-5h7l-1 4 2.5 2.5h-4.4l-.6 4.5-.6-4.5h-4.4l2.5-2.5z";

/** @typedef {{id: string[], name: string[], kind: string[], health: string[], reason: (string|null)[], x: number[], y: number[],
 *   rps: (number|null)[], error_ratio: (number|null)[], p95_seconds: (number|null)[], members: (number|null)[], href: (string|null)[],
 *   cluster: string[], namespace: (string|null)[], unknown: (number|null)[], pinned?: boolean[], found?: boolean[], mark?: (string|null)[]}} Nodes */
/** @typedef {{id: string[], source: number[], target: number[], kind: string[], protocol: string[], health: string[],
 *   reason: (string|null)[], rps: (number|null)[], error_ratio: (number|null)[], p95_seconds: (number|null)[], found?: boolean[], mark?: (string|null)[]}} Edges */
/** @typedef {{version: string, as_of: string, view: {focus: string|null, find?: string},
 *   layout: {view?: string, hash: string, width: number, height: number, approximate: boolean}, nodes: Nodes, edges: Edges,
 *   cut: {nodes_total: number, nodes_shown: number, edges_total: number, edges_shown: number, why: string, table_first: boolean}}} View */

/** @param {string} name @param {Record<string, string|number>} attributes */
export function make(name, attributes = {}) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}

/** Set what differs. @param {Element} element @param {string} name @param {string} value */
function set(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** @param {Element} element @param {string} text */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export class Drawing {
  /** @param {SVGSVGElement} svg */
  constructor(svg) {
    this.svg = svg;
    this.scene = make("g", { class: "scene" });
    this.edgeLayer = make("g", { class: "edges", "aria-hidden": "true" });
    this.labelLayer = make("g", { class: "edge-labels", "aria-hidden": "true" });
    this.nodeLayer = make("g", { class: "nodes" });
    this.scene.append(this.edgeLayer, this.nodeLayer, this.labelLayer);
    svg.append(this.scene);
    /** @type {Map<string, SVGElement>} */ this.nodes = new Map();
    /** @type {Map<string, SVGElement>} */ this.edges = new Map();
    /** @type {View | null} */ this.view = null;
    /** @type {Set<string>} */ this.pairs = new Set();
    this.shown = false;
  }

  /** @param {View} view */
  show(view) {
    this.view = view;
    this.#keep(this.nodes, view.nodes.id, this.nodeLayer, (id, i) => this.#node(id, i));
    view.nodes.id.forEach((id, i) => this.#paintNode(/** @type {SVGElement} */ (this.nodes.get(id)), i));
    this.#keep(this.edges, view.edges.id, this.edgeLayer, (id) => this.#edge(id));
    this.pairs = new Set(view.edges.id.map((_, i) => `${view.edges.source[i]} ${view.edges.target[i]}`));
    view.edges.id.forEach((id, i) => this.#paintEdge(/** @type {SVGElement} */ (this.edges.get(id)), i));
    this.shown = true;
    this.#labels();
  }

  /** Put a node somewhere; its lines follow. @param {number} i @param {number} x @param {number} y */
  place(i, x, y) {
    const { nodes, edges } = /** @type {View} */ (this.view);
    nodes.x[i] = x;
    nodes.y[i] = y;
    this.nodes.get(nodes.id[i])?.setAttribute("transform", `translate(${x} ${y})`);
    edges.id.forEach((id, one) => {
      if (edges.source[one] === i || edges.target[one] === i) this.#paintEdge(/** @type {SVGElement} */ (this.edges.get(id)), one);
    });
  }

  /** A node was put down: texts find their places again. @param {number} i @param {boolean} pinned */
  settle(i, pinned) {
    const { nodes } = /** @type {View} */ (this.view);
    if (nodes.pinned) nodes.pinned[i] = pinned;
    this.#paintNode(/** @type {SVGElement} */ (this.nodes.get(nodes.id[i])), i);
    this.#labels();
  }

  /** Elements for exactly these ids, the known ones kept. @param {Map<string, SVGElement>} known @param {string[]} ids
   * @param {Element} layer @param {(id: string, i: number) => SVGElement} build */
  #keep(known, ids, layer, build) {
    const wanted = new Set(ids), fresh = document.createDocumentFragment();
    for (const [id, element] of known) if (!wanted.has(id)) { element.remove(); known.delete(id); }
    ids.forEach((id, i) => {
      if (known.has(id)) return;
      const element = build(id, i);
      if (this.shown) element.classList.add("new");
      known.set(id, element);
      fresh.append(element);
    });
    layer.append(fresh);
  }

  /** @param {string} id @param {number} i */
  #node(id, i) {
    const kind = /** @type {View} */ (this.view).nodes.kind[i];
    const link = make("a", { class: `node node-${kind}`, tabindex: -1, "data-id": id });
    link.append(make("path", { class: "outline", d: OUTLINES[kind] ?? OUTLINES.service }));
    if (kind === "client") {
      link.append(make("text", { class: "name", y: HEIGHT / 2 + 16, "text-anchor": "middle" }));
      link.append(make("path", { class: "mark", d: "M0 0h.01" }));
    } else {
      const lift = kind === "cache" || kind === "database" ? 3 : 0;
      link.append(make("path", { class: "mark", d: `M${-WIDTH / 2 + 16.5} ${lift}h.01` }));
      link.append(make("text", { class: "name", x: -WIDTH / 2 + 31, y: -2 + lift }));
      link.append(make("text", { class: "fact", x: -WIDTH / 2 + 31, y: 13 + lift }));
    }
    return link;
  }

  /** @param {SVGElement} link @param {number} i */
  #paintNode(link, i) {
    const { nodes } = /** @type {View} */ (this.view);
    const kind = nodes.kind[i], name = nodes.name[i];
    set(link, "href", nodes.href[i] ?? unfold(name));
    set(link, "transform", `translate(${nodes.x[i]} ${nodes.y[i]})`);
    set(link, "data-health", nodes.health[i]);
    link.toggleAttribute("data-unknown", kind === "group" && (nodes.unknown[i] ?? 0) > 0);
    const token = MARKS[nodes.health[i]] ?? "unknown";
    const mark = /** @type {Element} */ (link.querySelector(".mark")); // a marker: cheaper to move than a <use> of the sprite
    set(mark, "marker-start", `url(#mark-${token})`);
    const { title, engine } = label(name, kind);
    const shown = fit(title, ROOM, NAME), fact = kind === "client" ? "" : [engine, this.#fact(i)].filter(Boolean).join(", ");
    write(/** @type {Element} */ (link.querySelector(".name")), shown);
    const place = link.querySelector(".fact");
    if (place) write(place, ` ${fit(fact, ROOM, FACT)}`);
    this.#badge(link, "pin", nodes.pinned?.[i] ?? false, () => make("path", { class: "pin", d: PIN,
      transform: `translate(${kind === "client" ? HEIGHT / 2 - 4 : WIDTH / 2 - 9} ${-HEIGHT / 2 + (kind === "external" ? 20 : 10)})` }));
    if (nodes.mark) sign(link, nodes.mark[i], kind === "client" ? -HEIGHT / 2 + 4 : -WIDTH / 2 + 2, -HEIGHT / 2 + 2);
    // The name begins with what can be read on the map, so that it can be spoken (SC 2.5.3).
    const parts = [[shown, fact].filter(Boolean).join(" "), shown === name ? "" : name,
      kind === "group" ? `group of ${nodes.members[i]}${nodes.unknown[i] ? `, ${nodes.unknown[i]} unknown` : ""}` : kind,
      nodes.pinned?.[i] ? "pinned" : ""];
    set(link, "aria-label", `${parts.filter(Boolean).join(", ")}, ${words(nodes, i)} in`);
  }

  /** A small extra of a node, there or not. @param {Element} link @param {string} name @param {boolean} on @param {() => Element} build */
  #badge(link, name, on, build) {
    const present = link.querySelector(`:scope > .${name}`);
    if (on && !present) link.append(build());
    if (!on) present?.remove();
  }

  /** The one number that says most about a node. @param {number} i */
  #fact(i) {
    const { nodes } = /** @type {View} */ (this.view);
    if (nodes.kind[i] === "group") return `${nodes.members[i]} members${nodes.unknown[i] ? `, ${nodes.unknown[i]} unknown` : ""}`;
    if (nodes.health[i] === "failing" || nodes.health[i] === "degraded") {
      if ((nodes.error_ratio[i] ?? 0) >= 0.01) return `err ${share(nodes.error_ratio[i])}`;
      if (nodes.p95_seconds[i] !== null) return `p95 ${time(nodes.p95_seconds[i])}`;
    }
    return rate(nodes.rps[i]);
  }

  /** @param {string} id */
  #edge(id) {
    const group = make("g", { class: "edge", "data-id": id });
    group.append(make("path", { class: "hit" }), make("path", { class: "line" }));
    return group;
  }

  /** @param {SVGElement} group @param {number} i */
  #paintEdge(group, i) {
    const { nodes, edges } = /** @type {View} */ (this.view);
    const s = edges.source[i], t = edges.target[i];
    const [hit, line] = group.children, width = thickness(edges.rps[i]), head = headFor(width);
    set(group, "data-health", edges.health[i]);
    set(group, "data-kind", edges.kind[i]);
    if (edges.mark) for (const name of Object.keys(SIGNS)) group.classList.toggle(`m-${name}`, edges.mark[i] === name);
    const path = straight(nodes, s, t, this.pairs.has(`${t} ${s}`), HEADS[head] - 1);
    set(line, "d", path);
    set(hit, "d", path);
    set(line, "stroke-width", width.toFixed(1));
    set(line, "marker-end", `url(#arrow-${MARKS[edges.health[i]] ?? "unknown"}-${head})`);
  }

  /** Labels on the ten worst edges, always. */
  #labels() {
    const view = /** @type {View} */ (this.view);
    /** @type {import("./labels.js").Box[]} */ const taken = [];
    this.labelLayer.replaceChildren(...worst(view).map((i) => this.#label(i, brief(view, i), taken)));
  }

  /** Labels for these edges beside the worst ones, until the next call. @param {number[]} rows */
  ask(rows) {
    const view = /** @type {View} */ (this.view);
    this.labelLayer.querySelectorAll(".more").forEach((one) => one.remove());
    this.labelLayer.querySelectorAll("[visibility]").forEach((one) => one.removeAttribute("visibility"));
    this.edgeLayer.querySelectorAll(".asked").forEach((edge) => edge.classList.remove("asked"));
    /** @type {import("./labels.js").Box[]} */ const taken = [];
    for (const i of rows.slice(0, 12)) {
      this.edges.get(view.edges.id[i])?.classList.add("asked");
      const text = this.#label(i, full(view, i), taken);
      text.classList.add("more");
      this.labelLayer.querySelector(`[data-row-label="${i}"]:not(.more)`)?.setAttribute("visibility", "hidden");
      this.labelLayer.append(text);
    }
  }

  /** @param {number} i @param {string} said @param {import("./labels.js").Box[]} taken */
  #label(i, said, taken) {
    const { x, y } = spot(/** @type {View} */ (this.view), i, said, taken);
    const text = make("text", { "data-row-label": i, x: x.toFixed(1), y: y.toFixed(1) });
    text.textContent = said;
    return text;
  }
}

/** What a diff says about a node, as a sign at its corner. @param {SVGElement} link @param {string|null|undefined} mark @param {number} x @param {number} y */
function sign(link, mark, x, y) {
  for (const name of Object.keys(SIGNS)) link.classList.toggle(`m-${name}`, mark === name);
  const known = SIGNS[mark ?? ""], present = link.querySelector(":scope > .sign");
  if (!known) return present?.remove();
  const group = present ?? make("g", { class: "sign", transform: `translate(${x} ${y})` });
  if (!present) group.append(make("circle", { r: 9 }), make("text", { y: 5, "text-anchor": "middle" }));
  write(group.children[1], known[0]);
  if (!present) link.append(group);
}

/** The address that shows the members of a folded group. @param {string} name */
export function unfold(name) {
  const address = new URL(location.href);
  toggle(address.searchParams, "opened", name, true);
  toggle(address.searchParams, "folded", name, false);
  return address.pathname + address.search;
}

/** Add a name to a list in a query, or take it out. @param {URLSearchParams} query @param {string} list @param {string} name @param {boolean} on */
export function toggle(query, list, name, on) {
  const names = new Set((query.get(list) ?? "").split(",").filter(Boolean));
  if (on) names.add(name); else names.delete(name);
  if (names.size) query.set(list, [...names].join(",")); else query.delete(list);
}
