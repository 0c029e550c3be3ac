// @ts-check
// A GET form that filters the page: choices apply at once, typing refetches the page's fragments.
import { fragments, refresh } from "./refresh.js";

const PAUSE = 250;

/** @param {HTMLFormElement} form */
export function attach(form) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  form.addEventListener("input", (event) => {
    clearTimeout(timer);
    const typed = event.target instanceof HTMLInputElement && event.target.type === "search";
    if (typed) timer = setTimeout(() => filter(form), PAUSE);
    else form.requestSubmit();
  });
  form.querySelector("button[type='submit']")?.setAttribute("hidden", "");
}

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
