// @ts-check
// Which behaviour belongs to which selector, and binding each element once.

/** @type {[string, (element: any) => void][]} */
const behaviours = [];
/** @type {WeakMap<Element, Set<Function>>} */
const bound = new WeakMap();

/** Bind `attach` to every element that matches `selector`, now and after each refresh.
 * @param {string} selector
 * @param {(element: any) => void} attach */
export function behaviour(selector, attach) {
  behaviours.push([selector, attach]);
}

/** Attach what is registered to `root` and everything in it.
 * @param {Document | Element} root */
export function attachAll(root) {
  for (const [selector, attach] of behaviours) {
    const found = [...root.querySelectorAll(selector)];
    if (root instanceof Element && root.matches(selector)) found.unshift(root);
    for (const element of found) {
      const done = bound.get(element) ?? new Set();
      if (done.has(attach)) continue;
      bound.set(element, done.add(attach));
      attach(element);
    }
  }
}
