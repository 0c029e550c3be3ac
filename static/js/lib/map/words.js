// @ts-check
/** Numbers and names of a map in words, and names cut to the room they have. */

/** @typedef {import("./draw.js").Nodes} Nodes */
/** @typedef {import("./draw.js").Edges} Edges */

/** @param {number|null} value */
export const rate = (value) => value === null ? "no data" : value === 0 ? "no traffic"
  : value >= 1000 ? `${(value / 1000).toFixed(1)} k rps` : value >= 10 ? `${Math.round(value)} rps` : `${value.toPrecision(2)} rps`;
/** @param {number|null} value */
export const share = (value) => value === null ? "no data" : `${Number((value * 100).toPrecision(2))} %`;
/** @param {number|null} value */
export const time = (value) => value === null ? "no data" : value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toPrecision(2)} s`;

/** What a diff says about a node or an edge: sign and word. @type {Record<string, [string, string]>} */
export const SIGNS = {
  new: ["+", "new"], gone: ["−", "gone"], worse: ["^", "worse"], better: ["v", "better"],
  volume: ["~", "other volume"], incomparable: ["?", "not comparable"],
};

/** Numbers of a row in words. @param {Nodes|Edges} rows @param {number} i */
export function words(rows, i) {
  const parts = [rows.health[i]];
  const sign = SIGNS[rows.mark?.[i] ?? ""];
  if (sign) parts.unshift(sign[1]);
  if (rows.reason[i]) parts.push(/** @type {string} */ (rows.reason[i]));
  if (rows.error_ratio[i]) parts.push(`errors ${share(rows.error_ratio[i])}`);
  if (rows.p95_seconds[i] !== null) parts.push(`p95 ${time(rows.p95_seconds[i])}`);
  parts.push(rate(rows.rps[i]));
  return parts.join(", ");
}

/** The two lines of a label: what it is called, and its engine if it was inferred. @param {string} name @param {string} kind */
export function label(name, kind) {
  const parts = kind === "queue" ? /^([^/]+)\/(.+)$/.exec(name) : kind === "database" || kind === "cache" ? /^([^@]+)@(.+?)(?::\d+)?$/.exec(name) : null;
  return parts ? { title: parts[2], engine: parts[1] } : { title: name, engine: "" };
}

// Controls and marks of direction would let a name rewrite what stands beside it.
const INVISIBLE = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const LONGEST = 200;
const ruler = document.createElement("canvas").getContext("2d");
let family = "";
/** @type {Map<string, string>} */
const fitted = new Map();

/** Cut a text to a width in map units; the whole name stays in the accessible name and the title.
 * @param {string} text @param {number} room @param {string} font as in a style sheet: "600 14px" */
export function fit(text, room, font) {
  const key = `${font} ${room} ${text}`;
  const known = fitted.get(key);
  if (known !== undefined) return known;
  if (fitted.size > 5000) fitted.clear();
  const found = cut([...text.slice(0, LONGEST).replace(INVISIBLE, "")], room, font);
  fitted.set(key, found);
  return found;
}

/** The width of a text in map units. @param {string} text @param {string} font */
export function measure(text, font) {
  if (!ruler) return text.length * 9;
  const whole = `${font} ${family ||= getComputedStyle(document.body).fontFamily}`;
  if (ruler.font !== whole) ruler.font = whole;
  return ruler.measureText(text).width;
}

/** @param {string[]} letters @param {number} room @param {string} font */
function cut(letters, room, font) {
  const width = (/** @type {number} */ count) => measure(count < letters.length ? `${letters.slice(0, count).join("")}…` : letters.join(""), font);
  if (width(letters.length) <= room) return letters.join("");
  let low = 0, high = letters.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (width(middle) <= room) low = middle; else high = middle - 1;
  }
  return `${letters.slice(0, low).join("").trimEnd()}…`;
}
