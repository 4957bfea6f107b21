// The overview: goes on from the rows that the page came with, follows the stream from exactly there, and asks
// the API for older operations as one scrolls, and for what it does not know yet. All that is said is set as text.

import { connect } from "/client/tidings.js";
import { showConnection } from "./connection.js";
import { Counts } from "./counts.js";
import { offerKind, onFilter, readFilter, showFilter, toQuery } from "./filter.js";
import { ends, FINAL, isFirst, OPEN_FIRST, Operation, placeOf, statusAfter } from "./operations.js";
import { clock, indexOf, Rows } from "./rows.js";
import { Throughput } from "./throughput.js";
import { amount } from "./words.js";

const PAGE = 200;
const MOST_KNOWN = 20_000; // as many as the service lists; beyond it the oldest are forgotten
const MOST_OPEN = 1_000; // are loaded at once, so that what moves is known
const MOST_ASKED = 64; // topics of one request
const GATHER_MS = 100; // for operations that begin together to be asked for together
const TRY_AGAIN_MS = 1_000;
const AGES_MS = 10_000;

const list = document.getElementById("list");
const note = document.getElementById("note");
const rows = new Rows(list, document.getElementById("row"));
const counts = new Counts(document.querySelectorAll("[data-count]"));
const throughput = new Throughput(performance.now());

let filter = readFilter(location.search);
let known = new Map(); // by id, also what does not match
let shown = []; // what matches and is loaded, in the list's order
let next; // from where on there are more, as a place; undefined at the end
let connection;
let loading; // what is being asked for, to be given up for something else
let starting; // events that come while the list is being made anew
const unknown = new Map(); // by id, what was heard of operations that are being asked about

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function ask(query, signal) {
  for (;;) {
    try {
      const answer = await fetch(`/api/operations?${query}`, { signal });
      if (answer.ok) return await answer.json();
      if (answer.status < 500) throw new Error((await answer.json()).detail);
    } catch (problem) {
      if (signal?.aborted) throw problem;
      if (!(problem instanceof TypeError)) { // refused, not unreachable
        note.textContent = problem.message;
        throw problem;
      }
    }
    await pause(TRY_AGAIN_MS * (1 + Math.random()));
  }
}

function insert(operation) {
  if (next !== undefined && operation.place < next) return; // comes with a further page
  const at = indexOf(shown, operation.place);
  if (shown[at] !== operation) shown.splice(at, 0, operation);
}

function remove(operation, place) {
  const at = indexOf(shown, place);
  if (shown[at] === operation) shown.splice(at, 1);
}

// Takes what the API says of an operation, unless the stream has said more since.
function take(said) {
  let operation = known.get(said.id);
  if (!operation || operation.last < placeOf(said.lastEventId)) {
    if (operation) remove(operation, operation.place);
    known.set(said.id, (operation = new Operation(said)));
    offerKind(operation.kind);
    rows.touch(said.id);
  }
  for (const event of unknown.get(said.id)?.values() ?? []) operation.hear(event);
  unknown.delete(said.id);
  if (operation.matches(filter)) insert(operation);
}

function forgetTheOldest() {
  if (known.size <= MOST_KNOWN) return;
  if (shown.length > MOST_KNOWN) {
    shown.length = MOST_KNOWN;
    next = shown.at(-1).place;
  }
  const kept = new Set(shown);
  for (const [id, operation] of known) {
    if (known.size <= MOST_KNOWN) break;
    if (!kept.has(operation)) known.delete(id);
  }
}

function show() {
  const whole = counts.sizeOf(filter);
  rows.size = next === undefined ? shown.length : whole ?? -1;
  rows.show(shown);
  const isNarrowed = filter.statuses.length || filter.kinds.length || filter.text;
  if (shown.length) note.textContent = next === undefined ? "" : "Loading more …";
  else if (next !== undefined) note.textContent = "Nothing among the latest ones: looking further back.";
  else if (isNarrowed) note.textContent = "Nothing matches.";
  else note.textContent = "Nothing has been started yet. What is, here or by your own tasks, appears by itself.";
}

// Asks for the page behind what is loaded.
async function more() {
  if (loading || next === undefined) return;
  const asked = (loading = new AbortController());
  try {
    const query = `${toQuery(filter)}&limit=${PAGE}&before=${next}`;
    const answer = await ask(query, asked.signal);
    next = answer.next === undefined ? undefined : Number(answer.next);
    answer.operations.forEach(take);
    forgetTheOldest();
    counts.set(answer.counts, placeOf(answer.lastEventId));
  } catch {
    return; // given up, or refused and said
  } finally {
    if (loading === asked) loading = undefined;
  }
  show();
}

