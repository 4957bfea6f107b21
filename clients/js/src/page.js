// What becomes of the page around a stream: hidden, frozen, kept for the way back, without a network.

const hasPage = typeof document === "object";

// Calls wake(surely) when a stream may have died unseen, hide() when the page may be kept without running, and
// show() when it comes back from there. Gives a function that ends this.
export function watchPage({ wake, hide, show }) {
  if (!hasPage) return () => {};
  const ended = new AbortController();
  const on = (target, type, act) => target.addEventListener(type, act, ended);
  on(document, "visibilitychange", () => document.hidden || wake(false));
  on(document, "resume", () => wake(false));
  on(window, "online", () => wake(true));
  on(window, "pagehide", hide);
  on(window, "pageshow", ({ persisted }) => persisted && show());
  return () => ended.abort();
}

// Resolves when the next frame is drawn, or soon where nothing is drawn.
export function nextFrame() {
  return new Promise((done) => {
    if (hasPage && !document.hidden) {
      requestAnimationFrame(done);
      setTimeout(done, 250); // hidden in the meantime: no frame comes
    } else setTimeout(done, 20);
  });
}
