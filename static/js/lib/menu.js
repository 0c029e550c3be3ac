// @ts-check
// A <details> that behaves as a menu: closes on Escape and on a click or focus elsewhere.

/** @param {HTMLDetailsElement} element */
export function attach(element) {
  const summary = element.querySelector("summary");
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !element.open) return;
    event.stopPropagation();
    element.open = false;
    summary?.focus();
  });
  const elsewhere = (/** @type {Event} */ event) => {
    if (element.open && event.target instanceof Node && !element.contains(event.target)) element.open = false;
  };
  document.addEventListener("pointerdown", elsewhere);
  document.addEventListener("focusin", elsewhere);
}
