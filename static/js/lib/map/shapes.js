// @ts-check
/** Outlines of the node kinds: each kind has its own shape, so that colour never stands alone. */

export const WIDTH = 176;
export const HEIGHT = 44;
const W = WIDTH / 2, H = HEIGHT / 2;

const box = `M${-W + 8} ${-H}H${W - 8}a8 8 0 0 1 8 8V${H - 8}a8 8 0 0 1-8 8H${-W + 8}a8 8 0 0 1-8-8V${-H + 8}a8 8 0 0 1 8-8z`;
const cylinder = `M${-W} ${-H + 6}c0-7 ${WIDTH}-7 ${WIDTH} 0V${H - 6}c0 7-${WIDTH} 7-${WIDTH} 0z`
  + `M${-W} ${-H + 6}c0 6 ${WIDTH} 6 ${WIDTH} 0`;
const half = `M${-W} ${-H + 6}c0-7 ${WIDTH}-7 ${WIDTH} 0V${H}H${-W}zM${-W} ${-H + 6}c0 6 ${WIDTH} 6 ${WIDTH} 0`;
const pill = `M${-W + H} ${-H}H${W - H}a${H} ${H} 0 0 1 0 ${HEIGHT}H${-W + H}a${H} ${H} 0 0 1 0-${HEIGHT}z`;
const cut = `M${-W} ${-H}H${W - 12}l12 12V${H}H${-W}z`;
const circle = `M0 ${-H}a${H} ${H} 0 1 1-.01 0z`;
const inner = `M${-W + 4} ${-H + 4}H${W - 4}V${H - 4}H${-W + 4}z`;

/** @type {Record<string, string>} */
export const OUTLINES = {
  service: box,
  database: cylinder,
  cache: half,
  queue: pill,
  external: cut,
  client: circle,
  group: box + inner,
};

/** Health status -> token of its mark in the sprite. @type {Record<string, string>} */
export const MARKS = {
  failing: "crit", degraded: "warn", unknown: "unknown", maintenance: "maint", idle: "idle", healthy: "ok",
};
