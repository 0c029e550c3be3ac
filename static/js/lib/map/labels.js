// @ts-check
/** Where the texts of edges stand: along their line, clear of nodes and of each other as far as there is room. */
import { ends } from "./line.js";
import { HEIGHT, WIDTH } from "./shapes.js";
import { rate, share, SIGNS, time } from "./words.js";

/** @typedef {import("./draw.js").View} View */
/** @typedef {{x: number, y: number, w: number, h: number}} Box */

const ALONG = [0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.18, 0.82];
const LETTER = 7.2, LINE = 17; // of the labels' font, generously
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

/** The centre of a text on an edge; `taken` grows by its box. @param {View} view @param {number} i @param {string} text @param {Box[]} taken */
export function spot({ nodes, edges }, i, text, taken) {
  const s = edges.source[i], t = edges.target[i], w = text.length * LETTER + 6;
  const [x1, y1, x2, y2] = s === t ? [nodes.x[s] + 60, nodes.y[s] - HEIGHT, nodes.x[s] + 60, nodes.y[s] - HEIGHT] : ends(nodes, s, t, false);
  const boxes = ALONG.map((share) => ({ x: x1 + (x2 - x1) * share - w / 2, y: y1 + (y2 - y1) * share - LINE / 2, w, h: LINE }));
  const nearby = nodes.id.map((_, n) => ({ x: nodes.x[n] - WIDTH / 2, y: nodes.y[n] - HEIGHT / 2, w: WIDTH, h: HEIGHT }));
  const cost = (/** @type {Box} */ box) =>
    3 * taken.filter((other) => meets(box, other)).length + nearby.filter((other) => meets(box, other)).length;
  let best = boxes[0], least = Infinity;
  for (const box of boxes) {
    const found = cost(box);
    if (found < least) [best, least] = [box, found];
    if (found === 0) break;
  }
  taken.push(best);
  return { x: best.x + w / 2, y: best.y + LINE / 2 + 4.5 };
}

/** @param {Box} a @param {Box} b */
const meets = (a, b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
