// <tidings-progress operation="…">: a bar that follows one operation. Attributes: operation, url, label.
// Its colours and sizes are CSS variables, its pieces are parts; see README.md.

import { connect } from "./tidings.js";

const STYLE = `
  :host { display: block; font: inherit; }
  :host([hidden]) { display: none; }
  .track { height: var(--tidings-height, .5rem); overflow: hidden; border-radius: var(--tidings-radius, 1rem);
           background: var(--tidings-track, color-mix(in srgb, currentColor 15%, transparent)); }
  .fill { height: 100%; width: 0; background: var(--tidings-color, #2563eb); transition: width .2s linear; }
  :host([data-status=failed]) .fill, :host([data-status=cancelled]) .fill { background: var(--tidings-failed, #b91c1c); }
  :host([data-status=succeeded]) .fill { background: var(--tidings-succeeded, #15803d); }
  .unknown .fill { width: 30%; animation: pass 1.5s ease-in-out infinite alternate; }
  @keyframes pass { to { margin-left: 70%; } }
  .says { margin: .25rem 0 0; overflow-wrap: anywhere; }
  .spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
  @media (prefers-reduced-motion: reduce) { .fill { transition: none; animation: none !important; } }
  @media (forced-colors: active) { .track { border: 1px solid CanvasText; } .fill { background: Highlight !important; } }
`;
const MOST_OF_A_FAILURE = 99; // what failed when all was done is not whole
const FINAL = new Set(["succeeded", "failed", "cancelled"]);
const Base = globalThis.HTMLElement ?? class {}; // a server may import this for its page's sake
let sheet;

function make(part, attributes = {}) {
  const element = document.createElement("div");
  element.className = part;
  element.part = part;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

export class TidingsProgress extends Base {
  static observedAttributes = ["operation", "url", "label"];

  // What `connect` takes for a token; to be set before the element is in the page.
  token;
  #connection;
  #bar;
  #fill;
  #says;
  #spoken;

  connectedCallback() {
    if (!this.shadowRoot) this.#build();
    this.#follow();
  }

  disconnectedCallback() {
    this.#connection?.close();
  }

  attributeChangedCallback(name, before, now) {
    if (!this.isConnected || !this.shadowRoot || before === now) return;
    if (name === "label") this.#bar.setAttribute("aria-label", this.#label());
    else this.#follow();
  }

  #label() {
    return this.getAttribute("label") ?? `Progress of ${this.getAttribute("operation")}`;
  }

  #build() {
    sheet ??= new CSSStyleSheet(); // not a <style>: a page's Content-Security-Policy may forbid these
    sheet.replaceSync(STYLE);
    this.attachShadow({ mode: "open" }).adoptedStyleSheets = [sheet];
    this.#bar = make("track", { role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 });
    this.#bar.append((this.#fill = make("fill")));
    this.#says = make("says", { "aria-hidden": true }); // the bar's aria-valuetext says the same
    this.#spoken = make("spoken", { role: "status" });
    this.shadowRoot.append(this.#bar, this.#says, this.#spoken);
  }

  #follow() {
    this.#connection?.close();
    this.#clear();
    const operation = this.getAttribute("operation");
    if (!operation) return;
    const url = this.getAttribute("url") ?? undefined;
    const connection = (this.#connection = connect({ url, topics: [`operations:${operation}`], token: this.token }));
    connection.on("state", (state) => { this.dataset.connection = state; });
    connection.on("reset", () => this.#clear());
    connection.on("event", (event) => {
      this[event.type]?.(event);
      this.dispatchEvent(new CustomEvent(`tidings-${event.type}`, { detail: event, bubbles: true, composed: true }));
    });
  }

  #clear() {
    delete this.dataset.status;
    delete this.dataset.connection;
    this.#bar.setAttribute("aria-label", this.#label());
    this.#spoken.textContent = "";
    this.#show(null, "");
  }

  #show(percentage, text) {
    const known = percentage !== null;
    this.#bar.classList.toggle("unknown", !known && !FINAL.has(this.dataset.status));
    this.#fill.style.width = known ? `${percentage}%` : "";
    if (known) this.#bar.setAttribute("aria-valuenow", percentage);
    else this.#bar.removeAttribute("aria-valuenow");
    this.#say(text);
  }

  #say(text) {
    this.#says.textContent = text;
    if (text) this.#bar.setAttribute("aria-valuetext", text);
    else this.#bar.removeAttribute("aria-valuetext");
  }

  progress({ current, total, percentage, message }) {
    const count = total === null ? `${current}` : `${current} of ${total}`;
    this.#show(percentage, message ? `${count} · ${message}` : count);
  }

  status({ status }) {
    this.dataset.status = status;
    this.#bar.classList.toggle("unknown", !this.#bar.hasAttribute("aria-valuenow") && !FINAL.has(status));
    this.#spoken.textContent = status;
  }

  warning({ message }) {
    this.#spoken.textContent = message;
  }

  error({ code, message, terminal }) {
    if (terminal) {
      this.status({ status: code === "cancelled" ? code : "failed" });
      if (this.#bar.getAttribute("aria-valuenow") === "100") this.#show(MOST_OF_A_FAILURE, "");
    }
    this.#say(message);
    this.#spoken.textContent = message;
  }

  complete() {
    this.status({ status: "succeeded" });
    this.#show(100, "done");
    this.#spoken.textContent = "done";
  }
}

if (globalThis.customElements && !customElements.get("tidings-progress")) {
  customElements.define("tidings-progress", TidingsProgress);
}
