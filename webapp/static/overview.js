// The overview: lists the operations there are, then follows the stream from exactly there.
// What an event says is only ever set as text.

const MOST_SHOWN = 100;
const MOST_WARNINGS = 200;
const list = document.getElementById("list");
const connection = document.getElementById("connection");
const cards = new Map();

function clear() {
  cards.clear();
  list.replaceChildren();
  document.getElementById("none").hidden = false;
}

function cardOf(id, kind) {
  let card = cards.get(id);
  if (!card) {
    card = document.getElementById("operation").content.firstElementChild.cloneNode(true);
    card.dataset.id = id;
    card.querySelector(".kind").textContent = kind;
    card.querySelector(".id").textContent = id;
    card.querySelector("details").addEventListener("toggle", () => loadWarnings(card));
    cards.set(id, card);
    list.prepend(card);
    if (cards.size > MOST_SHOWN) {
      const oldest = list.lastElementChild;
      cards.delete(oldest.dataset.id);
      oldest.remove();
    }
    document.getElementById("none").hidden = true;
  }
  return card;
}

function say(card, text) {
  card.querySelector(".says").textContent = text;
}

// Files that it has made, opened beside this page: they are sandboxed, and nobody's script.
function offer(card, results) {
  for (const { name, url } of Array.isArray(results) ? results : []) {
    if (typeof url !== "string" || !url.startsWith("/api/operations/")) continue;
    const link = document.createElement("a");
    Object.assign(link, { href: url, textContent: name, target: "_blank", rel: "noopener" });
    card.querySelector(".says").append(" ", link);
  }
}

function pace(rate) {
  return rate > 0 ? `${rate >= 1 ? Math.round(rate) : rate} a second` : "";
}

const UNITS = [["hour", 3600], ["minute", 60], ["second", 1]];

function spoken(seconds) {
  const [unit, size] = UNITS.find(([, least]) => seconds >= 1.5 * least) ?? UNITS[2];
  const count = Math.max(1, Math.round(seconds / size));
  return [count, count === 1 ? unit : `${unit}s`];
}

// "about 4 minutes left (3 to 6 minutes)"; an interval that rounds to its middle is left out.
function timeLeft({ etaSeconds, etaLow, etaHigh }) {
  if (!etaSeconds) return "";
  const [low, middle, high] = [etaLow, etaSeconds, etaHigh].map(spoken);
  const from = low[1].replace(/s$/, "") === high[1].replace(/s$/, "") ? `${low[0]}` : low.join(" ");
  const between = low.join() === high.join() ? "" : ` (${from} to ${high.join(" ")})`;
  return `about ${middle.join(" ")} left${between}`;
}

// Whether one event id is before another: evt_<era>-<n>, both numbers below 2^53.
function isBefore(one, other) {
  const [a, b] = [one, other].map((id) => id.slice(4).split("-").map(Number));
  return a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
}

function addWarning(details, id, message) {
  const warnings = details.querySelector("ul");
  if ([...warnings.children].some((item) => item.dataset.id === id)) return;
  const item = document.createElement("li");
  item.dataset.id = id;
  item.textContent = message;
  const later = [...warnings.children].find((other) => isBefore(id, other.dataset.id));
  warnings.insertBefore(item, later ?? null);
}

// What came before this page was opened is in the history, not in the current state.
async function loadWarnings(card) {
  const details = card.querySelector("details");
  if (!details.open) return;
  const answer = await fetch(`/api/operations/${card.dataset.id}/events?types=warning&limit=${MOST_WARNINGS}`);
  if (!answer.ok) return;
  for (const { id, data } of (await answer.json()).events) addWarning(details, id, data.message);
}

const show = {
  status(card, data) {
    card.dataset.status = data.status;
    card.querySelector(".status").textContent = data.status;
  },
  progress(card, data) {
    const bar = card.querySelector("progress");
    if (data.percentage === null) bar.removeAttribute("value");
    else bar.value = data.percentage;
    const count = data.total === null ? `${data.current}` : `${data.current} of ${data.total}`;
    say(card, data.message ? `${count} · ${data.message}` : count);
    card.querySelector(".pace").textContent = [pace(data.rate), timeLeft(data)].filter(Boolean).join(" · ");
  },
  warning(card, data, id) {
    const details = card.querySelector("details");
    details.hidden = false;
    if (details.open) addWarning(details, id, data.message);
  },
  error(card, data) {
    say(card, `${data.code}: ${data.message}`);
  },
  complete(card, data) {
    card.querySelector("progress").value = 100;
    const totals = data.result?.totals;
    const seconds = data.durationSeconds === undefined ? "" : `in ${data.durationSeconds.toFixed(1)} s`;
    say(card, totals ? `${totals.files} files, ${totals.lines} lines, ${totals.functions} functions, ` +
                       `${totals.classes} classes ${seconds}` : `done ${seconds}`);
    offer(card, data.result?.results);
  },
};

function hear(type, data, id) {
  show[type](cardOf(data.operationId, data.operationType), data, id);
}

const CONNECTION = {
  live: "live",
  delayed: "updates are delayed",
  reconnecting: "reconnecting",
};

function setConnection(state) {
  connection.textContent = CONNECTION[state];
  connection.dataset.state = state;
}

class Unavailable extends Error {
  constructor(status) {
    super(`the service answers ${status}`);
    this.status = status;
  }
}

async function load() {
  const answer = await fetch(`/api/operations?limit=${MOST_SHOWN}`);
  if (!answer.ok) throw new Unavailable(answer.status);
  const { operations, lastEventId } = await answer.json();
  clear();
  for (const operation of operations.reverse()) {
    cardOf(operation.id, operation.kind);
    for (const type of ["status", "progress", "warning", "error", "complete"]) {
      if (operation.events[type]) hear(type, operation.events[type]);
    }
  }
  return lastEventId;
}

async function follow() {
  let source;
  try {
    const cursor = await load();
    source = new EventSource(`/api/events/stream?last_event_id=${cursor}`);
  } catch (problem) {
    setConnection(problem.status === 503 ? "delayed" : "reconnecting");
    setTimeout(follow, 1000 + Math.random() * 1000);
    return;
  }
  // Each opening ends with a heartbeat, and another one comes when Redis goes away or is back.
  source.addEventListener("heartbeat", (event) => {
    setConnection(JSON.parse(event.data).degraded ? "delayed" : "live");
  });
  source.onerror = (event) => {
    if (event.data !== undefined) return; // a task's error: it has data, a lost connection has none
    setConnection("reconnecting");
    if (source.readyState === EventSource.CLOSED) {
      source.close();
      setTimeout(follow, 1000 + Math.random() * 1000);
    }
  };
  for (const type of Object.keys(show)) {
    source.addEventListener(type, (event) => {
      if (event.data !== undefined) hear(type, JSON.parse(event.data), event.lastEventId);
    });
  }
  // What follows a reset is the whole current state: forget what stands here.
  source.addEventListener("reset", clear);
}

follow();
