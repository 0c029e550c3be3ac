// @ts-check
// Refetches a fragment and morphs it in, without taking anything from the user's hands.
import { Idiomorph } from "idiomorph";
import { repaint } from "./age.js";
import { announce, announceChanges, severities } from "./announce.js";
import { attachAll } from "./attach.js";
import { holding } from "./hold.js";
import { otherBuild, signedOut } from "./notice.js";

const PATIENCE = 10000;
const BACK_OFF = [15000, 30000, 60000];
/** @typedef {{busy: boolean, again: boolean, failures: number, notBefore: number}} State */
/** @type {WeakMap<HTMLElement, State>} */
const states = new WeakMap();
let checked = new Date();
let ended = false;

/** When an answer last came. */
export const checkedAt = () => checked;
/** @param {HTMLElement} element @returns {State} */
function stateOf(element) {
  const found = states.get(element) ?? { busy: false, again: false, failures: 0, notBefore: 0 };
  states.set(element, found);
  return found;
}

/** @param {HTMLElement} element */
export function attach(element) {
  stateOf(element);
}

/** All live fragments of the page. */
export function fragments() {
  return /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-fragment]")]);
}

/** Whether some fragment could not be refreshed, or was told to wait. */
export const troubled = () => fragments().some((one) => stateOf(one).failures > 0 || stateOf(one).notBefore > Date.now());

/** Fetch again; one request at a time, one more queued. `asked` = a person wants it now.
 * @param {HTMLElement} element
 * @param {{asked?: boolean}} [options] */
export async function refresh(element, { asked = false } = {}) {
  const state = stateOf(element);
  if (ended || !element.isConnected || (!asked && Date.now() < state.notBefore)) return;
  if (state.busy) {
    state.again = true;
    return;
  }
  state.busy = true;
  await ask(element, state);
  state.busy = false;
  if (state.again) {
    state.again = false;
    await refresh(element);
  }
}

/** @param {HTMLElement} element @param {State} state */
async function ask(element, state) {
  const address = element.dataset.fragment ?? "";
  try {
    const answer = await fetch(address, {
      headers: { "If-None-Match": element.dataset.rev ?? "" },
      signal: AbortSignal.timeout(PATIENCE),
    });
    const html = answer.status === 200 ? await answer.text() : "";
    if (element.dataset.fragment === address) take(element, state, answer, html);
    else state.again = true;
  } catch {
    fail(element, state, "Quarterdeck does not answer.");
  }
}

/** @param {HTMLElement} element @param {State} state @param {Response} answer @param {string} html */
function take(element, state, answer, html) {
  const build = answer.headers.get("X-QD-Build");
  if (answer.status < 400 && build && build !== document.body.dataset.build) {
    ended = true;
    return otherBuild();
  }
  if (answer.status === 200 || answer.status === 304) {
    Object.assign(state, { failures: 0, notBefore: 0 });
    checked = new Date();
    problem(element, "");
    if (answer.status === 200) apply(element, html);
  } else if (answer.status === 401) {
    signedOut(checked.toLocaleTimeString());
    tell("signed-out");
  } else if (answer.status === 403) {
    element.replaceChildren();
    problem(element, "This part is not visible with your role. An administrator can change that.");
  } else if (answer.status === 404 || answer.status === 410) {
    problem(element, "No longer exists. What was last known is shown.");
  } else if (answer.status === 429 || answer.status === 503) {
    state.notBefore = Date.now() + 1000 * (Number(answer.headers.get("Retry-After")) || 15);
    tell("lagging");
  } else {
    fail(element, state, "This part could not be refreshed.");
  }
  document.dispatchEvent(new CustomEvent("qd:checked"));
}

/** @param {HTMLElement} element @param {State} state @param {string} sentence */
function fail(element, state, sentence) {
  state.notBefore = Date.now() + BACK_OFF[Math.min(state.failures, BACK_OFF.length - 1)];
  state.failures += 1;
  problem(element, `${sentence} Values are from ${checked.toLocaleTimeString()}.`);
  tell("lagging");
}

/** @param {string} state */
function tell(state) {
  document.dispatchEvent(new CustomEvent("qd:state", { detail: state }));
}

/** @param {HTMLElement} element @param {string} sentence */
function problem(element, sentence) {
  const shown = element.previousElementSibling?.matches(".fragment-problem") ? element.previousElementSibling : null;
  element.toggleAttribute("data-problem", sentence !== "");
  if (!sentence) return shown?.remove();
  const place = shown ?? document.createElement("p");
  place.className = "fragment-problem";
  place.textContent = sentence;
  if (!shown) element.before(place);
}

/** Morph new markup into an element that stays; while a list is held, rows keep their places.
 * @param {HTMLElement} element
 * @param {string} html */
export function apply(element, html) {
  if (holding(element, html, morph)) {
    repaint(element);
    return;
  }
  const before = severities(element);
  const back = focusKeeper(element);
  morph(element, html);
  attachAll(element);
  repaint(element);
  back();
  announceChanges(before, element);
  document.dispatchEvent(new CustomEvent("qd:morphed", { detail: element }));
}

/** @param {Element} element @param {string | Element} html */
export function morph(element, html) {
  // For idiomorph the "value" of a focused dialog or heading is all that it holds: only fields are to be spared.
  const ignoreActiveValue = document.activeElement?.matches("input, textarea, select") ?? false;
  Idiomorph.morph(element, html, { morphStyle: "outerHTML", ignoreActiveValue, restoreFocus: true, callbacks });
}

const callbacks = {
  /** @param {Node} node */
  beforeNodeMorphed: (node) => !(node instanceof Element && node.hasAttribute("data-keep")),
  /** @param {string} name @param {Element} node */
  beforeAttributeUpdated(name, node) {
    if (name === "open") return false;
    return !(["value", "checked", "selected"].includes(name) && edited(node));
  },
};

/** @param {Element} node */
function edited(node) {
  if (node instanceof HTMLOptionElement) {
    const options = [...(node.closest("select")?.options ?? [])];
    return options.some((one) => one.selected !== one.defaultSelected) && options.some((one) => one.defaultSelected);
  }
  if (node instanceof HTMLInputElement && ["checkbox", "radio"].includes(node.type)) {
    return node.checked !== node.defaultChecked;
  }
  if (node instanceof HTMLInputElement || node instanceof HTMLTextAreaElement) return node.value !== node.defaultValue;
  return false;
}

/** Where focus goes when its row disappears: the next row, else the heading; and that is said.
 * @param {HTMLElement} element */
function focusKeeper(element) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  if (!focused || !element.contains(focused)) return () => {};
  const rows = [...element.querySelectorAll("[data-row]")];
  const place = rows.findIndex((row) => row.contains(focused));
  const name = /** @type {HTMLElement | undefined} */ (rows[place])?.dataset.name ?? "The focused entry";
  return () => {
    if (document.activeElement !== document.body && document.activeElement !== null) return;
    const left = [...element.querySelectorAll("[data-row]")];
    const next = left[Math.min(Math.max(place, 0), left.length - 1)];
    const target = /** @type {HTMLElement | null} */ (
      next?.querySelector("a, button") ?? element.querySelector("h1, h2, h3")
    );
    if (target && !next) target.tabIndex = -1;
    target?.focus();
    announce(`${name} is no longer listed`);
  };
}
