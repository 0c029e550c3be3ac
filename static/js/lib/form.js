// @ts-check
// Sends a POST form by fetch and shows the answer in the same place. Without scripts the same form works by itself.
import { alarm } from "./announce.js";
import { attachAll } from "./attach.js";
import { repaint } from "./age.js";
import { showPage } from "./dialog.js";
import { signedOut } from "./notice.js";
import { apply, morph } from "./refresh.js";
import { toast } from "./toast.js";

const PATIENCE = 30000;

/** @param {HTMLFormElement} form */
export function attach(form) {
  if ("plain" in form.dataset || form.getAttribute("action") === "/logout") return;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!form.hasAttribute("aria-busy")) send(form, /** @type {SubmitEvent} */ (event).submitter);
  });
}

/** @param {HTMLFormElement} form @param {HTMLElement | null} submitter */
async function send(form, submitter) {
  form.setAttribute("aria-busy", "true");
  const body = new URLSearchParams(/** @type {any} */ (new FormData(form, submitter)));
  // A live update may replace the form before its answer comes: its place is remembered.
  const dialog = /** @type {HTMLDialogElement | null} */ (form.closest("dialog[data-page-dialog]"));
  const part = /** @type {HTMLElement | null} */ (form.closest("[data-fragment]"));
  const action = (submitter?.hasAttribute("formaction") && submitter.getAttribute("formaction")) || form.action;
  try {
    const answer = await fetch(action, { method: "POST", body, signal: AbortSignal.timeout(PATIENCE) });
    await show(form, answer, { dialog, part });
  } catch {
    toast("Quarterdeck did not answer; it is not known whether this arrived. Look before you repeat it.", { error: true });
  } finally {
    form.removeAttribute("aria-busy");
  }
}

/** @param {HTMLFormElement} form @param {Response} answer @param {{dialog: HTMLDialogElement | null, part: HTMLElement | null}} place */
async function show(form, answer, { dialog, part }) {
  if (answer.status === 401) return signedOut(new Date().toLocaleTimeString());
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (dialog?.isConnected && (answer.ok || answer.status === 409)) {
    const link = /** @type {HTMLAnchorElement | null} */ (dialog.querySelector(".dialog-head a"));
    showPage(dialog, page, answer.ok ? answer.url : link?.href ?? location.href);
    return alarm(answer.ok ? "" : dialog.querySelector("[role='alert'], .state-line")?.textContent?.trim() ?? "");
  }
  if (answer.ok && answer.redirected) return location.assign(answer.url);
  const fresh = part && answer.status === 409 ? page.getElementById(part.id) : null;
  if (part && fresh) {
    apply(part, fresh.outerHTML);
    return alarm(part.querySelector("[role='alert'], .state-line")?.textContent?.trim() ?? "");
  }
  const same = form.id ? page.getElementById(form.id) : page.querySelector(`form[action="${CSS.escape(form.getAttribute("action") ?? "")}"]`);
  if (same && (answer.ok || answer.status === 422 || answer.status === 409)) {
    morph(form, same);
    attachAll(form);
    repaint(form);
    const wrong = /** @type {HTMLElement | null} */ (form.querySelector("[aria-invalid='true'], [role='alert']"));
    wrong?.focus();
    alarm(form.querySelector(".fault, [role='alert']")?.textContent?.trim() ?? "");
    return;
  }
  const sentence = page.querySelector("main .empty p:not(.muted)")?.textContent?.trim();
  toast(sentence || "This did not go through.", { error: true });
}
