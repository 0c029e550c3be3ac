// @ts-check
/**
 * A chart: a figure template filled with columns. Plotly is loaded when the first chart comes into sight;
 * off screen, in a hidden tab or (on a phone) before it is opened nothing is drawn. Only newPlot and react.
 */
import { fill, offset } from "./chart-fill.js";

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
  const asked = fetch(address).then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error("the chart could not be drawn"))));
  asked.catch(() => templates.delete(address));
  templates.set(address, asked);
  return asked;
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
  const columns = await answer.json();
  const revision = element.dataset.src + (element.dataset.seconds ?? "");
  const { drawn, layout } = fill(figure, columns, revision, element.dataset.zone);
  if (!element.isConnected) return;
  await Plotly.react(element, drawn, layout, figure.config);
  element.querySelectorAll("svg").forEach((svg) => svg.setAttribute("aria-hidden", "true"));
  element.querySelectorAll(".modebar-btn").forEach((button) => button.setAttribute("aria-label", button.getAttribute("data-title") ?? ""));
  element.dataset.points = String(columns.n);
  if (!("drawn" in element.dataset)) listen(element);
  element.dataset.drawn = "";
}

/** A chart that was drawn: its zoom can become the page's range, its pointer shows in the other charts. @param {any} element */
function listen(element) {
  const zone = element.dataset.zone ?? "UTC";
  element.on("plotly_relayout", (/** @type {Record<string, any>} */ change) => {
    const [from, to] = [change["xaxis.range[0]"], change["xaxis.range[1]"]].map((text) =>
      text === undefined ? null : Date.parse(typeof text === "number" ? new Date(text).toISOString() : `${String(text).replace(" ", "T")}Z`));
    const link = element.parentElement?.querySelector("[data-chart-range]");
    if (!(link instanceof HTMLAnchorElement) || (from === null && !change["xaxis.autorange"])) return;
    link.hidden = from === null || to === null;
    if (from === null || to === null) return;
    const address = new URL(location.href);
    for (const [name, value] of /** @type {[string, number][]} */ ([["from", from], ["to", to]])) {
      address.searchParams.set(name, new Date(value - offset(value, zone)).toISOString().slice(0, 19) + "Z");
    }
    link.href = address.href;
  });
  const others = () => [...document.querySelectorAll("[data-chart][data-drawn]")].filter((one) => one !== element);
  element.on("plotly_hover", (/** @type {any} */ event) => others().forEach((one) => cursor(one, event.points?.[0]?.x)));
  element.on("plotly_unhover", () => others().forEach((one) => cursor(one, null)));
}

/** A line of our own over a chart, where the pointer is in another one. @param {any} element @param {any} x */
function cursor(element, x) {
  const known = element.querySelector(".chart-cursor");
  const axis = element._fullLayout?.xaxis;
  const left = x == null || !axis ? NaN : axis._offset + axis.d2p(x);
  if (!(left >= axis?._offset && left <= axis._offset + axis._length)) return known?.remove();
  const line = known ?? document.createElement("div");
  line.className = "chart-cursor";
  line.style.left = `${left}px`;
  if (!known) element.append(line);
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
    element.removeAttribute("aria-busy");
    running = false;
    if (again) { again = false; update(); }
  };
  new IntersectionObserver((entries) => {
    visible = entries[entries.length - 1].isIntersecting;
    if (visible) update();
  }, { rootMargin: "100px" }).observe(element);
  const opener = element.parentElement?.querySelector("[data-chart-open]");
  opener?.addEventListener("click", () => {
    element.dataset.open = "";
    opener.remove();
  });
  document.addEventListener("qd:stale", (event) => {
    if (/** @type {CustomEvent} */ (event).detail.includes("fleet")) update();
  });
  for (const name of ["qd:revalidate", "visibilitychange"]) document.addEventListener(name, update);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);
}
