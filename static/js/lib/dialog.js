// @ts-check
// Native dialogs: those in the page (data-open), and whole pages shown in one (data-page on a link).
import { attachAll } from "./attach.js";
import { repaint } from "./age.js";

/** Focus returns to whoever opened it; a click on the backdrop closes what needs no answer.
 * @param {HTMLDialogElement} dialog */
export function attach(dialog) {
  dialog.addEventListener("click", (event) => {
    const close = event.target instanceof Element && event.target.closest("[data-close], [data-cancel]");
    const outside = event.target === dialog && !("pageDialog" in dialog.dataset);
    if (!close && !outside) return;
    event.preventDefault();
    dialog.close();
  });
}

/** @param {HTMLElement} opener */
export function attachOpener(opener) {
  opener.addEventListener("click", (event) => {
    if (opener.dataset.open) open(opener.dataset.open);
    else if (opener instanceof HTMLAnchorElement && plainClick(/** @type {MouseEvent} */ (event))) {
      event.preventDefault();
      openPage(opener.href);
    }
  });
}

/** @param {MouseEvent} event */
const plainClick = (event) => !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) && event.button === 0;

/** Open a dialog of the page by id.
 * @param {string} id */
export function open(id) {
  const dialog = document.getElementById(id);
  if (!(dialog instanceof HTMLDialogElement) || dialog.open) return;
  const opener = /** @type {HTMLElement | null} */ (document.activeElement);
  dialog.addEventListener("close", () => opener?.isConnected && opener.focus(), { once: true });
  dialog.showModal();
}

/** Show the main part of a page of ours as a modal dialog; when that fails, go there.
 * @param {string} address */
export async function openPage(address) {
  try {
    const answer = await fetch(address, { signal: AbortSignal.timeout(15000) });
    if (answer.status === 401 || answer.status >= 500) return location.assign(address);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const dialog = document.createElement("dialog");
    dialog.className = "dialog";
    dialog.dataset.pageDialog = "";
    dialog.id = "page-dialog";
    document.getElementById(dialog.id)?.remove();
    document.body.append(dialog);
    dialog.addEventListener("close", () => dialog.remove());
    showPage(dialog, page, answer.url);
    open(dialog.id);
    focusFirst(dialog);
  } catch {
    location.assign(address);
  }
}

/** Put the main part of a parsed page into an open page dialog.
 * @param {HTMLDialogElement} dialog
 * @param {Document} page
 * @param {string} address */
export function showPage(dialog, page, address) {
  const main = page.querySelector("main");
  if (!main) return location.assign(address);
  const head = document.createElement("div");
  head.className = "dialog-head";
  const link = document.createElement("a");
  link.href = address;
  link.textContent = "Open as a page";
  const close = document.createElement("button");
  Object.assign(close, { type: "button", className: "button button-quiet", textContent: "Close" });
  close.dataset.close = "";
  head.append(link, close);
  const body = document.createElement("div");
  body.className = "dialog-body";
  body.append(...main.childNodes);
  const title = body.querySelector("h1");
  if (title) title.id ||= "page-dialog-title";
  if (title) dialog.setAttribute("aria-labelledby", title.id);
  dialog.replaceChildren(head, body);
  attachAll(dialog);
  repaint(dialog);
  if (dialog.open) focusFirst(dialog);
  document.dispatchEvent(new CustomEvent("qd:morphed", { detail: dialog }));
}

/** Cancel first: the safe choice has the focus.
 * @param {HTMLElement} dialog */
function focusFirst(dialog) {
  const target = dialog.querySelector("[aria-invalid='true']") ?? dialog.querySelector("[data-cancel]") ?? dialog.querySelector("[data-close]");
  /** @type {HTMLElement | null} */ (target)?.focus();
}
