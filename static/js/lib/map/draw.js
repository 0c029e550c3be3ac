// @ts-check
/**
 * Draws a map view as SVG: nodes are links, edges are straight lines with an arrow at the callee.
 * A refresh with the same layout only changes attributes; known nodes keep their elements and places.
 */
import { fit, HEIGHT, label, MARKS, OUTLINES, WIDTH } from "./shapes.js";

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {{id: string[], name: string[], kind: string[], health: string[], reason: (string|null)[], x: number[], y: number[],
 *   rps: (number|null)[], error_ratio: (number|null)[], p95_seconds: (number|null)[], members: (number|null)[], href: (string|null)[],
 *   namespace: (string|null)[], unknown: (number|null)[]}} Nodes */
/** @typedef {{id: string[], source: number[], target: number[], kind: string[], protocol: string[], health: string[],
 *   reason: (string|null)[], rps: (number|null)[], error_ratio: (number|null)[], p95_seconds: (number|null)[]}} Edges */
/** @typedef {{version: string, view: {focus: string|null}, layout: {hash: string, width: number, height: number, approximate: boolean}, nodes: Nodes, edges: Edges,
 *   cut: {nodes_total: number, nodes_shown: number, edges_total: number, edges_shown: number, why: string, table_first: boolean}}} View */

/** @param {string} name @param {Record<string, string|number>} attributes */
export function make(name, attributes = {}) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}

/** @param {number|null} value */
export const rate = (value) => value === null ? "no data" : value === 0 ? "no traffic"
  : value >= 1000 ? `${(value / 1000).toFixed(1)} k rps` : value >= 10 ? `${Math.round(value)} rps` : `${value.toPrecision(2)} rps`;
