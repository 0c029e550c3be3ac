// @ts-check
/** Walking the map by keys: along edges, between neighbours, between components. Pure functions over a view. */

/** @typedef {import("./draw.js").View} View */

/** @type {Record<string, number>} */
const RANK = { failing: 0, degraded: 1, unknown: 2, maintenance: 3, idle: 4, healthy: 5 };

/** Edge rows of a node, the worst first. @param {View} view @param {number} node @param {"source"|"target"} end */
function edgesAt({ edges }, node, end) {
  return edges.id.map((_, i) => i).filter((i) => edges[end][i] === node && edges.source[i] !== edges.target[i])
    .sort((a, b) => RANK[edges.health[a]] - RANK[edges.health[b]] || (edges.rps[b] ?? 0) - (edges.rps[a] ?? 0));
}

/** The node to start at: the worst one, callers before callees. @param {View} view */
export function start({ nodes }) {
  const order = nodes.id.map((_, i) => i).sort((a, b) => RANK[nodes.health[a]] - RANK[nodes.health[b]] || nodes.x[a] - nodes.x[b]);
  return order[0] ?? -1;
}

/** The next node in a direction, or the same one. @param {View} view @param {number} at @param {"left"|"right"|"up"|"down"} way */
export function step(view, at, way) {
  if (way === "right") return view.edges.target[edgesAt(view, at, "source")[0] ?? -1] ?? at;
  if (way === "left") return view.edges.source[edgesAt(view, at, "target")[0] ?? -1] ?? at;
  const beside = siblings(view, at).sort((a, b) => view.nodes.y[a] - view.nodes.y[b] || a - b);
  const place = beside.indexOf(at);
  return beside[place + (way === "down" ? 1 : -1)] ?? at;
}

/** Nodes that share a caller with this one; without callers, those in its column. @param {View} view @param {number} at */
function siblings(view, at) {
  const callers = new Set(edgesAt(view, at, "target").map((i) => view.edges.source[i]));
  const shared = new Set([at]);
  view.edges.id.forEach((_, i) => { if (callers.has(view.edges.source[i])) shared.add(view.edges.target[i]); });
  if (shared.size > 1) return [...shared];
  return view.nodes.id.map((_, i) => i).filter((i) => Math.abs(view.nodes.x[i] - view.nodes.x[at]) < 60);
}

/** The first node of the next (or previous) component. @param {View} view @param {number} at @param {1|-1} way */
export function nextComponent(view, at, way) {
  const part = components(view);
  const heads = [...new Set(part)].map((one) => part.indexOf(one));
  const place = heads.findIndex((head) => part[head] === part[at]);
  return heads[(place + way + heads.length) % heads.length] ?? at;
}

/** Component number of each node. @param {View} view */
function components({ nodes, edges }) {
  const part = nodes.id.map((_, i) => i);
  const root = (/** @type {number} */ i) => { while (part[i] !== i) i = part[i] = part[part[i]]; return i; };
  edges.id.forEach((_, i) => { part[root(edges.source[i])] = root(edges.target[i]); });
  return nodes.id.map((_, i) => root(i));
}

/** All callers and callees of a node, near and far. @param {View} view @param {number} at */
export function related({ nodes, edges }, at) {
  const found = new Set([at]);
  for (const [from, to] of /** @type {const} */ ([["source", "target"], ["target", "source"]])) {
    /** @type {number[][]} */ const next = nodes.id.map(() => []);
    edges.id.forEach((_, i) => next[edges[from][i]].push(edges[to][i]));
    const queue = [at], seen = new Set(queue);
    for (const node of queue) {
      for (const other of next[node]) {
        if (seen.has(other)) continue;
        seen.add(other);
        found.add(other);
        queue.push(other);
      }
    }
  }
  return found;
}
