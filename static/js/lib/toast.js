// @ts-check
// Short messages in the corner: gone after 6 s unless pointed at or focused; errors stay until closed.
import { alarm } from "./announce.js";

const LIFE = 6000;
/** @type {HTMLElement | null} */
let place = null;

/** @param {HTMLElement} element */
export function attach(element) {
  place = element;
}

/** A message that the server rendered, or one made here.
 * @param {HTMLElement} element */
export function attachOne(element) {
  const close = document.createElement("button");
  close.type = "button";
  close.className = "button button-quiet";
  close.textContent = "Close";
  close.addEventListener("click", () => element.remove());
  element.append(close);
  if (element.classList.contains("toast-error")) return;
  const leave = () => (element.matches(":hover, :focus-within") ? setTimeout(leave, 1000) : element.remove());
  setTimeout(leave, LIFE);
}

/** Show a message, with a button for what may follow.
 * @param {string} sentence
 * @param {{error?: boolean, action?: {label: string, run: () => void}}} [options] */
export function toast(sentence, { error = false, action } = {}) {
  const element = document.createElement("div");
  element.className = error ? "toast toast-error" : "toast";
  element.setAttribute("role", error ? "alert" : "status");
  element.append(sentence);
  if (action) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "button button-quiet", textContent: action.label });
    button.addEventListener("click", () => { element.remove(); action.run(); });
    element.append(button);
  }
  place?.append(element);
  attachOne(element);
  if (error) alarm(sentence);
}

/** A button that copies the text of the element it names.
 * @param {HTMLElement} button */
export function attachCopy(button) {
  button.addEventListener("click", () => copy(document.getElementById(button.dataset.copy ?? "")?.textContent ?? ""));
}

/** Put text on the clipboard and say so.
 * @param {string} text */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text.trim());
    toast("Copied.");
  } catch {
    toast("The browser did not allow copying.", { error: true });
  }
}
