// The page of one operation: takes over what the service has put there, then follows what happened and happens.

import { connect } from "/client/tidings.js";
import { offerAgain } from "./again.js";
import { ask } from "./ask.js";
import { askToCancel } from "./cancel.js";
import { showConnection } from "./connection.js";
import { isUpTo } from "./elements.js";
import { Items } from "./items.js";
import { Session } from "./session.js";
import { Steps } from "./steps.js";
import { Summary } from "./summary.js";
import { Timeline } from "./timeline.js";
import { Transcript } from "./transcript.js";

const byId = (id) => document.getElementById(id);
const { id, kind, workflow, last, waits } = byId("operation").dataset;
const isWorkflow = workflow === id;

// What of the page tells of which kind; each hears all events and takes its own.
const TELLERS = {
  agent: () => new Transcript(byId("transcript")),
  browser: () => new Session(byId("session")),
  batch: () => new Items(byId("items")),
};

function follow() {
  const summary = new Summary();
  const tellers = [new Timeline(byId("timeline")), TELLERS[kind]?.()].filter(Boolean);
  const steps = isWorkflow ? new Steps(byId("steps"), id) : undefined;
  const connection = connect({ topics: isWorkflow ? [`workflows:${id}`] : [`operations:${id}`], history: "all" });
  showConnection(connection);

  connection.on("reset", ({ reason }) => {
    for (const each of [...tellers, steps]) each?.clear();
    byId("trimmed").hidden = reason !== "history_trimmed";
  });
  connection.on("event", (event) => {
    steps?.hear(event);
    if (event.operationId !== id) return;
    for (const teller of tellers) teller.hear(event);
    if (!event.id || !isUpTo(event.id, last)) summary.hear(event); // the page has shown what was before it
    if (isWorkflow && (event.type === "complete" || (event.type === "error" && event.terminal))) ends(connection);
  });
  connection.on("state", (state) => {
    if (state === "connecting" || state === "reconnecting") return;
    requestAnimationFrame(() => { byId("story").hidden = false; }); // all at once, below what is there
  });
  if (steps) offerMembers(steps);
  askToCancel(id);
  offerAgain(id, kind);
}

// The tasks of its groups may be thousands: who wants to see them asks.
async function offerMembers(steps) {
  const topic = `members:${id}`;
  const { operations } = await ask(`/api/operations?topics=${topic}&limit=1`).catch(() => ({ operations: [] }));
  const button = byId("members");
  button.hidden = !operations.length;
  if (operations.length) byId("steps").hidden = false;
  button.addEventListener("click", () => {
    button.hidden = true;
    connect({ topics: [topic] }).on("event", (event) => steps.hear(event));
  });
}

// A workflow's stream goes on for whatever may follow; nothing will, once its own end has come behind its steps'.
function ends(connection) {
  setTimeout(() => connection.close());
}

// Nothing is known of it yet: the page is loaded anew when there is.
function wait() {
  const connection = connect({ topics: [`operations:${id}`] });
  showConnection(connection);
  connection.on("event", () => location.reload());
}

if (waits) wait();
else follow();
