// @ts-check
/** What surrounds the drawing: its extent, the sentence about what is missing, and the arrow heads. */
import { make } from "./draw.js";
import { HEADS } from "./line.js";
import { HEIGHT, MARKS, WIDTH } from "./shapes.js";

/** The rectangle that holds all nodes. @param {import("./draw.js").View} view */
export function world({ nodes }) {
  if (!nodes.id.length) return { x: 0, y: 0, w: 1000, h: 600 };
  const xs = [Math.min(...nodes.x), Math.max(...nodes.x)], ys = [Math.min(...nodes.y), Math.max(...nodes.y)];
  return { x: xs[0] - WIDTH / 2 - 16, y: ys[0] - HEIGHT / 2 - 16, w: xs[1] - xs[0] + WIDTH + 32, h: ys[1] - ys[0] + 1.5 * HEIGHT + 32 };
}

/** What is not drawn, and whether the places are provisional. @param {HTMLElement} element @param {import("./draw.js").View} view */
export function tell(element, view) {
  const parts = view.cut.why ? [view.cut.why] : [];
  if (view.cut.nodes_shown < view.cut.nodes_total) parts.push(`${view.cut.nodes_shown} of ${view.cut.nodes_total} nodes drawn`);
  const groups = view.nodes.kind.filter((kind) => kind === "group").length;
  if (groups && !view.cut.why) parts.push(`${groups} group${groups > 1 ? "s are" : " is"} folded`);
  if (view.layout.approximate) parts.push("layout is provisional");
  if (!view.nodes.id.length) parts.push("nothing to draw");
  const text = parts.join("; ");
  const place = element.parentElement?.querySelector("[data-map-cut]");
  if (place) place.textContent = text && `${text[0].toUpperCase()}${text.slice(1)}.`;
  const frame = /** @type {HTMLElement | null} */ (element.closest("[data-view]"));
  if (view.cut.table_first && frame) frame.dataset.view = "table";
}

/** What lines and nodes refer to: an arrow head per health colour and size, and the health marks of the page's sprite. */
export function markers() {
  const defs = make("defs");
  for (const token of [...new Set(Object.values(MARKS)), "pale"]) {
    for (const [name, size] of Object.entries(HEADS)) {
      const marker = make("marker", { id: `arrow-${token}-${name}`, class: `arrow mark-${token}`, viewBox: "0 0 10 10", refX: 0.5, refY: 5,
        markerWidth: size, markerHeight: size, markerUnits: "userSpaceOnUse", orient: "auto" });
      marker.append(make("path", { d: "M0 1.2 10 5 0 8.8z" }));
      defs.append(marker);
    }
    const marker = make("marker", { id: `mark-${token}`, class: `mark-${token}`, viewBox: "0 0 16 16", refX: 8, refY: 8,
      markerWidth: 17, markerHeight: 17, markerUnits: "userSpaceOnUse" });
    for (const part of document.getElementById(`h-${token}`)?.children ?? []) marker.append(part.cloneNode(true));
    defs.append(marker);
  }
  return defs;
}
