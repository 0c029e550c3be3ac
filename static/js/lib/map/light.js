// @ts-check
/** What stands out: the callers and callees of one node, the ends of one edge, and the names that were searched for. */
import { related } from "./walk.js";

/** @typedef {import("./draw.js").View} View */

export class Light {
  /** @param {SVGSVGElement} svg @param {import("./draw.js").Drawing} drawing */
  constructor(svg, drawing) {
    this.svg = svg;
    this.drawing = drawing;
    this.picked = ""; // the id of the node or edge that is selected: it stays lit
    this.last = "";
  }

  /** Light up a node's relatives, or an edge; nothing = what is selected, or all alike. @param {number} [node] @param {number} [edge] */
  on(node = -1, edge = -1) {
    const { view } = this.drawing;
    if (!view) return;
    if (node < 0 && edge < 0 && this.picked) [node, edge] = [view.nodes.id.indexOf(this.picked), view.edges.id.indexOf(this.picked)];
    const key = `${view.version} ${view.layout.hash} ${node} ${edge}`;
    if (key === this.last) return;
    this.last = key;
    const near = edge >= 0 ? new Set([view.edges.source[edge], view.edges.target[edge]]) : node >= 0 ? related(view, node) : null;
    this.svg.classList.toggle("lit", near !== null);
    const touching = view.edges.id.map((_, i) => i).filter((i) => view.edges.source[i] === node || view.edges.target[i] === node);
    this.drawing.ask(edge >= 0 ? [edge] : node >= 0 ? touching : []);
    if (!near) return;
    view.nodes.id.forEach((id, i) => this.drawing.nodes.get(id)?.classList.toggle("near", near.has(i)));
    view.edges.id.forEach((id, i) => this.drawing.edges.get(id)?.classList.toggle("near",
      edge >= 0 ? i === edge : near.has(view.edges.source[i]) && near.has(view.edges.target[i])));
  }

  /** Mark the selected node or edge; "" selects nothing. @param {string} id */
  pick(id) {
    for (const known of [this.drawing.nodes, this.drawing.edges]) {
      known.get(this.picked)?.classList.remove("picked");
      known.get(id)?.classList.add("picked");
    }
    this.picked = id;
    this.on();
  }

  /** After a refresh: the same things stand out, and what the server found (columns `found`). */
  again() {
    const { view } = this.drawing;
    this.last = "";
    this.pick(this.picked);
    this.svg.classList.toggle("finding", Boolean(view?.view.find));
    view?.nodes.id.forEach((id, i) => this.drawing.nodes.get(id)?.classList.toggle("found", view.nodes.found?.[i] ?? false));
    view?.edges.id.forEach((id, i) => this.drawing.edges.get(id)?.classList.toggle("found", view.edges.found?.[i] ?? false));
  }
}