/** @param {number|null} value */
export const share = (value) => value === null ? "no data" : `${Number((value * 100).toPrecision(2))} %`;
/** @param {number|null} value */
export const time = (value) => value === null ? "no data" : value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toPrecision(2)} s`;

/** Numbers of a row in words. @param {Nodes|Edges} rows @param {number} i */
function words(rows, i) {
  const parts = [rows.health[i]];
  if (rows.reason[i]) parts.push(/** @type {string} */ (rows.reason[i]));
  if (rows.error_ratio[i]) parts.push(`errors ${share(rows.error_ratio[i])}`);
  if (rows.p95_seconds[i] !== null) parts.push(`p95 ${time(rows.p95_seconds[i])}`);
  parts.push(rate(rows.rps[i]));
  return parts.join(", ");
}

/** Where a line from (x1, y1) meets the border of a node at (x2, y2). @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 @param {string} kind */
function border(x1, y1, x2, y2, kind) {
  const dx = x1 - x2, dy = y1 - y2;
  const w = (kind === "client" ? HEIGHT : WIDTH) / 2 + 2, h = HEIGHT / 2 + 2;
  const scale = Math.min(dx === 0 ? Infinity : w / Math.abs(dx), dy === 0 ? Infinity : h / Math.abs(dy), 1);
  return [x2 + dx * scale, y2 + dy * scale];
}

export class Drawing {
  /** @param {SVGSVGElement} svg */
  constructor(svg) {
    this.svg = svg;
    this.scene = make("g", { class: "scene" });
    this.edgeLayer = make("g", { class: "edges", "aria-hidden": "true" });
    this.labelLayer = make("g", { class: "edge-labels", "aria-hidden": "true" });
    this.nodeLayer = make("g", { class: "nodes" });
    this.scene.append(this.edgeLayer, this.labelLayer, this.nodeLayer);
    svg.append(this.scene);
    /** @type {Map<string, SVGElement>} */ this.nodes = new Map();
    /** @type {Map<string, SVGElement>} */ this.edges = new Map();
    /** @type {View | null} */ this.view = null;
  }

  /** @param {View} view */
  show(view) {
    this.view = view;
    this.#keep(this.nodes, view.nodes.id, this.nodeLayer, (id, i) => this.#node(id, i));
    view.nodes.id.forEach((id, i) => this.#paintNode(/** @type {SVGElement} */ (this.nodes.get(id)), i));
    this.#keep(this.edges, view.edges.id, this.edgeLayer, (id) => this.#edge(id));
    const pairs = new Set(view.edges.id.map((_, i) => `${view.edges.source[i]} ${view.edges.target[i]}`));
    view.edges.id.forEach((id, i) => this.#paintEdge(/** @type {SVGElement} */ (this.edges.get(id)), i, pairs));
    this.#shown = true;
    this.#labels(view);
  }

  #shown = false;

  /** Elements for exactly these ids, the known ones kept. @param {Map<string, SVGElement>} known @param {string[]} ids
   * @param {Element} layer @param {(id: string, i: number) => SVGElement} build */
  #keep(known, ids, layer, build) {
    const wanted = new Set(ids);
    for (const [id, element] of known) if (!wanted.has(id)) { element.remove(); known.delete(id); }
    ids.forEach((id, i) => {
      if (known.has(id)) return;
      const element = build(id, i);
      if (known.size && this.#shown) element.classList.add("new");
      known.set(id, element);
      layer.append(element);
    });
  }

  /** @param {string} id @param {number} i */
  #node(id, i) {
    const kind = /** @type {View} */ (this.view).nodes.kind[i];
    const link = make("a", { class: `node node-${kind}`, tabindex: -1, "data-id": id });
    link.append(make("path", { class: "outline", d: OUTLINES[kind] ?? OUTLINES.service }));
    if (kind === "client") {
      link.append(make("text", { class: "name", y: HEIGHT / 2 + 16, "text-anchor": "middle" }));
      link.append(make("use", { class: "mark", width: 16, height: 16, x: -8, y: -8 }));
    } else {
      const lift = kind === "cache" || kind === "database" ? 3 : 0;
      link.append(make("use", { class: "mark", width: 18, height: 18, x: -WIDTH / 2 + 9, y: -9 + lift }));
      link.append(make("text", { class: "name", x: -WIDTH / 2 + 34, y: -2 + lift }));
      link.append(make("text", { class: "fact", x: -WIDTH / 2 + 34, y: 13 + lift }));
    }
    return link;
  }

  /** @param {SVGElement} link @param {number} i */
  #paintNode(link, i) {
    const { nodes } = /** @type {View} */ (this.view);
    const href = nodes.href[i] ?? unfold(nodes.name[i]);
    link.setAttribute("href", href);
    link.setAttribute("transform", `translate(${nodes.x[i]} ${nodes.y[i]})`);
    link.setAttribute("data-health", nodes.health[i]);
    link.toggleAttribute("data-unknown", nodes.kind[i] === "group" && (nodes.unknown[i] ?? 0) > 0);
    const token = MARKS[nodes.health[i]] ?? "unknown";
    const mark = /** @type {Element} */ (link.querySelector(".mark"));
    mark.setAttribute("href", `#h-${token}`);
    mark.setAttribute("class", `mark mark-${token}`);
    const { title, engine } = label(nodes.name[i], nodes.kind[i]);
    const shown = fit(title, 16), fact = nodes.kind[i] === "client" ? "" : [engine, this.#fact(i)].filter(Boolean).join(", ");
    /** @type {Element} */ (link.querySelector(".name")).textContent = shown;
    const place = link.querySelector(".fact");
    if (place) place.textContent = ` ${fact}`;
    // The name begins with what can be read on the map, so that it can be spoken (SC 2.5.3).
    const parts = [[shown, fact].filter(Boolean).join(" "), shown === nodes.name[i] ? "" : nodes.name[i],
      nodes.kind[i] === "group" ? `group of ${nodes.members[i]}${nodes.unknown[i] ? `, ${nodes.unknown[i]} unknown` : ""}` : nodes.kind[i]];
    link.setAttribute("aria-label", `${parts.filter(Boolean).join(", ")}, ${words(nodes, i)} in`);
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
    group.append(make("path", { class: "hit" }), make("path", { class: "line" }), make("title"));
    return group;
  }

  /** @param {SVGElement} group @param {number} i @param {Set<string>} pairs */
  #paintEdge(group, i, pairs) {
    const { nodes, edges } = /** @type {View} */ (this.view);
    const s = edges.source[i], t = edges.target[i];
    const line = /** @type {Element} */ (group.querySelector(".line"));
    const width = edges.rps[i] === null ? 1 : Math.min(6, Math.max(1, 1 + Math.log10(Math.max(1, /** @type {number} */ (edges.rps[i]))) * 1.6));
    group.setAttribute("data-health", edges.health[i]);
    group.setAttribute("data-kind", edges.kind[i]);
    group.setAttribute("data-ends", `${nodes.id[s]} ${nodes.id[t]}`);
    const path = s === t ? loop(nodes.x[s], nodes.y[s]) : straight(nodes, s, t, pairs.has(`${t} ${s}`));
    for (const element of [line, /** @type {Element} */ (group.querySelector(".hit"))]) element.setAttribute("d", path);
    line.setAttribute("stroke-width", width.toFixed(1));
    line.setAttribute("marker-end", `url(#arrow-${MARKS[edges.health[i]] ?? "unknown"})`);
    /** @type {Element} */ (group.querySelector("title")).textContent =
      `${nodes.name[s]} to ${nodes.name[t]}, ${edges.protocol[i]}, ${words(edges, i)}`;
  }

  /** Labels on the ten worst edges, always. @param {View} view */
  #labels({ edges }) {
    const order = { failing: 0, degraded: 1 };
    const worst = edges.id.map((_, i) => i).filter((i) => edges.health[i] in order)
      .sort((a, b) => order[/** @type {"failing"} */ (edges.health[a])] - order[/** @type {"failing"} */ (edges.health[b])]
        || (edges.rps[b] ?? 0) - (edges.rps[a] ?? 0)).slice(0, 10);
    this.labelLayer.replaceChildren(...worst.map((i) => this.#label(i, (edges.error_ratio[i] ?? 0) >= 0.01
      ? `err ${share(edges.error_ratio[i])}` : `p95 ${time(edges.p95_seconds[i])}`)));
  }

  /** Labels for these edges beside the worst ones, until the next call. @param {number[]} rows */
  ask(rows) {
    const view = /** @type {View} */ (this.view);
    this.labelLayer.querySelectorAll(".more").forEach((one) => one.remove());
    this.edges.forEach((edge) => edge.classList.remove("asked"));
    for (const i of rows.slice(0, 12)) {
      this.edges.get(view.edges.id[i])?.classList.add("asked");
      const told = [rate(view.edges.rps[i])];
      if (view.edges.error_ratio[i]) told.push(`err ${share(view.edges.error_ratio[i])}`);
      if (view.edges.p95_seconds[i] !== null) told.push(`p95 ${time(view.edges.p95_seconds[i])}`);
      const text = this.#label(i, told.join(", "));
      text.classList.add("more");
      this.labelLayer.querySelector(`[data-row-label="${i}"]:not(.more)`)?.setAttribute("visibility", "hidden");
      this.labelLayer.append(text);
    }
    if (!rows.length) this.labelLayer.querySelectorAll("[visibility]").forEach((one) => one.removeAttribute("visibility"));
  }

  /** A text at the middle of an edge; beside it where the edge is too short to carry one. @param {number} i @param {string} said */
  #label(i, said) {
    const { nodes, edges } = /** @type {View} */ (this.view);
    const s = edges.source[i], t = edges.target[i];
    const flat = Math.abs(nodes.x[t] - nodes.x[s]) > WIDTH;
    const text = make("text", { "data-row-label": i, x: (nodes.x[s] + nodes.x[t]) / 2 + (flat ? 0 : 10),
      y: (nodes.y[s] + nodes.y[t]) / 2 + (flat ? -6 : 4), ...(flat ? {} : { class: "beside" }) });
    text.textContent = said;
    return text;
  }
}

/** @param {Nodes} nodes @param {number} s @param {number} t @param {boolean} twoWay */
function straight(nodes, s, t, twoWay) {
  const length = Math.hypot(nodes.x[t] - nodes.x[s], nodes.y[t] - nodes.y[s]) || 1;
  const off = twoWay ? 5 : 0;
  const ox = (-(nodes.y[t] - nodes.y[s]) / length) * off, oy = ((nodes.x[t] - nodes.x[s]) / length) * off;
  const [sx, sy] = [nodes.x[s] + ox, nodes.y[s] + oy], [tx, ty] = [nodes.x[t] + ox, nodes.y[t] + oy];
  const [x1, y1] = border(tx, ty, sx, sy, nodes.kind[s]), [x2, y2] = border(sx, sy, tx, ty, nodes.kind[t]);
  return `M${x1.toFixed(1)} ${y1.toFixed(1)}L${x2.toFixed(1)} ${y2.toFixed(1)}`;
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

/** A call to itself. @param {number} x @param {number} y */
const loop = (x, y) => `M${x + 40} ${y - HEIGHT / 2}c10-28 44-28 34 0`;
