// @ts-check
// Times become ages ("4 s ago", "for 6 m"), by the server's clock. Mirrors the durations of app/pages/format.py.

/** @type {[number, string][]} */
const UNITS = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
let offset = 0;

/** Milliseconds of the server's clock. */
export function now() {
  return Date.now() + offset;
}

/** Learn the server's clock from a time it just told.
 * @param {string} iso */
export function setNow(iso) {
  const told = Date.parse(iso);
  if (!Number.isNaN(told)) offset = told - Date.now();
}

/** Two units at most: 4 s, 2 m 10 s, 1 d 2 h.
 * @param {number} seconds */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const place = UNITS.findIndex(([size]) => whole >= size);
  if (place < 0) return "0 s";
  const [size, unit] = UNITS[place];
  const small = UNITS[place + 1];
  const rest = small ? Math.floor((whole % size) / small[0]) : 0;
  return `${Math.floor(whole / size)} ${unit}` + (rest ? ` ${rest} ${small[1]}` : "");
}

/** An age moves in calm steps: seconds below a minute, then tens of seconds, then minutes.
 * @param {number} seconds */
export function calm(seconds) {
  const step = seconds < 60 ? 1 : seconds < 600 ? 10 : 60;
  return Math.floor(Math.max(0, seconds) / step) * step;
}

/** @param {HTMLTimeElement} element */
function paint(element) {
  const seconds = (now() - Date.parse(element.dateTime)) / 1000;
  if (Number.isNaN(seconds)) return;
  const text = duration(calm(seconds));
  const words = element.dataset.age === "for" ? `for ${text}` : `${text} ago`;
  if (element.textContent !== words) element.textContent = words;
}

/** Paint all ages in `root`; called in the same task as each morph, so nothing flickers.
 * @param {ParentNode} root */
export function repaint(root) {
  root.querySelectorAll("time[data-age]").forEach((one) => paint(/** @type {HTMLTimeElement} */ (one)));
}

/** @param {HTMLTimeElement} element */
export function attach(element) {
  paint(element);
}

setNow(document.body.dataset.now ?? "");
setInterval(() => document.hidden || repaint(document), 1000);
