// The tree of a workflow: a line with a bar for each of its operations, under the one that it belongs to.

import { element, operationLink } from "./elements.js";
import { amount, far, says } from "./words.js";

const MOST_STEPS = 500;

export class Steps {
  #section;
  #root;
  #steps = new Map();
  #more = new Set();
  #note;

  // `workflow`: the id of the root, whose own events are not a step's.
  constructor(section, workflow) {
    this.#section = section;
    this.#root = { id: workflow, list: section.querySelector("ol") };
    this.#note = section.querySelector(".quiet");
  }

  clear() {
    this.#steps.clear();
    this.#more.clear();
    this.#root.list.replaceChildren();
    this.#section.hidden = true;
  }

  // Takes an event of any operation of the workflow.
  hear(event) {
    if (event.operationId === this.#root.id || event.operationId === `${this.#root.id}._end`) return; // its own last word
    const step = this.#steps.get(event.operationId) ?? this.#add(event);
    if (!step) return;
    step.events[event.type] = event;
    if (event.type === "status") this.#stands(step, event.status);
    if (event.type !== "status") this.#moves(step, far(step.events));
    step.says.textContent = says(event.operationType, step.events);
  }

  #add({ operationId, operationType, parentId }) {
    this.#section.hidden = false;
    if (this.#steps.size >= MOST_STEPS) {
      this.#more.add(operationId);
      this.#note.textContent = `and ${amount(this.#more.size)} more`;
      return undefined;
    }
    const prefix = `${this.#root.id}.`;
    const name = operationId.startsWith(prefix) ? operationId.slice(prefix.length) : `${operationType} ${operationId}`;
    const bar = element("progress", { max: 100, aria: { label: `Progress of ${name}` } });
    const status = element("span", { className: "status" });
    const line = element("span", { className: "says quiet number" });
    const item = element("li", { className: "step", data: { id: operationId } },
      status, operationLink(operationId, name), bar, line);
    const step = { item, bar, status, says: line, events: {} };
    this.#steps.set(operationId, step);
    this.#place(item, parentId);
    return step;
  }

  // Under its parent, if that is a step; a list is made for the first child.
  #place(item, parentId) {
    const parent = this.#steps.get(parentId);
    if (parent) {
      parent.list ??= parent.item.appendChild(element("ol", { role: "list" }));
    }
    (parent?.list ?? this.#root.list).append(item);
  }

  #stands(step, status) {
    step.item.dataset.status = status;
    step.status.textContent = status;
  }

  #moves(step, percentage) {
    if (percentage === null) step.bar.removeAttribute("value");
    else step.bar.value = percentage;
  }
}
