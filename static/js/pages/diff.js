// @ts-check
// The diff page: rows open beside the list, the map draws both windows, and a B that ended "now" says that it has grown.
import { attachAll, behaviour } from "../lib/attach.js";
import { openDrawer } from "../lib/drawer.js";
import { attach } from "../lib/map/map.js";

const PHONE = matchMedia("(max-width: 640px)");
const MINUTE = 60_000;

behaviour("[data-map]", (element) => { if (!PHONE.matches) attach(element); });
behaviour("[data-grown]", (element) => {
  const end = Date.parse(element.dataset.grown ?? "");
  const tell = () => {
    const minutes = Math.floor((Date.now() - end) / MINUTE);
    element.hidden = minutes < 1;
    element.textContent = `B has grown by ${minutes} min, recompute`;
  };
  tell();
  setInterval(tell, MINUTE / 4);
});
document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("[data-diff-open]") : null;
  const address = /** @type {HTMLElement | null} */ (link?.closest("[data-panel]"))?.dataset.panel;
  if (!address || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  openDrawer(address);
});
attachAll(document);
