// @ts-check
// A panel beside the page with one fragment. Focus stays inside until it closes; it stays open across pages.
import { attachAll } from "./attach.js";
import { repaint } from "./age.js";
import { toast } from "./toast.js";

const MEMORY = "qd.drawer";
/** @type {HTMLElement | null} */
let drawer = null;
/** @type {HTMLElement | null} */
let opener = null;

/** @param {HTMLElement} element */
export function attach(element) {
  drawer = element;
  element.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    if (event.key === "Tab") keepInside(event);
  });
  element.addEventListener("click", (event) => {
    const to = event.target instanceof Element ? event.target.closest("[data-panel-to]") : null;
    if (to instanceof HTMLElement && to.dataset.panelTo) openDrawer(to.dataset.panelTo);
  });
  const last = sessionStorage.getItem(MEMORY);
  if (last) show(last, { focus: false });
}

/** Show a fragment in the drawer and take the focus there, unless it opens by itself.
 * @param {string} address @param {{focus?: boolean}} [options] */
export async function openDrawer(address, { focus = true } = {}) {
  if (!drawer?.contains(document.activeElement)) opener = /** @type {HTMLElement | null} */ (document.activeElement);
  await show(address, { focus });
}

/** @param {string} address @param {{focus: boolean}} options */
async function show(address, { focus }) {
  if (!drawer) return;
  const answer = await fetch(address).catch(() => null);
  if (!answer?.ok) {
    sessionStorage.removeItem(MEMORY);
    if (focus) toast("The details could not be fetched.", { error: true });
    return;
  }
  const part = new DOMParser().parseFromString(await answer.text(), "text/html").body;
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "button button-quiet", textContent: "Close" });
  button.addEventListener("click", close);
  const head = document.createElement("div");
  head.className = "drawer-head";
  head.append(part.querySelector("h2") ?? "", button);
  drawer.replaceChildren(head, ...part.childNodes);
  drawer.hidden = false;
  sessionStorage.setItem(MEMORY, address);
  attachAll(drawer);
  repaint(drawer);
  if (focus) drawer.focus();
  document.dispatchEvent(new CustomEvent("qd:morphed", { detail: drawer }));
  document.dispatchEvent(new CustomEvent("qd:drawer", { detail: address }));
}

export function close() {
  if (!drawer || drawer.hidden) return;
  const had = drawer.contains(document.activeElement);
  drawer.hidden = true;
  drawer.replaceChildren();
  sessionStorage.removeItem(MEMORY);
  if (had && opener?.isConnected) opener.focus();
  document.dispatchEvent(new CustomEvent("qd:drawer", { detail: "" }));
}

/** @param {KeyboardEvent} event */
function keepInside(event) {
  const stops = /** @type {HTMLElement[]} */ ([...(drawer?.querySelectorAll("a[href], button, input, select, [tabindex='0']") ?? [])]);
  const edge = event.shiftKey ? stops[0] : stops.at(-1);
  const at = document.activeElement === drawer && event.shiftKey ? edge : document.activeElement;
  if (at !== edge) return;
  event.preventDefault();
  (event.shiftKey ? stops.at(-1) : stops[0])?.focus();
}
