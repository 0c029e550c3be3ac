// @ts-check
// The fleet page: a second click target per tile that opens the side panel.
import { openDrawer } from "../lib/drawer.js";

document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("[data-panel-open]") : null;
  const address = /** @type {HTMLElement | null} */ (button?.closest("[data-panel]"))?.dataset.panel;
  if (address) openDrawer(address);
});
