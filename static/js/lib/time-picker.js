// @ts-check
// The time range in the address: keys t +, t -, t left, t right, t a, and links with absolute time.
import { now } from "./age.js";
import { copy } from "./toast.js";

const UNITS = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };
const SHORTEST = 60;
const LONGEST = 400 * 86400;

/** Presets and fields are links and a form already; this only fills in what they would do by keys.
 * @param {HTMLDetailsElement} element */
export function attach(element) {
  document.addEventListener("qd:time", (event) => change(/** @type {CustomEvent} */ (event).detail));
  document.addEventListener("qd:copy-link", () => copy(String(absolute(new URL(location.href)))));
  element.addEventListener("toggle", () => element.open && /** @type {HTMLElement} */ (element.querySelector("a"))?.focus());
}

/** Seconds since the epoch of a text of the query.
 * @param {string} text */
export function moment(text) {
  const match = /^now(?:-(\d{1,5})([smhdw]))?$/.exec(text);
  if (!match) return Date.parse(text) / 1000;
  const back = match[1] ? Number(match[1]) * UNITS[/** @type {keyof typeof UNITS} */ (match[2])] : 0;
  return now() / 1000 - back;
}

/** @param {number} seconds */
const stamp = (seconds) => new Date(Math.round(seconds) * 1000).toISOString().replace(".000Z", "Z");

/** The same address with absolute times.
 * @param {URL} url */
export function absolute(url) {
  const start = moment(url.searchParams.get("from") ?? "now-1h");
  const end = moment(url.searchParams.get("to") ?? "now");
  if (Number.isNaN(start) || Number.isNaN(end)) return url;
  url.searchParams.set("from", stamp(start));
  url.searchParams.set("to", stamp(end));
  return url;
}

/** @param {"in" | "out" | "earlier" | "later" | "absolute"} how */
function change(how) {
  const url = new URL(location.href);
  const relative = /^now-(\d+)([smhdw])$/.exec(url.searchParams.get("from") ?? "now-1h");
  const toNow = (url.searchParams.get("to") ?? "now") === "now";
  const start = moment(url.searchParams.get("from") ?? "now-1h");
  const end = moment(url.searchParams.get("to") ?? "now");
  const length = end - start;
  if (how === "absolute") return location.assign(absolute(url));
  if (how === "in" || how === "out") {
    const wanted = Math.min(LONGEST, Math.max(SHORTEST, Math.round(how === "in" ? length / 2 : length * 2)));
    const middle = (start + end) / 2;
    const still = relative && toNow;
    url.searchParams.set("from", still ? `now-${wanted}s` : stamp(middle - wanted / 2));
    url.searchParams.set("to", still ? "now" : stamp(Math.min(middle + wanted / 2, now() / 1000)));
  } else {
    const step = (length / 2) * (how === "earlier" ? -1 : 1);
    const last = Math.min(end + step, now() / 1000);
    url.searchParams.set("from", stamp(last - length));
    url.searchParams.set("to", stamp(last));
  }
  url.searchParams.delete("at");
  location.assign(url);
}
