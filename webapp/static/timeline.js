// What happened to an operation, in order: its statuses with how long each lasted, warnings, errors, its end.

import { element, moment } from "./elements.js";
import { amount, duration } from "./words.js";

const MOST_SHOWN = 300; // lines that a browser lays out in a few milliseconds
const MOST_KEPT = 10_000;

export class Timeline {
  #list;
  #earlier;
  #lines = []; // all of them, the newest last; only the newest are in the page
  #shown = MOST_SHOWN;
  #status;
  #seen = new Set();

  constructor(section) {
    this.#list = section.querySelector("ol");
    this.#earlier = section.querySelector("button");
    this.#earlier.addEventListener("click", () => {
      this.#shown += MOST_SHOWN;
      this.#list.prepend(...this.#lines.slice(-this.#shown, this.#lines.length - this.#list.children.length));
      this.#sayEarlier();
    });
  }

  clear() {
    this.#lines = [];
    this.#status = undefined;
    this.#seen.clear();
    this.#list.replaceChildren();
    this.#sayEarlier();
  }

  // Takes any event of the operation; one that it has already changes nothing.
  hear(event) {
    const { type, id } = event;
    if (!this[type] || (id && this.#seen.has(id))) return;
    if (id) this.#seen.add(id);
    this[type](event);
  }

  status({ status, previousStatus, timestamp, details }) {
    if (status === previousStatus) return; // the same phase, which has only said more
    this.#ends(timestamp);
    const asked = details?.askedBy ? `asked by ${details.askedBy}` : "";
    const said = [asked, details?.reason, details?.message].filter((each) => typeof each === "string" && each);
    const line = this.#add("phase", timestamp, status, said.join(": "));
    line.dataset.status = status;
    this.#status = { line, timestamp };
  }

  warning({ timestamp, code, message }) {
    this.#add("warning", timestamp, message, code);
  }

  error({ timestamp, code, message }) {
    this.#add("error", timestamp, message, code);
  }

  // How long a phase lasted is known when the next one begins.
  #ends(timestamp) {
    if (!this.#status) return;
    const seconds = (Date.parse(timestamp) - Date.parse(this.#status.timestamp)) / 1000;
    if (seconds >= 0) this.#status.line.querySelector(".took").textContent = duration(seconds);
  }

  #add(type, timestamp, text, more) {
    const line = element("li", { className: type },
      moment(timestamp),
      element("span", { className: type === "phase" ? "status" : "what" }, text),
      element("span", { className: "more quiet" }, more),
      element("span", { className: "took quiet number" }));
    this.#lines.push(line);
    if (this.#lines.length > MOST_KEPT) this.#lines.shift();
    this.#list.append(line);
    while (this.#list.children.length > this.#shown) this.#list.firstElementChild.remove();
    this.#sayEarlier();
    return line;
  }

  #sayEarlier() {
    const hidden = this.#lines.length - this.#list.children.length;
    this.#earlier.hidden = hidden <= 0;
    this.#earlier.textContent = `${amount(hidden)} earlier`;
  }
}
