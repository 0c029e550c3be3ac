// @ts-check
// Hears from the server what went stale and has it refetched; polls when the socket is down. One chip tells the truth.
import { io } from "socket.io";
import { calm, duration, now, setNow } from "./age.js";
import { apply, checkedAt, fragments, refresh, troubled } from "./refresh.js";
import { signedOut } from "./notice.js";

const REVALIDATE = 60000;
const PATIENCE = 10000;
const POLLS = [15000, 30000, 60000];
/** @typedef {"live" | "lagging" | "polling" | "paused" | "offline" | "signed-out"} State */

/** @param {HTMLElement} chip */
export function attach(chip) {
  if ("frozen" in document.body.dataset) return;
  new Live(chip);
}

class Live {
  /** @type {State} */ state = "polling";
  since = new Date();
  round = 0;
  paused = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ timer;
  /** @type {Set<string>} */ stale = new Set();
  /** @type {Set<string>} */ watched = new Set();
  /** @type {any} */ socket;

  /** @param {HTMLElement} chip */
  constructor(chip) {
    this.chip = chip;
    if (!("calm" in document.body.dataset)) this.open();
    this.schedule();
    document.addEventListener("visibilitychange", () => (document.hidden ? this.stop() : this.go()));
    document.addEventListener("qd:state", (event) => this.become(/** @type {CustomEvent} */ (event).detail));
    document.addEventListener("qd:checked", () => this.state === "lagging" && this.settle());
    document.addEventListener("qd:morphed", () => this.watch());
    document.addEventListener("qd:release", (event) =>
      apply(/** @type {HTMLElement} */ (event.target), /** @type {CustomEvent} */ (event).detail));
    document.addEventListener("qd:pause", () => this.pause());
    document.addEventListener("qd:refresh", () => this.revalidate(true));
    document.querySelectorAll("[data-pause]").forEach((one) => one.addEventListener("click", () => this.pause()));
    setInterval(() => document.hidden || this.paint(), 1000);
    this.paint();
  }

  open() {
    this.socket = io({ transports: ["websocket"], reconnectionDelay: 1000, reconnectionDelayMax: 30000 });
    this.socket.on("connect", () => this.connected());
    this.socket.on("hello", (/** @type {{now: string}} */ body) => setNow(body.now));
    this.socket.on("stale", (/** @type {{topics: string[]}} */ body) => this.heard(body.topics));
    this.socket.on("bye", (/** @type {{why: string}} */ body) => this.bye(body.why));
    this.socket.on("disconnect", (/** @type {string} */ why) => this.lost(why));
    this.socket.on("connect_error", () => this.settle());
  }

  connected() {
    this.watched = new Set();
    this.watch(true);
  }

  /** Ask to be told; what changed before the server knew of a topic is fetched once it does.
   * @param {boolean} [anew] */
  watch(anew = false) {
    if (!this.socket?.connected) return;
    const topics = new Set(fragments().flatMap(topicsOf));
    const fresh = new Set([...topics].filter((one) => !this.watched.has(one)));
    this.watched = topics;
    this.socket.timeout(PATIENCE).emit("watch", { topics: [...topics] }, () => {
      if (this.paused || document.hidden) return;
      if (anew) this.revalidate(false);
      else if (fresh.size) this.refetch(fresh);
      this.settle();
    });
  }

  /** @param {string[]} topics */
  heard(topics) {
    const first = this.stale.size === 0;
    topics.forEach((one) => this.stale.add(one));
    if (first) setTimeout(() => this.refetch(this.take()), 100 + Math.random() * 300);
  }

  take() {
    const topics = this.stale;
    this.stale = new Set();
    return topics;
  }

  /** @param {Set<string>} topics */
  refetch(topics) {
    if (this.paused || document.hidden) return;
    for (const element of fragments()) if (topicsOf(element).some((one) => topics.has(one))) refresh(element);
    document.dispatchEvent(new CustomEvent("qd:stale", { detail: [...topics] }));
  }

  /** @param {boolean} asked */
  revalidate(asked) {
    fragments().forEach((element) => refresh(element, { asked }));
    document.dispatchEvent(new CustomEvent("qd:revalidate"));
  }

  schedule() {
    clearTimeout(this.timer);
    if (this.paused || document.hidden || this.state === "signed-out") return;
    const calmly = this.socket?.connected || !this.socket;
    const pause = calmly ? REVALIDATE : POLLS[Math.min(this.round++, POLLS.length - 1)];
    this.timer = setTimeout(() => {
      this.revalidate(false);
      this.schedule();
    }, pause);
  }

  stop() {
    clearTimeout(this.timer);
    this.socket?.disconnect();
  }

  go() {
    if (this.paused || this.state === "signed-out") return;
    this.round = 0;
    this.socket?.connect();
    this.revalidate(false);
    this.schedule();
  }

  pause() {
    this.paused = !this.paused;
    for (const button of document.querySelectorAll("[data-pause]")) {
      button.setAttribute("aria-pressed", String(this.paused));
      const label = this.paused ? "Resume live updates" : "Pause live updates";
      button.setAttribute("aria-label", label);
      button.setAttribute("title", `${label} (p)`);
      button.querySelector("use")?.setAttribute("href", this.paused ? "#i-play" : "#i-pause");
    }
    this.become(this.paused ? "paused" : "polling");
    if (this.paused) this.stop();
    else this.go();
  }

  /** @param {string} why */
  lost(why) {
    if (this.paused || document.hidden || this.state === "signed-out") return;
    if (why === "io server disconnect") setTimeout(() => this.go(), 1000 + Math.random() * 2000);
    this.round = 0;
    this.settle();
    this.schedule();
  }

  /** @param {string} why */
  bye(why) {
    if (why === "shutdown") return;
    if (why === "signed-out") signedOut(checkedAt().toLocaleTimeString());
    if (why === "signed-out") this.become("signed-out");
    else this.revalidate(false);
  }

  settle() {
    if (this.paused || this.state === "signed-out") return;
    const heard = this.socket?.connected ? (troubled() ? "lagging" : "live") : "polling";
    this.become(navigator.onLine ? heard : "offline");
  }

  /** @param {State} state */
  become(state) {
    if (this.paused && state !== "paused") return;
    if (state !== this.state) this.since = new Date(now());
    this.state = state;
    if (state === "signed-out") this.stop();
    this.paint();
  }

  paint() {
    const word = /** @type {HTMLElement} */ (this.chip.querySelector(".live-word"));
    this.chip.dataset.state = this.state === "signed-out" ? "offline" : this.state;
    const age = duration(calm((Date.now() - checkedAt().getTime()) / 1000));
    const at = this.since.toLocaleTimeString([], { hourCycle: "h23" });
    const words = { live: `live ${age}`, lagging: `lagging ${age}`, polling: `polling ${age}`, paused: `paused at ${at}`,
      offline: `offline since ${at}`, "signed-out": "signed out" };
    if (word.textContent !== words[this.state]) word.textContent = words[this.state];
  }
}

/** @param {HTMLElement} element @returns {string[]} */
function topicsOf(element) {
  return JSON.parse(element.dataset.topics || "[]");
}
