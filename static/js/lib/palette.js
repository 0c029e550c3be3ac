// @ts-check
// Ctrl K: search in a dialog. Shows the fragment of the search page; entries are links, none runs anything.
import { attachAll } from "./attach.js";
import { open } from "./dialog.js";

const PAUSE = 120;

/** @param {HTMLDialogElement} dialog */
export function attach(dialog) {
  const input = /** @type {HTMLInputElement} */ (dialog.querySelector("input[name='q']"));
  const results = /** @type {HTMLElement} */ (dialog.querySelector("[data-palette-results]"));
  let asked = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  const search = async () => {
    const mine = ++asked;
    const answer = await fetch(`/fragments/search-results?${new URLSearchParams({ q: input.value })}`).catch(() => null);
    const html = answer?.ok ? await answer.text() : "<p>The search does not answer.</p>";
    if (mine !== asked) return;
    const part = new DOMParser().parseFromString(html, "text/html").body;
    const frame = part.firstElementChild;
    results.replaceChildren(...(frame?.matches("[data-fragment]") ? frame : part).childNodes);
    attachAll(results);
  };

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, PAUSE);
  });
  document.addEventListener("qd:palette", () => {
    open(dialog.id);
    input.select();
    search();
  });
  dialog.addEventListener("keydown", (event) => move(event, input, results));
  for (const field of document.querySelectorAll("[data-palette-open]")) {
    field.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      document.dispatchEvent(new CustomEvent("qd:palette"));
    });
  }
}

/** @param {KeyboardEvent} event @param {HTMLInputElement} input @param {HTMLElement} results */
function move(event, input, results) {
  const hits = /** @type {HTMLElement[]} */ ([...results.querySelectorAll("[data-hit]")]);
  const place = hits.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  if (event.key === "Enter" && document.activeElement === input && hits.length) {
    event.preventDefault();
    hits[0].click();
  }
  if (event.key === "Escape") {
    event.preventDefault(); // Chromium would only empty the field
    input.closest("dialog")?.close();
  }
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  event.preventDefault();
  const next = place + (event.key === "ArrowDown" ? 1 : -1);
  if (next < 0) input.focus();
  else hits[Math.min(next, hits.length - 1)]?.focus();
}