// Makes the list anew: another filter, or what was known is not true any more (isLost).
async function again(isLost = false) {
  loading?.abort();
  const asked = (loading = new AbortController());
  list.setAttribute("aria-busy", "true");
  const wanted = readFilter(location.search);
  if (isLost) starting = [];
  try {
    const answer = await ask(`${toQuery(wanted)}&limit=${PAGE}`, asked.signal);
    if (isLost || !connection) known = new Map();
    filter = wanted;
    shown = [];
    next = answer.next === undefined ? undefined : Number(answer.next);
    answer.operations.forEach(take);
    for (const operation of known.values()) if (operation.matches(filter)) insert(operation);
    counts.set(answer.counts, placeOf(answer.lastEventId), isLost);
    const heard = starting ?? [];
    starting = undefined;
    heard.forEach(hear);
    if (!connection) follow(answer.lastEventId);
  } catch {
    return;
  } finally {
    if (loading === asked) {
      loading = undefined;
      list.removeAttribute("aria-busy");
    }
  }
  showFilter(filter);
  if (list.getBoundingClientRect().top < 0) list.scrollIntoView({ behavior: "instant" });
  show();
}

// Whether an event can be of an operation that belongs into this list: what is not known is asked for.
function concerns(event) {
  if (filter.kinds.length && !filter.kinds.includes(event.operationType)) return false;
  const how = ends(event) ? statusAfter(event) : "open";
  const wanted = filter.statuses.map((status) => (FINAL.includes(status) ? status : "open"));
  if (wanted.length && !wanted.includes(how)) return false;
  return isFirst(event) || ends(event) || next === undefined || next < OPEN_FIRST;
}

function wonder(event) {
  const heard = unknown.get(event.operationId);
  if (heard) heard.set(event.type, event);
  else {
    unknown.set(event.operationId, new Map([[event.type, event]]));
    if (unknown.size === 1) setTimeout(learn, GATHER_MS);
  }
}

async function learn() {
  while (unknown.size) {
    const ids = [...unknown.keys()].slice(0, MOST_ASKED);
    const topics = ids.map((id) => `operations:${id}`).join();
    const { operations } = await ask(`limit=${MOST_ASKED}&topics=${topics}`).catch(() => ({ operations: [] }));
    operations.forEach(take);
    ids.forEach((id) => unknown.delete(id)); // what is not there has expired
    forgetTheOldest();
    show();
  }
}

function hear(event) {
  if (!event.id) return; // the state behind a reset: the list is asked for instead
  if (starting) {
    starting.push(event);
    return;
  }
  throughput.hear(performance.now(), ends(event));
  const operation = known.get(event.operationId);
  counts.hear(event, operation?.status);
  if (!operation) {
    if (concerns(event)) wonder(event);
    return;
  }
  const { place } = operation;
  const at = indexOf(shown, place);
  const was = shown[at] === operation;
  if (!operation.hear(event)) return;
  rows.touch(operation.id);
  const is = operation.matches(filter);
  if (is === was && operation.place === place) return;
  if (was) shown.splice(at, 1);
  if (is) insert(operation);
  show();
}

function follow(cursor) {
  connection = connect({ cursor });
  showConnection(connection);
  connection.on("event", hear);
  connection.on("reset", () => again(true));
}

// Goes on from the rows of the page's first paint.
function adopt({ from, next: further, counts: said }) {
  for (const row of list.children) {
    const operation = new Operation(JSON.parse(row.dataset.kept));
    known.set(operation.id, operation);
    shown.push(operation);
  }
  next = further === undefined ? undefined : Number(further);
  counts.set(JSON.parse(said), placeOf(from));
  follow(from);
  show();
}

function sayRate() {
  const { eventsPerSecond, endsPerMinute } = throughput.rates(performance.now());
  const said = `${amount(eventsPerSecond)} events/s · ${amount(endsPerMinute)} ended in the last minute`;
  const line = document.getElementById("rate");
  if (line.textContent !== said) line.textContent = said;
}

rows.needs = (left, seen) => {
  if (left <= 3 * seen || (next >= OPEN_FIRST && shown.length < MOST_OPEN)) more();
};
const [{ type } = {}] = performance.getEntriesByType("navigation");
// A page out of the browser's history was made at another time than now.
if (type !== "back_forward") clock.aheadMs = Date.parse(list.dataset.now) - Date.now();
setInterval(() => rows.refresh(), AGES_MS);
setInterval(sayRate, 1_000);
sayRate();
onFilter(() => again());
if (list.dataset.from) adopt(list.dataset);
else again();
