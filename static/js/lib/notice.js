// @ts-check
// Banners over the page about the page itself: signed out, another build.

/** Show one banner of a kind; an action is a link or a reload.
 * @param {string} kind
 * @param {string} sentence
 * @param {{label: string, href?: string}} action */
export function notice(kind, sentence, action) {
  const place = document.querySelector("[data-notices]");
  if (!place || place.querySelector(`[data-notice="${kind}"]`)) return;
  const banner = document.createElement("div");
  banner.className = "banner banner-warn";
  banner.dataset.notice = kind;
  banner.setAttribute("role", "status");
  const link = document.createElement("a");
  link.href = action.href ?? location.href;
  link.textContent = action.label;
  banner.append(sentence, " ", link);
  place.append(banner);
}

/** @param {string} since what the last values are from, as text */
export function signedOut(since) {
  const back = encodeURIComponent(location.pathname + location.search);
  notice("signed-out", `You are signed out. Values stop at ${since}.`, { label: "Sign in", href: `/login?next=${back}` });
}

export function otherBuild() {
  notice("build", "Quarterdeck was updated.", { label: "Reload" });
}
