// What an agent says and does, as it does: its events are AG-UI's, in the details of statuses.

import { element } from "./elements.js";

const NEAR_PX = 80;
const MOST_SHOWN = 500;

export class Transcript {
  #section;
  #list;
  #messages = new Map();
  #calls = new Map();

  constructor(section) {
    this.#section = section;
    this.#list = section.querySelector("ol");
  }

  clear() {
    this.#messages.clear();
    this.#calls.clear();
    this.#list.replaceChildren();
    this.#section.hidden = true;
  }

  hear({ type, details }) {
    if (type !== "status" || typeof details?.type !== "string") return;
    const follows = this.#follows();
    switch (details.type) {
      case "TEXT_MESSAGE_CONTENT": this.#write(details); break;
      case "TOOL_CALL_START": this.#call(details); break;
      case "TOOL_CALL_ARGS": this.#argue(details); break;
      case "TOOL_CALL_RESULT": this.#answer(details); break;
      default: return;
    }
    if (follows) this.#list.scrollTop = this.#list.scrollHeight;
  }

  // Whoever reads further up is left there.
  #follows() {
    const { scrollHeight, scrollTop, clientHeight } = this.#list;
    return scrollHeight - scrollTop - clientHeight < NEAR_PX;
  }

  #write({ messageId, delta }) {
    let text = this.#messages.get(messageId);
    if (!text) {
      text = element("p", { className: "text" });
      this.#messages.set(messageId, text);
      this.#add(element("li", { className: "message" }, text));
    }
    text.append(String(delta ?? ""));
  }

  #call({ toolCallId, toolCallName }) {
    const given = element("code", { className: "given" });
    const answer = element("pre", { className: "answer" }, "…");
    this.#calls.set(toolCallId, { given, answer });
    const name = element("span", { className: "tool" }, String(toolCallName ?? "a tool"));
    this.#add(element("li", { className: "call" },
      element("details", {}, element("summary", {}, name, " ", given), answer)));
  }

  #argue({ toolCallId, delta }) {
    this.#calls.get(toolCallId)?.given.append(String(delta ?? ""));
  }

  #answer({ toolCallId, content }) {
    const call = this.#calls.get(toolCallId);
    if (call) call.answer.textContent = String(content ?? "");
  }

  #add(item) {
    this.#section.hidden = false;
    this.#list.append(item);
    if (this.#list.children.length > MOST_SHOWN) this.#list.firstElementChild.remove();
  }
}
