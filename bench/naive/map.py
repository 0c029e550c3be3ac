"""A map panned the plain way: every element is written anew with its new place at each frame."""

# Runs in the page: (view, frames, step) -> the number of elements that stand at the end.
PAN = """
async ({view, frames, step}) => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const place = document.createElement("div");
  document.body.append(place);
  const {nodes, edges} = view;
  const write = (off) => {
    const lines = edges.id.map((_, i) => {
      const s = edges.source[i], t = edges.target[i];
      const [x1, x2] = [nodes.x[s] + off, nodes.x[t] + off];
      return `<path stroke="gray" fill="none" d="M${x1} ${nodes.y[s]}L${x2} ${nodes.y[t]}"/>`;
    });
    const boxes = nodes.id.map((_, i) => `<g transform="translate(${nodes.x[i] + off} ${nodes.y[i]})">`
      + `<rect x="-88" y="-22" width="176" height="44" fill="white" stroke="gray"/><text>service-${i}</text></g>`);
    place.innerHTML = `<svg width="1200" height="560" viewBox="${view.box}">${lines.join("")}${boxes.join("")}</svg>`;
  };
  for (let i = 0; i < frames; i++) { write(i * step); await frame(); }
  const count = place.querySelectorAll("path, g").length;
  place.remove();
  return count;
}
"""
