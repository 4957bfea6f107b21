// An operation as a list keeps it: taken from the API's document, moved on by events, and what is shown of it.
// Pure; webapp/shown.py shows the same in a page's first paint.

import { age, briefly, far, says, short } from "./words.js";

export const OPEN_FIRST = 4e15; // as in tidings/list.lua
const IDLE = new Set(["queued", "retrying", "succeeded", "failed", "cancelled"]);
export const FINAL = ["succeeded", "failed", "cancelled"];

// A place in the log as one number: era + n, exact below 2^53.
export function placeOf(eventId) {
  const [era, n] = eventId.slice(4).split("-");
  return Number(era) + Number(n);
}

function part(event, names) {
  return event && Object.fromEntries(names.filter((name) => name in event).map((name) => [name, event[name]]));
}

// What a list needs of an event, so that 10,000 operations do not keep all their results.
const KEPT = {
  progress: (event) => part(event, ["current", "total", "percentage", "message", "rate", "etaSeconds"]),
  error: (event) => part(event, ["code", "message", "terminal"]),
  complete: (event) => part(event, ["durationSeconds"]),
};

export class Operation {
  constructor({ id, kind, name, status, updatedAt, firstEventId, lastEventId, events }) {
    Object.assign(this, { id, kind, name, status, updatedAt });
    this.first = placeOf(firstEventId);
    this.last = placeOf(lastEventId);
    this.events = {};
    for (const type of Object.keys(KEPT)) if (events[type]) this.events[type] = KEPT[type](events[type]);
  }

  get title() { return this.name || this.kind; }
  get isOver() { return Boolean(this.events.complete || this.events.error?.terminal); }
  // Where it stands in the list, which falls: what is open by its beginning, then what is over by its end.
  get place() { return this.isOver ? this.last : this.first + OPEN_FIRST; }

  // Takes an event; tells whether it was news.
  hear(event) {
    const place = placeOf(event.id);
    if (place <= this.last) return false;
    this.last = place;
    if (isFirst(event)) Object.assign(this, { first: place, events: {} }); // its id was used again
    if (KEPT[event.type]) this.events[event.type] = KEPT[event.type](event);
    const status = statusAfter(event);
    if (status) Object.assign(this, { status, updatedAt: event.timestamp });
    return true;
  }

  matches({ statuses, kinds, text }) {
    const { progress, error } = this.events;
    const said = () => [this.id, this.name, progress?.message, error?.message];
    return (!statuses.length || statuses.includes(this.status) || (statuses.includes("open") && !this.isOver)) &&
      (!kinds.length || kinds.includes(this.kind)) &&
      (!text || said().some((each) => each?.toLowerCase().includes(text)));
  }

  shown(now) {
    const { progress } = this.events;
    return {
      short: short(this.id),
      percentage: far(this.events),
      says: says(this.kind, this.events),
      when: (progress && !IDLE.has(this.status) && briefly(progress, this.kind)) ||
        age(Math.max(0, now - Date.parse(this.updatedAt)) / 1000),
    };
  }
}

// The first event of an operation: every later status names the one before.
export const isFirst = ({ type, previousStatus }) => type === "status" && previousStatus === undefined;

// Which status an event leaves its operation in, if it says so.
export function statusAfter({ type, status, code, terminal }) {
  if (type === "status") return status;
  if (type === "complete") return "succeeded";
  return type === "error" && terminal ? (code === "cancelled" ? "cancelled" : "failed") : undefined;
}

export const ends = ({ type, terminal }) => type === "complete" || (type === "error" && terminal);
