// How many operations there are by how they stand: what the API said, and what was heard since.

import { ends, FINAL, isFirst, placeOf, statusAfter } from "./operations.js";
import { amount } from "./words.js";

const MOST_CHANGES = 2_000;
const ALL = ""; // the name of the sum

export class Counts {
  #elements;
  #said = {};
  #place = Infinity; // of the log, at which that was said
  #changes = []; // [place, name, by] behind it
  #scheduled = false;

  constructor(elements) {
    this.#elements = elements;
  }

  // What the API said at this place. What was heard of later ones is counted on top, unless all that is lost.
  set(said, place, isLost = false) {
    this.#said = { ...said };
    this.#place = place;
    this.#changes = isLost ? [] : this.#changes.filter((change) => change[0] > place);
    this.#draw();
  }

  hear(event, statusBefore) {
    const place = placeOf(event.id);
    if (place <= this.#place) return;
    const change = (name, by) => this.#changes.push([place, name, by]);
    if (isFirst(event)) {
      change("open", 1);
      if (FINAL.includes(statusBefore)) change(statusBefore, -1); // its id is used again
    } else if (ends(event)) {
      change("open", -1);
      change(statusAfter(event), 1);
    } else return;
    if (this.#changes.length > MOST_CHANGES) {
      for (const [, name, by] of this.#changes.splice(0, MOST_CHANGES / 2)) this.#said[name] += by;
    }
    this.#draw();
  }

  // How long the list is that this filter gives; undefined where nobody knows.
  sizeOf({ statuses, kinds, text }) {
    const now = this.#now();
    const names = statuses.length ? statuses : Object.keys(now);
    return kinds.length || text || !names.every((name) => name in now)
      ? undefined : names.reduce((sum, name) => sum + now[name], 0);
  }

  #now() {
    const now = { ...this.#said };
    for (const [, name, by] of this.#changes) now[name] += by;
    for (const name of Object.keys(now)) now[name] = Math.max(0, now[name]);
    return now;
  }

  #draw() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      const now = this.#now();
      now[ALL] = Object.values(now).reduce((one, other) => one + other, 0);
      for (const element of this.#elements) {
        const said = amount(now[element.dataset.count] ?? 0);
        if (element.textContent !== said) element.textContent = said;
      }
    });
  }
}
