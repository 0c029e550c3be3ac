// @ts-check
// A GET form that filters the page: choices apply at once, typing refetches the page's fragments; a field with
// data-filter-whole applies when it is left, by Enter, or when a choice is taken from its list.
import { fragments, refresh } from "./refresh.js";

const PAUSE = 250;

/** @param {HTMLFormElement} form */
export function attach(form) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  form.addEventListener("input", (event) => {
    clearTimeout(timer);
    if (half(event)) return;
    const typed = event.target instanceof HTMLInputElement && event.target.type === "search";
    if (typed) timer = setTimeout(() => filter(form), PAUSE);
    else form.requestSubmit();
  });
  form.addEventListener("change", (event) => { if (event.target instanceof HTMLElement && "filterWhole" in event.target.dataset) form.requestSubmit(); });
  form.querySelector("button[type='submit']")?.setAttribute("hidden", "");
}

/** Whether this is a field that only means something once it is written out (or chosen from its list). @param {Event} event */
const half = (event) => event.target instanceof HTMLElement && "filterWhole" in event.target.dataset
  && event instanceof InputEvent && event.inputType !== "insertReplacementText";

/** The query of a form without its empty fields.
 * @param {HTMLFormElement} form */
export function queryOf(form) {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value) query.append(name, String(value));
  return query;
}

/** @param {HTMLFormElement} form */
function filter(form) {
  const query = queryOf(form);
  const text = query.size ? `?${query}` : "";
  history.replaceState(history.state, "", location.pathname + text);
  for (const element of fragments()) {
    if (!element.closest("main")) continue;
    element.dataset.fragment = (element.dataset.fragment ?? "").split("?")[0] + text;
    element.dataset.rev = "";
    refresh(element, { asked: true });
  }
  document.dispatchEvent(new CustomEvent("qd:filtered"));
}
