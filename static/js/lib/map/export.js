// @ts-check
/** The drawn map as a file: an SVG that needs nothing else, or a PNG made of it at twice the size. */
import { toast } from "../toast.js";
import { make } from "./draw.js";
import { words } from "./words.js";

/** @typedef {import("./draw.js").View} View */

const SHOWN = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-weight", "text-anchor", "paint-order", "visibility"];
const PLAIN = { fill: "none", stroke: "none", "stroke-dasharray": "none", opacity: "1", "text-anchor": "start", "paint-order": "normal", visibility: "visible" };
const SCALE = 2, LARGEST = 12_000; // pixels of a side of the PNG

/** Save the map. @param {"svg"|"png"} kind @param {SVGSVGElement} svg @param {View} view @param {{x: number, y: number, w: number, h: number}} world */
export async function save(kind, svg, view, world) {
  try {
    const text = picture(svg, view, world);
    const blob = kind === "svg" ? new Blob([text], { type: "image/svg+xml" }) : await raster(text, world);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${fileName(view)}.${kind}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  } catch {
    toast("The picture could not be made.", { error: true });
  }
}

/** topology-<cluster>-<time>, of letters that every file system takes. @param {View} view */
export function fileName(view) {
  const clusters = [...new Set(view.nodes.cluster)], name = clusters.length === 1 ? clusters[0] : "all-clusters";
  const at = new Date(view.as_of || Date.now()).toISOString().slice(0, 16).replace(":", "");
  return `topology-${name.replace(/[^\w.-]+/g, "-").slice(0, 60)}-${at}Z`;
}

/** The drawing as the text of a file: colours as numbers, no reference to anything outside, a title and a description.
 * @param {SVGSVGElement} svg @param {View} view @param {{x: number, y: number, w: number, h: number}} world */
export function picture(svg, view, world) {
  const copy = /** @type {SVGSVGElement} */ (svg.cloneNode(true));
  const originals = svg.querySelectorAll("*"), copies = copy.querySelectorAll("*"), colours = new Colours(svg);
  originals.forEach((original, i) => colours.bake(original, copies[i]));
  for (const one of copy.querySelectorAll(".hit")) one.remove();
  copy.querySelector(".scene")?.removeAttribute("transform");
  for (const link of copy.querySelectorAll("a")) link.replaceWith(plain(link));
  view.edges.id.forEach((id, i) => told(copy.querySelector(`.edge[data-id="${CSS.escape(id)}"]`),
    `${view.nodes.name[view.edges.source[i]]} to ${view.nodes.name[view.edges.target[i]]}, ${view.edges.protocol[i]}, ${words(view.edges, i)}`));
  for (const one of copy.querySelectorAll("[class], [data-id], [data-health], [data-kind], [aria-hidden]")) {
    for (const name of ["class", "data-id", "data-health", "data-kind", "data-unknown", "aria-hidden", "data-row-label"]) one.removeAttribute(name);
  }
  const { x, y, w, h } = world;
  const file = make("svg", { xmlns: "http://www.w3.org/2000/svg", viewBox: `${x} ${y} ${w} ${h}`, width: w, height: h,
    "font-family": "system-ui, sans-serif", role: "img" });
  told(file, `Topology, ${fileName(view)}`);
  const description = make("desc");
  description.textContent = [document.querySelector("h1")?.textContent?.trim(), `As of ${view.as_of}.`,
    `${view.nodes.id.length} nodes and ${view.edges.id.length} connections.`].filter(Boolean).join(" ");
  file.append(description, make("rect", { x, y, width: w, height: h, fill: colours.of("--sunken") }), ...copy.childNodes);
  return new XMLSerializer().serializeToString(file);
}

/** @param {Element | null} element @param {string} text */
function told(element, text) {
  const title = make("title");
  title.textContent = text;
  element?.prepend(title);
}

/** A link as a group that says the same. @param {Element} link */
function plain(link) {
  const group = make("g", { transform: link.getAttribute("transform") ?? "" });
  if (link.getAttribute("opacity")) group.setAttribute("opacity", link.getAttribute("opacity") ?? "");
  group.append(...link.childNodes);
  told(group, link.getAttribute("aria-label") ?? "");
  return group;
}

/** Computed style as attributes that any viewer of SVG knows. */
class Colours {
  /** @param {Element} root */
  constructor(root) {
    this.probe = root.ownerDocument.createElement("span");
    root.parentElement?.append(this.probe);
    this.brush = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d", { willReadFrequently: true }));
    /** @type {Map<string, string>} */ this.known = new Map();
    queueMicrotask(() => this.probe.remove());
  }

  /** @param {string} token name of a custom property */
  of(token) {
    this.probe.style.color = `var(${token})`;
    return this.plain(getComputedStyle(this.probe).color);
  }

  /** Any colour as #rrggbb, or as it is when it is none. @param {string} colour */
  plain(colour) {
    if (!colour || colour === "none" || colour.startsWith("url")) return colour;
    const found = this.known.get(colour) ?? this.#mixed(colour);
    this.known.set(colour, found);
    return found;
  }

  /** @param {string} colour */
  #mixed(colour) {
    this.brush.clearRect(0, 0, 1, 1);
    this.brush.fillStyle = colour;
    this.brush.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = this.brush.getImageData(0, 0, 1, 1).data;
    return a === 0 ? "none" : `#${[r, g, b].map((part) => part.toString(16).padStart(2, "0")).join("")}`;
  }

  /** @param {Element} original @param {Element} copy */
  bake(original, copy) {
    const style = getComputedStyle(original), leaf = /^(path|text|circle|rect)$/.test(original.localName);
    for (const name of leaf ? SHOWN : ["opacity"]) {
      const value = name === "fill" || name === "stroke" ? this.plain(style.getPropertyValue(name)) : style.getPropertyValue(name);
      if (value && value !== PLAIN[/** @type {"fill"} */ (name)]) copy.setAttribute(name, value.replace(/(?<=\d)px/g, ""));
      else if (name === "fill") copy.setAttribute("fill", "none");
      else copy.removeAttribute(name);
    }
    if (style.display === "none") copy.setAttribute("display", "none");
  }
}

/** @param {string} text @param {{w: number, h: number}} world @returns {Promise<Blob>} */
async function raster(text, { w, h }) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const scale = Math.min(SCALE, LARGEST / Math.max(w, h)), canvas = document.createElement("canvas");
  canvas.width = Math.round(w * scale);
  canvas.height = Math.round(h * scale);
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done, failed) => canvas.toBlob((blob) => blob ? done(blob) : failed(new Error("no picture")), "image/png"));
}
