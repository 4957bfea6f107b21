// One stream, opened again for ever: takes where to go on from, gives messages and the state of the connection.
// It ends with a 204 or `stop`. What it is given: url(cursor), cursor(), token, heartbeatMs, credentials, and the
// listeners opens(), hears(message), state(name), problem(what), ready() → a promise while the page is behind.

import { parser } from "./parse.js";

const LONGEST_WAIT_MS = 30_000;
const SILENCES = 2.5; // heartbeats that may be missing before the stream counts as dead

class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export class Wire {
  #abort = new AbortController();
  #stopped = false;
  #heard = 0;
  #failures = 0;
  #retryMs = 1_000;
  #bearer;
  #refusal;
  #rouse = () => {};

  constructor(options) {
    this.options = options;
    this.#run();
  }

  stop() {
    this.#stopped = true;
    this.#abort.abort();
    this.#rouse();
  }

  // Something happened that may have cut the stream unseen, or ended what kept it from opening.
  wake(surely = false) {
    this.#failures = 0;
    this.#rouse();
    if (surely || Math.abs(Date.now() - this.#heard) > 1.5 * this.options.heartbeatMs) this.#abort.abort();
  }

  async #run() {
    await null; // whoever makes a wire has it in hand before it speaks
    while (!this.#stopped) {
      const status = this.#refusal;
      let failure;
      try {
        if (await this.#follow()) return this.#say("finished");
      } catch (error) {
        failure = error;
      }
      if (this.#stopped) return;
      const renew = this.#refusal && this.#refusal !== status; // the first refusal is a matter of a new token
      const waitMs = renew ? 0 : this.#waitMs();
      this.#say("reconnecting");
      const { status: answered, message = "the stream ended" } = failure ?? {};
      this.options.problem({ status: answered, message, retryInMs: Math.round(waitMs) });
      await new Promise((done) => {
        const timer = setTimeout(done, waitMs);
        this.#rouse = () => done(clearTimeout(timer));
      });
    }
  }

  #say(state) {
    if (!this.#stopped) this.options.state(state);
  }

  #waitMs() {
    const most = Math.min(LONGEST_WAIT_MS, this.#retryMs * 2 ** this.#failures++);
    return most / 2 + Math.random() * most / 2;
  }

  // Reads one stream to its end; tells whether there will never be more.
  async #follow() {
    const { options } = this;
    const abort = (this.#abort = new AbortController());
    const { signal } = abort;
    const cut = new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    cut.catch(() => {});
    this.#heard = Date.now();
    const watch = setInterval(() => {
      const silent = Math.abs(Date.now() - this.#heard);
      if (silent > SILENCES * options.heartbeatMs) abort.abort(new Error(`silent for ${Math.round(silent / 1e3)} s`));
    }, options.heartbeatMs / 4);
    try {
      options.opens();
      const answer = await Promise.race([this.#open(signal), cut]);
      if (answer.status === 204) return true;
      const parse = parser((message) => signal.aborted || this.#take(message), (ms) => { this.#retryMs = ms; });
      const decoder = new TextDecoder();
      const reader = answer.body.getReader();
      for (;;) {
        const { done, value } = await reader.read(); // rejects when aborted
        if (done) return false;
        this.#heard = Date.now();
        parse(decoder.decode(value, { stream: true }));
        await options.ready();
      }
    } catch (error) {
      throw signal.aborted ? signal.reason : error; // not every browser passes the reason on
    } finally {
      clearInterval(watch);
      abort.abort();
    }
  }

  async #open(signal) {
    const { token, url, cursor, credentials } = this.options;
    const headers = { Accept: "text/event-stream" };
    if (token) {
      this.#bearer ??= typeof token === "function" ? await token({ refused: this.#refusal }) : token;
      headers.Authorization = `Bearer ${this.#bearer}`;
    }
    const answer = await fetch(url(cursor()), { headers, signal, credentials, cache: "no-store" });
    const { status } = answer;
    if (status === 204) return answer;
    if (status !== 200 || !answer.headers.get("content-type")?.startsWith("text/event-stream")) {
      if (token && (status === 401 || status === 403)) {
        this.#bearer = undefined;
        this.#refusal = status;
      }
      const { detail } = await answer.json().catch(() => ({}));
      throw new Refused(status, detail ?? `the answer was ${status}, and no stream`);
    }
    this.#refusal = undefined;
    return answer;
  }

  #take(message) {
    this.options.hears(message);
    if (message.type !== "heartbeat") return;
    this.#failures = 0;
    this.#say(JSON.parse(message.data).degraded ? "degraded" : "live");
  }
}

export function address(url, { topics, types }, cursor, history) {
  const whole = new URL(url);
  const set = (name, value) => value?.length && whole.searchParams.set(name, value);
  set("topics", topics.join());
  set("types", types.join());
  if (cursor) set("last_event_id", cursor);
  else set("history", history);
  return whole.href;
}
