// What everybody's streams wait for: asked of all web processes of the host, the furthest behind first.

import { ask } from "./ask.js";
import { element } from "./elements.js";
import { amount, duration } from "./words.js";

const EACH_MS = 2_000;
const of = (count, unit, units = `${unit}s`) => `${amount(count)} ${count === 1 ? unit : units}`;

export function showStreams(section) {
  const form = section.querySelector("form");
  const { topic, again } = form.elements;
  const problem = section.querySelector(".problem");
  let timer;
  let asked = 0;

  async function look() {
    clearTimeout(timer);
    const mine = (asked += 1);
    const query = new URLSearchParams(topic.value.trim() ? { topic: topic.value.trim() } : {});
    try {
      const said = await ask(`/api/debug/streams?${query}`);
      if (mine !== asked) return;
      problem.textContent = "";
      section.querySelector(".sum").textContent = sum(said);
      section.querySelector("tbody").replaceChildren(...said.streams.map(row));
    } catch (refused) {
      if (mine !== asked) return;
      problem.textContent = refused.message;
    }
    timer = setTimeout(next, EACH_MS);
  }

  // A page that nobody looks at asks for nothing.
  function next() {
    if (again.checked && !document.hidden) look();
    else timer = setTimeout(next, EACH_MS);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    look();
  });
  look();
}

function sum({ processes, streams, found }) {
  const said = [`${of(found, "stream")} in ${of(processes.length, "process", "processes")} of this host`];
  if (streams.length < found) said.push(`the ${amount(streams.length)} furthest behind`);
  for (const { pid, answered, streams: open, described, degraded, draining } of processes) {
    if (!answered) said.push(`process ${pid} does not answer`);
    if (described < open) said.push(`process ${pid} has room for ${amount(described)} of ${amount(open)}`);
    if (degraded) said.push(`process ${pid}: ${degraded}`);
    if (draining) said.push(`process ${pid} drains`);
  }
  return said.join(" · ");
}

function row(stream) {
  const { topics, types, kinds, waitingEvents, waitingBytes, stuckSeconds } = stream;
  const wants = [topics[0] === "*" ? "everything" : topics.join(", "), types.join(", "), kinds.join(", ")];
  const behind = waitingBytes ? `${of(waitingEvents, "event")}, ${amount(waitingBytes, "upload")}` : "";
  return element("tr", {},
    element("td", {}, wants.filter(Boolean).join(" · ")),
    element("td", {}, stream.subject),
    element("td", {}, duration(stream.openSeconds)),
    element("td", { className: behind && "late" }, behind),
    element("td", { className: "late" }, stuckSeconds ? duration(stuckSeconds) : ""),
    element("td", {}, element("code", {}, stream.position)),
    element("td", {}, `${stream.process}${stream.gear === "parked" ? "" : `, ${stream.gear}`}`));
}
