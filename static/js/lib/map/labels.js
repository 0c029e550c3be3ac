// @ts-check
/** Where the texts of edges stand: along their line, clear of nodes and of each other as far as there is room. */
import { ends } from "./line.js";
import { HEIGHT, WIDTH } from "./shapes.js";
import { measure, rate, share, SIGNS, time } from "./words.js";

/** @typedef {import("./draw.js").View} View */
/** @typedef {{x: number, y: number, w: number, h: number}} Box */

const ALONG = [0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.18, 0.82];
const FONT = "13px", LINE = 17; // as in topology.css
const ORDER = { failing: 0, degraded: 1 };
const WORST = 10;

/** Rows of the worst edges, or of those that a diff marks. @param {View} view */
export function worst({ edges }) {
  const rows = edges.id.map((_, i) => i);
  const rank = (/** @type {number} */ i) => ORDER[/** @type {"failing"} */ (edges.health[i])] ?? 2;
  const wanted = edges.mark ? rows.filter((i) => edges.mark?.[i]) : rows.filter((i) => rank(i) < 2);
  return wanted.sort((a, b) => rank(a) - rank(b) || (edges.rps[b] ?? 0) - (edges.rps[a] ?? 0)).slice(0, WORST);
}

/** The one number that is bad. @param {View} view @param {number} i */
export function brief({ edges }, i) {
  const sign = SIGNS[edges.mark?.[i] ?? ""];
  const said = (edges.error_ratio[i] ?? 0) >= 0.01 ? `err ${share(edges.error_ratio[i])}`
    : edges.p95_seconds[i] !== null ? `p95 ${time(edges.p95_seconds[i])}` : rate(edges.rps[i]);
  return sign ? `${sign[0]} ${sign[1] === "gone" ? "gone" : said}` : said;
}

/** All numbers of an edge. @param {View} view @param {number} i */
export function full({ edges }, i) {
  const told = [rate(edges.rps[i])];
  if (edges.error_ratio[i]) told.push(`err ${share(edges.error_ratio[i])}`);
  if (edges.p95_seconds[i] !== null) told.push(`p95 ${time(edges.p95_seconds[i])}`);
  return told.join(", ");
}

/** Where a text of an edge stands: beside the middle of its line if that is free, else further along, else above or below both ends.
 * @param {View} view @param {number} i @param {string} text @param {Box[]} taken grows by the text's box */
export function spot({ nodes, edges }, i, text, taken) {
  const s = edges.source[i], t = edges.target[i], w = measure(text, FONT) + 6, half = { w: w / 2, h: LINE / 2 };
  const [x1, y1, x2, y2] = s === t ? [nodes.x[s] + 60, nodes.y[s] - HEIGHT, nodes.x[s] + 60, nodes.y[s] - HEIGHT] : ends(nodes, s, t, false);
  const length = Math.hypot(x2 - x1, y2 - y1) || 1, steep = Math.abs(y2 - y1) / length, flat = Math.abs(x2 - x1) / length;
  const aside = steep * half.w + flat * half.h + 3; // so far from the line that it does not run through the text
  /** @type {Box[]} */ const boxes = [];
  const offer = (/** @type {number} */ share, /** @type {number} */ away) => {
    const x = x1 + (x2 - x1) * share - ((y2 - y1) / length) * away, y = y1 + (y2 - y1) * share + ((x2 - x1) / length) * away;
    boxes.push({ x: x - half.w, y: y - half.h, w, h: LINE });
  };
  const sides = flat > 0.6 ? [-aside, 0, aside] : [0];
  for (const share of ALONG) for (const away of sides) offer(share, away);
  for (const away of [1, 2]) for (const side of [-1, 1]) offer(0.5, side * (HEIGHT / 2 + away * LINE));
  const near = nodes.id.map((_, n) => n).filter((n) => Math.abs(nodes.x[n] - (x1 + x2) / 2) < Math.abs(x2 - x1) / 2 + WIDTH + w
    && Math.abs(nodes.y[n] - (y1 + y2) / 2) < Math.abs(y2 - y1) / 2 + 3 * HEIGHT);
  const filled = near.map((n) => ({ x: nodes.x[n] - WIDTH / 2, y: nodes.y[n] - HEIGHT / 2, w: WIDTH, h: HEIGHT }));
  const reach = { x: Math.min(x1, x2) - w, y: Math.min(y1, y2) - 2 * HEIGHT, w: Math.abs(x2 - x1) + 2 * w, h: Math.abs(y2 - y1) + 4 * HEIGHT };
  const lines = edges.id.map((_, e) => e).filter((e) => e !== i && edges.source[e] !== edges.target[e] && crosses(reach, nodes, edges.source[e], edges.target[e]));
  let best = boxes[0], least = Infinity;
  for (const box of boxes) {
    const cost = 9 * taken.filter((other) => meets(box, other)).length + 9 * filled.filter((other) => meets(box, other)).length
      + lines.filter((e) => crosses(box, nodes, edges.source[e], edges.target[e])).length;
    if (cost < least) [best, least] = [box, cost];
    if (cost === 0) break;
  }
  taken.push(best);
  return { x: best.x + half.w, y: best.y + half.h + 4.5 };
}

/** Whether the line between two nodes runs through a box. @param {Box} box @param {import("./draw.js").Nodes} nodes @param {number} s @param {number} t */
function crosses({ x, y, w, h }, { x: xs, y: ys }, s, t) {
  const x1 = xs[s], y1 = ys[s], dx = xs[t] - x1, dy = ys[t] - y1;
  let from = 0, to = 1;
  for (const [start, way, low, high] of [[x1, dx, x, x + w], [y1, dy, y, y + h]]) {
    if (way === 0) { if (start < low || start > high) return false; continue; }
    const a = (low - start) / way, b = (high - start) / way;
    from = Math.max(from, Math.min(a, b));
    to = Math.min(to, Math.max(a, b));
  }
  return from <= to;
}

/** @param {Box} a @param {Box} b */
const meets = (a, b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
