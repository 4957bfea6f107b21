// One stream for all tabs of an origin. Whoever holds the Web Lock leads: it follows what any of them wants, and
// passes every message on by a BroadcastChannel. Each subscription knows by its own cursor what it has, so a
// leader may come and go at any time: the next one goes on from the oldest cursor, and nobody takes anything twice.

import { watchPage } from "./page.js";
import { isAfter } from "./parse.js";
import { covers } from "./subscription.js";
import { address, Wire } from "./wire.js";

const MOST_TOPICS = 64; // what the service takes in one request
const GATHER_MS = 30; // for the tabs to say what they want before a stream is opened for them
const SILENCES = 5; // heartbeats without a word of the leader until another tab takes its place

const hubs = new Map();

export function hubOf(share, stream) {
  const name = `tidings ${share} ${stream.url}`;
  if (!hubs.has(name)) hubs.set(name, new Hub(name, stream));
  return hubs.get(name);
}

const oldest = (cursors) => cursors.reduce((one, other) => (isAfter(one, other) ? other : one));
const union = (lists) => (lists.some((list) => !list.length) ? [] : [...new Set(lists.flat())].sort());
const all = (wanted, given) => !given.length || (wanted.length > 0 && wanted.every((each) => covers(given, each)));
const has = (stream, want) =>
  all(want.topics, stream.topics) && all(want.types, stream.types) && !isAfter(stream.cursor, want.cursor);

// What all of them want, as one request can ask for it.
function together(wants) {
  const topics = union(wants.map((want) => want.topics));
  const families = [...new Set(topics.map((topic) => topic.replace(/:.*/, ":*")))];
  return {
    topics: topics.length > MOST_TOPICS ? families : topics,
    types: union(wants.map((want) => want.types)),
    cursor: oldest(wants.map((want) => want.cursor)),
  };
}

class Hub {
  #id = Math.random().toString(36).slice(2);
  #own = new Set(); // the subscriptions of this page
  #served = new Set(); // those of them that the present stream has everything for
  #others = new Map(); // leading: what each other page wants, and whether the present stream has it
  #open; // leading: what the present stream was asked for, and how far it is
  #state = "live";
  #heard = 0;
  #unwatch;

  constructor(name, stream) {
    this.name = name;
    this.stream = stream;
  }

  add(subscription) {
    this.#own.add(subscription);
    if (this.#own.size > 1) this.#ask();
    else {
      this.#unwatch = watchPage({
        wake: (surely) => (this.leads ? this.wire?.wake(surely) : surely || this.#post({ wake: 1 })),
        hide: () => this.#stop(), // a page that holds a lock is not kept for the way back
        show: () => this.#start(),
      });
      this.#start();
    }
  }

  remove(subscription) {
    this.#served.delete(subscription);
    if (!this.#own.delete(subscription)) return;
    if (this.#own.size) this.#ask();
    else {
      this.#unwatch();
      this.#stop();
      hubs.delete(this.name);
    }
  }

  #start() {
    this.channel = new BroadcastChannel(this.name);
    this.channel.onmessage = ({ data }) => (this.leads ? this.#hearPage(data) : this.#hearLeader(data));
    this.#heard = Date.now();
    this.watch = setInterval(() => this.#look(), this.stream.heartbeatMs / 2);
    this.#queue();
    this.#ask();
  }

  #stop() {
    if (!this.channel) return;
    this.#post({ bye: this.#id });
    clearInterval(this.watch);
    this.waiting.abort();
    this.#abdicate();
    this.channel.close();
    this.channel = undefined;
    this.#served.clear();
  }

  // Waits for its turn to lead, or takes it from a page that hangs.
  #queue(steal = false) {
    this.waiting?.abort();
    const waiting = (this.waiting = new AbortController());
    const held = new Promise((release) => { this.release = release; });
    const lead = () => {
      if (waiting.signal.aborted) return undefined;
      this.#lead();
      return held;
    };
    navigator.locks.request(this.name, steal ? { steal } : { signal: waiting.signal }, lead).catch(() => {
      if (waiting.signal.aborted) return;
      this.#abdicate(); // another page has taken it from us
      this.#queue();
      this.#ask();
    });
  }

  #lead() {
    this.leads = true;
    this.#others.clear();
    this.#open = undefined;
    this.#post({ who: 1 });
    this.#cover();
  }

  #abdicate() {
    this.leads = false;
    this.#heard = Date.now(); // whoever leads now has had no time yet to say a word
    clearTimeout(this.gathering);
    this.gathering = undefined;
    this.wire?.stop();
    this.wire = undefined;
    this.release();
  }

  #look() {
    if (this.leads) this.#post({ tick: 1 });
    else if (Math.abs(Date.now() - this.#heard) > SILENCES * this.stream.heartbeatMs) {
      this.#heard = Date.now();
      this.#queue(true);
    }
  }

  #post(message) {
    this.channel?.postMessage(message);
  }

  // Says what this page wants, or, leading, sees to it.
  #ask() {
    if (this.leads) this.#cover();
    else this.#post({ want: together([...this.#own]), id: this.#id });
  }

  #hearPage({ want, id, bye, wake }) {
    if (want) {
      this.#others.set(id, { want, served: false });
      this.#cover();
    }
    if (bye) this.#others.delete(bye);
    if (wake) this.wire?.wake();
  }

  #hearLeader({ want, bye, wake, who, open, ...said }) {
    if (want || bye || wake) return;
    this.#heard = Date.now();
    if (who) this.#ask();
    if (open) this.#serve(open);
    this.#tell(said);
  }

  // Opens a stream for everybody, unless the present one has what they want.
  #cover() {
    for (const other of this.#others.values()) other.served ||= Boolean(this.#open && has(this.#open, other.want));
    const served = [...this.#others.values()].every((other) => other.served);
    if (this.#open && served && [...this.#own].every((want) => has(this.#open, want))) this.#announce();
    else this.gathering ??= setTimeout(() => this.#follow(), GATHER_MS);
  }

  #announce() {
    this.#post({ open: this.#open, state: this.#state });
    this.#serve(this.#open);
  }

  #follow() {
    this.gathering = undefined;
    const reached = this.#open?.cursor;
    const others = [...this.#others.values()].map((other) =>
      other.served ? { ...other.want, cursor: reached } : other.want);
    const open = (this.#open = together([...this.#own, ...others]));
    for (const other of this.#others.values()) other.served = true;
    const say = (said) => {
      this.#post(said);
      this.#tell(said);
    };
    this.wire?.stop();
    this.#announce();
    this.wire = new Wire({
      ...this.stream,
      url: (cursor) => address(this.stream.url, open, cursor),
      cursor: () => open.cursor,
      opens: () => say({ opens: 1 }),
      hears(message) {
        open.cursor = message.id ?? open.cursor;
        say({ message });
      },
      state: (state) => say({ state }),
      problem: (problem) => say({ problem }),
      ready: () => [...this.#own].map((each) => each.ready()).find(Boolean),
    });
  }

  // The present stream has what these want, from where they are; for the others another one is needed.
  #serve(open) {
    this.#served = new Set([...this.#own].filter((want) => has(open, want)));
    if (!this.leads && this.#served.size < this.#own.size) this.#ask();
  }

  #tell({ opens, message, state, problem }) {
    if (state) this.#state = state;
    for (const each of this.#own) {
      if (this.#served.has(each)) {
        if (opens) each.opens();
        if (message) each.hears(message);
      }
      if (state) each.becomes(state);
      if (problem) each.tell("problem", problem);
    }
  }
}
