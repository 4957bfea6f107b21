// The items of a batch that failed: which, why, and after how many tries.

import { element } from "./elements.js";

export class Items {
  #section;
  #rows;
  #seen = new Set();

  constructor(section) {
    this.#section = section;
    this.#rows = section.querySelector("tbody");
  }

  clear() {
    this.#seen.clear();
    this.#rows.replaceChildren();
    this.#section.hidden = true;
  }

  hear({ type, id, code, message, details }) {
    if (type !== "warning" || this.#seen.has(id)) return;
    if (id) this.#seen.add(id);
    const item = details?.item;
    if (item === undefined && code !== "more_warnings") return;
    this.#section.hidden = false;
    const cells = item === undefined ? [message] : [item, code, details.reason ?? message, details.tries ?? ""];
    const shown = cells.map((cell) => (typeof cell === "string" ? cell : JSON.stringify(cell)));
    this.#rows.append(element("tr", {}, shown.map((text, place) =>
      element("td", cells.length === 1 ? { colSpan: 4 } : {}, place === 1 ? element("code", {}, text) : text))));
  }
}
