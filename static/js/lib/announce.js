// @ts-check
// One polite voice for severity changes, at most one sentence in 5 s; one loud one for failures of the user's own action.

const PAUSE = 5000;
/** @type {string[]} */
const waiting = [];
/** @type {HTMLElement | null} */
let voice = null;
let busy = false;

/** @param {HTMLElement} element */
export function attach(element) {
  voice = element;
}

/** Say a sentence politely; the same one waits only once.
 * @param {string} sentence */
export function announce(sentence) {
  if (!waiting.includes(sentence)) waiting.push(sentence);
  if (!busy) speak();
}

function speak() {
  const sentence = waiting.shift();
  busy = sentence !== undefined;
  if (!sentence || !voice) return;
  voice.textContent = sentence;
  setTimeout(speak, PAUSE);
}

/** Say at once that the user's own action failed.
 * @param {string} sentence */
export function alarm(sentence) {
  const place = document.getElementById("alarm");
  if (place) place.textContent = sentence;
}

/** Severity of the rows of a fragment, by id.
 * @param {ParentNode} root */
export function severities(root) {
  const rows = /** @type {HTMLElement[]} */ ([...root.querySelectorAll("[data-rank]")]);
  return new Map(rows.map((row) => [row.id, Number(row.dataset.rank)]));
}

/** Announce which rows became better or worse.
 * @param {Map<string, number>} before
 * @param {ParentNode} root */
export function announceChanges(before, root) {
  for (const row of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-rank]"))) {
    const old = before.get(row.id);
    if (old === undefined || old === Number(row.dataset.rank)) continue;
    const reason = row.querySelector(".tile-reason")?.textContent?.trim();
    announce(`${row.dataset.name} is ${row.dataset.word}${reason ? `: ${reason}` : ""}`);
  }
}
