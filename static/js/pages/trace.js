// @ts-check
// The waterfall: arrows walk the lines, left and right close and open, a jump opens where it lands.
import { attachAll, behaviour } from "../lib/attach.js";

const LINE = ".fall-row:is(summary, a)";

/** @param {HTMLElement} list */
function attach(list) {
  list.addEventListener("keydown", (event) => {
    const line = event.target instanceof Element ? event.target.closest(LINE) : null;
    if (!line || event.ctrlKey || event.metaKey || event.altKey) return;
    const lines = /** @type {HTMLElement[]} */ ([...list.querySelectorAll(LINE)]);
    const at = lines.indexOf(/** @type {HTMLElement} */ (line));
    const step = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, Home: -at, End: lines.length - 1 - at }[event.key];
    if (step !== undefined) lines[Math.min(Math.max(at + step, 0), lines.length - 1)]?.focus();
    else if (event.key === "ArrowRight") show(line, true);
    else if (event.key === "ArrowLeft") show(line, false);
    else return;
    event.preventDefault();
  });
  window.addEventListener("hashchange", land);
  land();
  // the browser goes to the fragment by itself once all is loaded, and takes the focus away
  if (document.readyState !== "complete") window.addEventListener("load", () => requestAnimationFrame(land));
}

/** @param {Element} line @param {boolean} open */
function show(line, open) {
  if (line.parentElement instanceof HTMLDetailsElement) line.parentElement.open = open;
}

/** Open the span that the address names and give it the focus. */
function land() {
  const line = location.hash && document.getElementById(location.hash.slice(1))?.querySelector(LINE);
  if (!(line instanceof HTMLElement)) return;
  show(line, true);
  line.focus({ preventScroll: true });
  line.scrollIntoView({ block: "center" });
}

behaviour("[data-fall]", attach);
attachAll(document);
