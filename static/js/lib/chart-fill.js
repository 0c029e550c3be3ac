// @ts-check
/** A figure template (server, no data) filled with columns (API): pure functions, nothing is drawn here. */

/** @typedef {{role: string, name?: string, y: (number|null)[]}} Series */
/** @typedef {{t0: number, step_s: number, n: number, stale?: boolean, as_of?: string, series: Series[],
 *   heat?: {bounds: number[], z: (number|null)[][]} | null, lines?: {role: string, y: number}[],
 *   marks?: {t: number, text: string}[]}} Columns */

const LABEL = 13; // least distance of two end labels, in pixels

/** Plotly reads a small HTML subset in every text; telemetry must not draw with it. @param {string} text */
const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

/** Milliseconds between a zone's clock and UTC at a moment: Plotly knows no zones. @param {number} at @param {string} zone */
export function offset(at, zone) {
  const name = new Intl.DateTimeFormat("en", { timeZone: zone, timeZoneName: "longOffset" })
    .formatToParts(at).find((part) => part.type === "timeZoneName")?.value ?? "";
  const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)/.exec(name) ?? ["", "+", "0", "0"];
  return (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60000;
}

/** Height of each label above its value so that none covers another. @param {number[]} values @param {number} top @param {number} pixels */
export function spread(values, top, pixels) {
  const place = values.map((value) => (value / top) * pixels);
  const order = values.map((_, i) => i).sort((a, b) => place[a] - place[b]);
  const moved = [...place];
  order.forEach((one, i) => { if (i) moved[one] = Math.max(place[one], moved[order[i - 1]] + LABEL); });
  const over = Math.max(0, (moved[order.at(-1) ?? 0] ?? 0) - pixels);
  for (let i = order.length - 1, most = pixels; over && i >= 0; i -= 1, most -= LABEL) moved[order[i]] = Math.min(moved[order[i]], most);
  return moved.map((height, i) => height - place[i]);
}

/**
 * Traces and layout for one drawing; always clones, because Plotly writes the user's zoom into what it is given.
 * @param {any} figure @param {Columns} columns @param {string} revision @param {string} [zone]
 */
export function fill(figure, columns, revision, zone = "UTC") {
  const { traces, layout, mark, least } = structuredClone(figure);
  const shift = offset((columns.t0 + columns.n * columns.step_s) * 1000, zone);
  const at = (/** @type {number} */ seconds) => seconds * 1000 + shift;
  const x = Array.from({ length: columns.n }, (_, i) => at(columns.t0 + i * columns.step_s));
  const drawn = [];
  for (const one of columns.series) {
    if (traces[one.role]) drawn.push({ ...traces[one.role], x, y: one.y, opacity: columns.stale ? 0.5 : 1 });
  }
  if (traces.heat && columns.heat?.z.length) {
    drawn.push({ ...traces.heat, x: [...x, at(columns.t0 + columns.n * columns.step_s)], y: columns.heat.bounds, z: columns.heat.z });
    layout.yaxis.range = [Math.log10(columns.heat.bounds[0]), Math.log10(/** @type {number} */ (columns.heat.bounds.at(-1)))];
  }
  const high = columns.series.flatMap((one) => one.y).reduce((/** @type {number} */ most, value) => Math.max(most, value ?? 0), 0);
  if (least) layout.yaxis.range = [0, Math.max(high * 1.08, least)];
  layout.annotations = Object.keys(traces).length > 1 ? labels(columns, traces, x, layout) : [];
  layout.shapes = (columns.marks ?? []).map((one) => ({ type: "line", yref: "paper", y0: 0, y1: 1,
    x0: at(one.t), x1: at(one.t), line: { color: mark.line, width: 1, dash: "dot" } }));
  for (const line of columns.lines ?? []) {
    layout.shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, y0: line.y, y1: line.y,
      line: { color: mark.line, width: 1, dash: "dash" } });
  }
  layout.uirevision = revision;
  layout.datarevision = columns.as_of;
  return { drawn, layout };
}

/** The name of each line where it ends. @param {Columns} columns @param {any} traces @param {number[]} x @param {any} layout */
function labels(columns, traces, x, layout) {
  const ends = columns.series.map((one) => one.y.findLastIndex((value) => value !== null));
  const told = columns.series.map((_, i) => i).filter((i) => ends[i] >= 0 && traces[columns.series[i].role]);
  const values = told.map((i) => /** @type {number} */ (columns.series[i].y[ends[i]]));
  const lifts = spread(values, layout.yaxis.range[1], layout.height - 36);
  return told.map((i, place) => ({ x: x[ends[i]], y: values[place], text: plain(columns.series[i].name ?? columns.series[i].role),
    showarrow: false, xanchor: "left", xshift: 4, yshift: lifts[place], font: { size: 11, color: traces[columns.series[i].role].line.color } }));
}
