// @ts-check
/** Geometry of the lines: straight from border to border, offset when calls go both ways, a loop for a call to itself. */
import { HEIGHT, WIDTH } from "./shapes.js";

/** @typedef {import("./draw.js").Nodes} Nodes */

/** Length of the two sizes of arrow heads, in map units; a thick line needs the big one to show. */
export const HEADS = { small: 10, big: 15 };

/** Width of a line by its rate, 1 to 6. @param {number|null} rps */
export const thickness = (rps) => rps === null ? 1 : Math.min(6, 1 + Math.log10(Math.max(1, rps)) * 1.6);

/** @param {number} width @returns {"small"|"big"} */
export const headFor = (width) => width > 3 ? "big" : "small";

/** Where a line from (x1, y1) meets the border of a node at (x2, y2).
 * @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 @param {string} kind */
function border(x1, y1, x2, y2, kind) {
  const dx = x1 - x2, dy = y1 - y2;
  if (kind === "client") {
    const far = (HEIGHT / 2 + 2) / (Math.hypot(dx, dy) || 1);
    return [x2 + dx * Math.min(far, 1), y2 + dy * Math.min(far, 1)];
  }
  const w = WIDTH / 2 + 2, h = HEIGHT / 2 + 2;
  const scale = Math.min(dx === 0 ? Infinity : w / Math.abs(dx), dy === 0 ? Infinity : h / Math.abs(dy), 1);
  return [x2 + dx * scale, y2 + dy * scale];
}

/** Both ends of an edge, at the borders of its nodes. @param {Nodes} nodes @param {number} s @param {number} t @param {boolean} twoWay */
export function ends(nodes, s, t, twoWay) {
  const length = Math.hypot(nodes.x[t] - nodes.x[s], nodes.y[t] - nodes.y[s]) || 1;
  const off = twoWay ? 6 : 0;
  const ox = (-(nodes.y[t] - nodes.y[s]) / length) * off, oy = ((nodes.x[t] - nodes.x[s]) / length) * off;
  const [sx, sy, tx, ty] = [nodes.x[s] + ox, nodes.y[s] + oy, nodes.x[t] + ox, nodes.y[t] + oy];
  return [...border(tx, ty, sx, sy, nodes.kind[s]), ...border(sx, sy, tx, ty, nodes.kind[t])];
}

/** The line of an edge; it ends where its arrow head begins. @param {Nodes} nodes @param {number} s @param {number} t
 * @param {boolean} twoWay @param {number} head length of the arrow head */
export function straight(nodes, s, t, twoWay, head) {
  if (s === t) return `M${nodes.x[s] + 40} ${nodes.y[s] - HEIGHT / 2}c10-28 44-28 34 ${-head}`;
  const [x1, y1, x2, y2] = ends(nodes, s, t, twoWay);
  const length = Math.hypot(x2 - x1, y2 - y1) || 1, share = Math.max(0, length - head) / length;
  return `M${x1.toFixed(1)} ${y1.toFixed(1)}L${(x1 + (x2 - x1) * share).toFixed(1)} ${(y1 + (y2 - y1) * share).toFixed(1)}`;
}
