// How an operation stands, on top of its page: status, bar, the line it says, its end.

import { show } from "./value.js";
import { age, far, pace, says } from "./words.js";

const byId = (id) => document.getElementById(id);
const json = (id) => JSON.parse(byId(id).textContent);
const IDLE = new Set(["queued", "retrying", "succeeded", "failed", "cancelled"]);
const FINAL = new Set(["succeeded", "failed", "cancelled"]);
const AGE_MS = 5_000;

export class Summary {
  #card = byId("operation");
  #bar = this.#card.querySelector("progress");
  #kind = this.#card.dataset.kind;
  #meanings = json("meanings");
  #events = json("first");
  #heard = Date.parse(byId("heard").dataset.at);

  constructor() {
    this.#tell();
    setInterval(() => this.#sayAge(), AGE_MS);
  }

  hear(event) {
    if (event.attempt > Number(byId("attempt").textContent)) this.#begins(event.attempt);
    this.#events[event.type] = event;
    this.#heard = Date.parse(event.timestamp);
    if (event.type === "status") this.#stands(event.status);
    this.#tell();
  }

  // An attempt that follows has its own progress; an error that was not the end is of the one before.
  #begins(attempt) {
    byId("attempt").textContent = attempt;
    delete this.#events.progress;
  }

  #stands(status) {
    this.#card.dataset.status = status;
    this.#card.querySelector(".status").textContent = status;
    byId("spoken").textContent = status;
    byId("cancel").hidden = FINAL.has(status);
    byId("cancel").disabled = status === "cancelling";
  }

  #tell() {
    const { error, complete, progress } = this.#events;
    const failed = error?.terminal;
    const percentage = far(this.#events);
    if (percentage === null) this.#bar.removeAttribute("value");
    else this.#bar.value = percentage;
    byId("says").textContent = failed ? "" : says(this.#kind, this.#events);
    byId("pace").textContent = progress && !IDLE.has(this.#card.dataset.status) ? pace(progress, this.#kind) : "";
    if (failed) this.#fails(error);
    if (complete?.result !== undefined && complete.result !== null) this.#gives(complete.result);
    this.#title(percentage);
    this.#sayAge();
  }

  #fails({ code, message, details }) {
    const box = byId("failure");
    const fill = (part, text) => { box.querySelector(part).textContent = text; };
    fill("h2", code === "cancelled" ? "Cancelled" : "What went wrong");
    fill(".message", message);
    fill(".meaning", this.#meanings[`${this.#kind}:${code}`] ?? this.#meanings[code] ?? this.#meanings[""]);
    fill(".code", code);
    box.querySelector(".details").replaceChildren(...(details ? [show(details)] : []));
    box.hidden = false;
  }

  #gives(result) {
    const box = byId("result");
    box.querySelector("div").replaceChildren(show(result));
    box.hidden = false;
  }

  #title(percentage) {
    const { title, status } = this.#card.dataset;
    const far = FINAL.has(status) ? status : percentage === null ? status : `${Math.floor(percentage)} %`;
    document.title = `${far} · ${title} · Tidings`;
  }

  #sayAge() {
    const seconds = Math.max(0, (Date.now() - this.#heard) / 1000);
    const said = age(seconds);
    if (byId("heard").textContent !== said) byId("heard").textContent = said;
  }
}
