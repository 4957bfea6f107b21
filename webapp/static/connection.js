// What the page's connection is doing, in its header: live or not, and what came while it was not.

import { amount } from "./words.js";

const SAYS = {
  connecting: "connecting",
  live: "live",
  reconnecting: "reconnecting",
  degraded: "updates are delayed",
  finished: "over",
};
const CAUGHT_UP_MS = 6_000;

// Shows the state of a connection of the client's in `#connection`, for as long as it lives.
export function showConnection(connection, line = document.getElementById("connection")) {
  let missed; // while it is away: how many events have come since
  let timer;

  function show(state, text = SAYS[state]) {
    clearTimeout(timer);
    line.dataset.state = state;
    line.textContent = text;
  }

  function caughtUp() {
    const count = missed;
    missed = undefined;
    if (connection.state !== "live" || !count) return;
    show("live", `caught up after ${amount(count)} missed ${count === 1 ? "event" : "events"}`);
    timer = setTimeout(() => show(connection.state), CAUGHT_UP_MS);
  }

  connection.on("event", () => { if (missed !== undefined) missed += 1; });
  connection.on("state", (state) => {
    if (state === "reconnecting" || state === "degraded") missed ??= 0;
    show(state);
    // What came is given to handlers by the frame: it has been when the one after the next begins.
    if (state === "live" && missed !== undefined) requestAnimationFrame(() => requestAnimationFrame(caughtUp));
  });
}
