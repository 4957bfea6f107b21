// How much this page hears: events a second, and operations that ended, of the last seconds and the last minute.

const SECONDS = 60;
const LATELY = 5;

export class Throughput {
  #events = new Array(SECONDS).fill(0);
  #ends = new Array(SECONDS).fill(0);
  #now = 0;

  constructor(nowMs) {
    this.#now = Math.floor(nowMs / 1000);
  }

  hear(nowMs, isEnd) {
    this.#move(nowMs);
    this.#events[this.#now % SECONDS] += 1;
    if (isEnd) this.#ends[this.#now % SECONDS] += 1;
  }

  // Of whole seconds: the present one has only begun.
  rates(nowMs) {
    this.#move(nowMs);
    let events = 0;
    for (let back = 1; back <= LATELY; back += 1) events += this.#events[(this.#now - back + SECONDS) % SECONDS];
    return { eventsPerSecond: events / LATELY, endsPerMinute: this.#ends.reduce((one, other) => one + other, 0) };
  }

  #move(nowMs) {
    const now = Math.floor(nowMs / 1000);
    for (let each = Math.max(this.#now + 1, now - SECONDS + 1); each <= now; each += 1) {
      this.#events[each % SECONDS] = 0;
      this.#ends[each % SECONDS] = 0;
    }
    this.#now = Math.max(this.#now, now);
  }
}
