// @ts-check
// While the pointer is over a list or focus is in it, values change in place but rows do not come, go or move.

const CALM = 2000;
/** @type {Map<Element, {html: string, release: () => void}>} */
const waiting = new Map();

/** @param {HTMLElement} list */
export function attach(list) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => isHeld(list) || releaseAround(list), CALM);
  };
  list.addEventListener("pointerleave", wait);
  list.addEventListener("focusout", wait);
}

/** @param {Element} list */
const isHeld = (list) => list.matches(":hover") || list.contains(document.activeElement);

/** @param {Element} list */
function releaseAround(list) {
  const element = list.closest("[data-fragment]");
  if (element) waiting.get(element)?.release();
}

/** @param {ParentNode} root */
const rowsOf = (root) => /** @type {HTMLElement[]} */ ([...root.querySelectorAll("[data-row]")]);

/** True when the fragment holds a list in use whose rows would move; then only values of known rows are updated.
 * @param {HTMLElement} element
 * @param {string} html
 * @param {(element: Element, html: string | Element) => void} morph */
export function holding(element, html, morph) {
  const list = element.querySelector("[data-hold]");
  if (!list || !isHeld(list)) return drop(element);
  const parsed = new DOMParser().parseFromString(html, "text/html");
  const next = new Map(rowsOf(parsed).map((row) => [row.id, row]));
  const now = rowsOf(element);
  if (now.map((row) => row.id).join("\n") === [...next.keys()].join("\n") && sameShape(now, next)) return drop(element);
  const known = new Set(now.map((row) => row.id));
  for (const row of now) {
    const changed = next.get(row.id);
    if (changed && changed.className === row.className) morph(row, changed);
    else if (!changed) dim(row);
  }
  const fresh = [...next.keys()].filter((id) => !known.has(id)).length;
  offer(element, html, list, fresh ? `${fresh} new, order changed: show` : "Order changed: show");
  return true;
}

/** A row that turns from chip to tile moves, even when the order stays.
 * @param {HTMLElement[]} now @param {Map<string, HTMLElement>} next */
const sameShape = (now, next) => now.every((row) => row.parentElement?.className === next.get(row.id)?.parentElement?.className);

/** @param {HTMLElement} row */
function dim(row) {
  if (row.classList.contains("gone")) return;
  row.classList.add("gone");
  const word = document.createElement("span");
  word.className = "gone-word";
  word.textContent = row.dataset.goneWord ?? "gone";
  row.append(word);
}

/** @param {HTMLElement} element @param {string} html @param {Element} list @param {string} label */
function offer(element, html, list, label) {
  const chip = element.querySelector(".held") ?? document.createElement("button");
  chip.className = "chip held";
  chip.textContent = label;
  const release = () => {
    drop(element);
    if (document.activeElement === chip) /** @type {HTMLElement | null} */ (element.querySelector("h1, h2, [data-row] a"))?.focus();
    element.dispatchEvent(new CustomEvent("qd:release", { bubbles: true, detail: html }));
  };
  waiting.set(element, { html, release });
  if (!chip.isConnected) {
    chip.setAttribute("type", "button");
    chip.addEventListener("click", () => waiting.get(element)?.release());
    list.before(chip);
  }
}

/** @param {HTMLElement} element */
function drop(element) {
  waiting.delete(element);
  element.querySelector(".held")?.remove();
  return false;
}
