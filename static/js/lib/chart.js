// @ts-check
/**
 * A chart: a figure template (server, no data) filled with columns (API). Plotly is loaded when the first
 * chart comes into sight; off screen or in a hidden tab nothing is drawn. Only newPlot and react.
 */

/** @typedef {{role: string, name?: string, y: (number|null)[]}} Series */
/** @typedef {{t0: number, step_s: number, n: number, stale?: boolean, as_of?: string, series: Series[],
 *   heat?: {bounds: number[], z: (number|null)[][]}, lines?: {role: string, y: number}[],
 *   marks?: {t: number, text: string}[]}} Columns */

/** @type {Promise<any> | null} */
let plotly = null;
/** @type {Map<string, Promise<any>>} */
const templates = new Map();

/** Load the library once; its own style element is replaced by a link that is already in the page. */
function library() {
  plotly ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = new URL("../../vendor/plotly-cartesian.js", import.meta.url).href;
    script.onload = () => done(/** @type {any} */ (window).Plotly);
    script.onerror = () => failed(new Error("charts could not be loaded"));
    document.head.append(script);
  });
  return plotly;
}

function theme() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

/** @param {string} kind */
function template(kind) {
  const address = `/figures/${kind}.json?theme=${theme()}&v=${document.body.dataset.build}`;
  const known = templates.get(address);
  if (known) return known;
  const asked = fetch(address).then((answer) => (answer.ok ? answer.json() : Promise.reject(answer.status)));
  templates.set(address, asked);
  return asked;
}

/** Plotly reads a small HTML subset in every text; telemetry must not draw with it. @param {string} text */
const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

/** @param {Columns} columns */
const times = (columns) =>
  Array.from({ length: columns.n }, (_, i) => new Date((columns.t0 + i * columns.step_s) * 1000));

/**
 * Traces and layout for one drawing; always clones, because Plotly writes the user's zoom into what it is given.
 * @param {any} figure @param {Columns} columns @param {string} revision
 */
export function fill(figure, columns, revision) {
  const { traces, layout, mark } = structuredClone(figure);
  const x = times(columns);
  const drawn = [];
  layout.annotations = [];
  for (const one of columns.series) {
    const trace = traces[one.role];
    if (!trace) continue;
    drawn.push({ ...trace, x, y: one.y, opacity: columns.stale ? 0.5 : 1 });
    const last = one.y.findLastIndex((value) => value !== null);
    if (Object.keys(traces).length > 1 && last >= 0) {
      layout.annotations.push({ x: x[last], y: one.y[last], text: plain(one.name ?? one.role), showarrow: false,
        xanchor: "left", xshift: 4, font: { size: 11, color: trace.line.color } });
    }
  }
  if (traces.heat && columns.heat) {
    drawn.push({ ...traces.heat, x, y: columns.heat.bounds, z: columns.heat.z });
  }
  layout.shapes = (columns.marks ?? []).map((one) => ({ type: "line", yref: "paper", y0: 0, y1: 1,
    x0: one.t * 1000, x1: one.t * 1000, line: { color: mark.line, width: 1, dash: "dot" } }));
  for (const line of columns.lines ?? []) {
    layout.shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, y0: line.y, y1: line.y,
      line: { color: mark.line, width: 1, dash: "dash" } });
  }
  layout.uirevision = revision;
  layout.datarevision = columns.as_of;
  return { drawn, layout };
}

/** Where the numbers are; a live range ends at the last full minute. @param {HTMLElement} element */
function source(element) {
  const address = new URL(/** @type {string} */ (element.dataset.src), location.href);
  const seconds = Number(element.dataset.seconds);
  if (seconds) {
    const end = Math.floor(Date.now() / 60000) * 60000;
    address.searchParams.set("from", new Date(end - seconds * 1000).toISOString());
    address.searchParams.set("to", new Date(end).toISOString());
  }
  return address.href;
}

/** @param {HTMLElement} element */
async function draw(element) {
  const [Plotly, figure, answer] = await Promise.all([
    library(), template(/** @type {string} */ (element.dataset.chart)), fetch(source(element))]);
  if (!answer.ok) throw new Error(`the numbers could not be read (${answer.status})`);
  const { drawn, layout } = fill(figure, await answer.json(), element.dataset.src + (element.dataset.seconds ?? ""));
  if (!element.isConnected) return;
  await Plotly.react(element, drawn, layout, figure.config);
  element.querySelectorAll("svg").forEach((svg) => svg.setAttribute("aria-hidden", "true"));
  element.removeAttribute("aria-busy");
  element.dataset.drawn = "";
}

/** @param {HTMLElement} element */
export function attach(element) {
  let visible = false, running = false, again = false;
  const update = async () => {
    if (!visible || document.hidden || ("drawn" in element.dataset && "frozen" in document.body.dataset)) return;
    if (running) { again = true; return; }
    running = true;
    try {
      await draw(element);
      element.removeAttribute("data-problem");
    } catch (problem) {
      element.dataset.problem = problem instanceof Error ? problem.message : "the chart could not be drawn";
    }
    running = false;
    if (again) { again = false; update(); }
  };
  const sight = new IntersectionObserver((entries) => {
    visible = entries.some((entry) => entry.isIntersecting);
    update();
  }, { rootMargin: "100px" });
  sight.observe(element);
  document.addEventListener("qd:stale", (event) => {
    if (/** @type {CustomEvent} */ (event).detail.includes("fleet")) update();
  });
  for (const name of ["qd:revalidate", "visibilitychange"]) document.addEventListener(name, update);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);
}
