// Any topic live, as any other page hears it: by the client, on a stream of its own. All that is said is set as text.

import { connect } from "/client/tidings.js";
import { showConnection } from "./connection.js";
import { element, moment, operationLink } from "./elements.js";
import { amount } from "./words.js";

const MOST_SHOWN = 200;
const MOST_CHARS = 600; // of one event; the whole of it is in the replay
const KNOWN = new Set(["type", "id", "operationId", "timestamp", "operationType", "attempt"]);

export function showTail(section) {
  const form = section.querySelector("form");
  const list = section.querySelector("ol");
  const pause = section.querySelector(".pause");
  const problem = section.querySelector(".problem");
  let connection;
  let heard = 0;
  let waiting = [];

  function draw() {
    const shown = waiting.slice(-MOST_SHOWN).reverse().map(line);
    waiting = [];
    list.prepend(...shown);
    while (list.children.length > MOST_SHOWN) list.lastElementChild.remove();
    section.querySelector(".sum").textContent = `${amount(heard)} ${heard === 1 ? "event" : "events"} heard`;
  }

  function hear(event) {
    heard += 1;
    if (waiting.push(event) === 1) requestAnimationFrame(draw);
  }

  function follow(cursor) {
    connection?.close();
    problem.textContent = "";
    const { topics, types } = form.elements;
    connection = connect({
      topics: topics.value.split(/[\s,]+/).filter(Boolean), types: types.value, cursor, history: "none", share: false,
    });
    showConnection(connection);
    connection.on("event", hear);
    connection.on("problem", ({ status, message }) => { problem.textContent = status === 200 ? "" : message; });
    connection.on("state", (state) => { if (state === "live") problem.textContent = ""; });
    pause.disabled = false;
    pause.textContent = "Pause";
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    list.replaceChildren();
    heard = 0;
    follow();
  });
  // What is said meanwhile comes when it goes on: the cursor knows from where.
  pause.addEventListener("click", () => {
    if (connection.state === "finished") follow(connection.cursor);
    else {
      connection.close();
      pause.textContent = "Go on";
    }
  });
  follow();
}

function line(event) {
  const said = Object.fromEntries(Object.entries(event).filter(([name]) => !KNOWN.has(name)));
  const text = JSON.stringify(said);
  return element("li", {},
    moment(event.timestamp),
    element("span", { data: { type: event.type } }, event.type),
    operationLink(event.operationId, event.operationId),
    element("code", {}, text.length > MOST_CHARS ? `${text.slice(0, MOST_CHARS)}…` : text));
}
