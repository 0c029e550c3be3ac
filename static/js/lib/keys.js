// @ts-check
// Keyboard: single keys, sequences (g f), the palette. No key ever changes anything in a cluster.
import { close, openDrawer } from "./drawer.js";
import { open } from "./dialog.js";

const PATIENCE = 1000;
const PLACES = { f: "/", t: "/topology", a: "/actions", u: "/audit", ",": "/settings/sources" };
const TIMES = { "+": "in", "=": "in", "-": "out", ArrowLeft: "earlier", ArrowRight: "later", a: "absolute" };
let first = "";
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** @param {HTMLElement} body */
export function attach(body) {
  const single = body.dataset.keys !== "off";
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      document.dispatchEvent(new CustomEvent("qd:palette"));
    } else if (single && !event.defaultPrevented && isFree(event) && run(event.key)) {
      event.preventDefault();
    }
  });
}

/** @param {KeyboardEvent} event */
function isFree(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat && !"jk".includes(event.key)) return false;
  const target = event.target instanceof Element ? event.target : document.body;
  if (target.closest("input, textarea, select, [contenteditable], [data-own-keys]")) return false;
  return !document.querySelector("dialog[open]");
}

/** @param {string} key */
function run(key) {
  const second = first;
  first = "";
  clearTimeout(timer);
  if (second === "g") return go(PLACES[/** @type {keyof typeof PLACES} */ (key)]);
  if (second === "t" && key in TIMES) return tell("qd:time", TIMES[/** @type {keyof typeof TIMES} */ (key)]);
  if (key === "g" || key === "t") {
    first = key;
    timer = setTimeout(() => (first = ""), PATIENCE);
    return true;
  }
  const effect = SINGLE[key];
  return effect ? effect() !== false : false;
}

/** @type {Record<string, () => boolean | void>} */
const SINGLE = {
  "?": () => open("keys-help"),
  "/": () => focusOn("[data-filter-field]") || tell("qd:palette"),
  j: () => step(1),
  k: () => step(-1),
  o: panel,
  x: select,
  r: () => tell("qd:refresh"),
  p: () => tell("qd:pause"),
  y: () => tell("qd:copy-link"),
  Escape: () => close(),
};

/** @param {string | undefined} path */
function go(path) {
  const known = path && [...document.querySelectorAll(".nav a")].some((one) => one.getAttribute("href") === path);
  if (known) location.assign(path);
  return Boolean(known);
}

/** @param {string} name @param {unknown} [detail] */
function tell(name, detail) {
  return document.dispatchEvent(new CustomEvent(name, { detail })) || true;
}

/** @param {string} selector */
function focusOn(selector) {
  const found = /** @type {HTMLInputElement | null} */ (document.querySelector(selector));
  found?.focus();
  found?.select?.();
  return found !== null;
}

const rows = () => /** @type {HTMLElement[]} */ ([...document.querySelectorAll("main [data-row]")]);
const here = () => /** @type {HTMLElement | null} */ (document.activeElement?.closest("[data-row]") ?? null);

/** @param {number} by */
function step(by) {
  const all = rows();
  const row = here();
  const next = all[row ? Math.min(Math.max(all.indexOf(row) + by, 0), all.length - 1) : by > 0 ? 0 : all.length - 1];
  /** @type {HTMLElement | null} */ (next?.querySelector("a, button"))?.focus();
  return all.length > 0;
}

function panel() {
  const address = here()?.dataset.panel;
  if (address) openDrawer(address);
  return Boolean(address);
}

function select() {
  const box = /** @type {HTMLInputElement | null} */ (here()?.querySelector("input[type='checkbox']") ?? null);
  box?.click();
  return box !== null;
}
