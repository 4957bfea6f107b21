// What one part of a page follows: takes the messages of a stream, gives typed events to its handlers, each once
// and in order, by the frame. Keeps the cursor, so it does not matter which stream the messages come from.

import { nextFrame } from "./page.js";
import { isAfter } from "./parse.js";

const MOST_WAITING = 1_000;
const isTerminal = ({ type, terminal }) => type === "complete" || (type === "error" && terminal);

export class Subscription {
  state = "connecting";
  #handlers = new Map();
  #queue = [];
  #drawn;
  #reset;

  constructor({ topics, types, cursor }) {
    this.topics = topics;
    this.types = types;
    this.cursor = cursor;
    const named = topics.map((topic) => /^operations:([^*]+)$/.exec(topic)?.[1]);
    this.#awaited = named.every(Boolean) ? new Set(named) : new Set();
  }

  #awaited;

  on(type, handler) {
    const handlers = this.#handlers.get(type) ?? this.#handlers.set(type, new Set()).get(type);
    const own = (event) => handler(event);
    handlers.add(own);
    return () => handlers.delete(own);
  }

  // A stream begins: what another one left half said is void.
  opens() {
    this.#reset = undefined;
  }

  hears({ type, data, id }) {
    if (type === "reset") {
      this.#reset = { type, ...JSON.parse(data), events: [] };
      return;
    }
    if (id && this.#reset) {
      const reset = this.#reset;
      this.#reset = undefined;
      this.cursor = "";
      this.#enqueue(reset);
      reset.events.forEach((event) => this.#enqueue(event));
    }
    if (id) {
      if (!isAfter(id, this.cursor)) return;
      this.cursor = id;
    }
    if (type === "heartbeat") return;
    const event = { ...JSON.parse(data), type, id };
    if (!this.#wants(event)) return;
    if (this.#reset) this.#reset.events.push(event);
    else this.#enqueue(event);
  }

  becomes(state) {
    if (state === this.state || this.state === "finished") return;
    this.state = state;
    this.tell("state", state);
  }

  // Resolves when the handlers have caught up; undefined if they have.
  ready() {
    return this.#queue.length < MOST_WAITING ? undefined : this.#drawn;
  }

  tell(type, event) {
    for (const handler of [...(this.#handlers.get(type) ?? [])]) {
      try {
        handler(event);
      } catch (error) {
        (globalThis.reportError ?? console.error)(error);
      }
    }
  }

  #wants({ type, operationId, workflowId, agentId }) {
    if (this.types.length && !this.types.includes(type)) return false;
    const own = [`operations:${operationId}`, `workflows:${workflowId}`, `members:${workflowId}`, `agents:${agentId}`];
    const wanted = own.filter((topic) => !topic.endsWith(":undefined"));
    return !this.topics.length || wanted.some((topic) => covers(this.topics, topic));
  }

  #enqueue(event) {
    this.#queue.push(event);
    if (this.#queue.length > 2 * MOST_WAITING) this.#queue = withoutStale(this.#queue);
    this.#drawn ??= nextFrame().then(() => this.#draw());
  }

  #draw() {
    this.#drawn = undefined;
    const queue = withoutStale(this.#queue);
    this.#queue = [];
    for (const event of queue) {
      if (this.state === "finished") return;
      this.tell(event.type, event);
      if (event.type === "reset") continue;
      this.tell("event", event);
      if (isTerminal(event) && this.#awaited.delete(event.operationId) && !this.#awaited.size) this.becomes("finished");
    }
  }
}

// Of the progress that waits, only the newest of each operation is worth drawing.
function withoutStale(queue) {
  const newest = new Map(queue.map((event, place) => [event.type === "progress" ? event.operationId : place, place]));
  return queue.filter((event, place) => event.type !== "progress" || newest.get(event.operationId) === place);
}

export function covers(topics, topic) {
  return !topics.length || topics.includes(topic) || topics.includes(topic.replace(/:.*/, ":*"));
}
