// Files that people choose or drop: each is sent, shown in a row, and may be paused, gone on with, also after a
// reload, and cancelled. A bar shows what the service has said that it has on disk.

import { connect } from "/client/tidings.js";

import { element } from "./elements.js";
import { Sender } from "./tus.js";
import { amount, pace, says } from "./words.js";

const MOST_AT_A_TIME = 2; // a browser has six connections to a service, and streams are among them
const MEMORY = "tidings.uploads";
const STANDS = {
  waiting: "queued", unfinished: "queued", paused: "queued", sending: "running", retrying: "retrying", whole: "running",
  done: "succeeded", failed: "failed", cancelled: "cancelled",
};
const GOES_ON = { sending: "Pause", retrying: "Pause", waiting: "Pause", paused: "Resume", failed: "Try again", unfinished: "Choose file" };
const THEN = "Upload-Metadata.then";
const size = (bytes) => amount(bytes, "upload");

export class Uploads {
  #rows = new Set();
  #connection;

  // `list` is where the rows go, `input` what files are chosen with, `spoken` where ends are announced; `then` gives
  // what is to follow a file; `refused` hears what is wrong with that; `counted` hears how many have not ended.
  constructor({ list, input, spoken, then, refused, counted }) {
    Object.assign(this, { list, input, spoken, then, refused, counted });
    for (const entry of recall()) this.#find(entry);
    input.addEventListener("change", () => {
      this.add([...input.files]);
      input.value = ""; // the same file may be chosen again
    });
  }

  add(files) {
    for (const file of files) {
      const known = [...this.#rows].find((row) => row.awaits(file));
      if (known) known.take(file);
      else this.#show(new Row(this, file)).take(file);
    }
    this.next();
  }

  // Those that wait begin, as many as may at a time.
  next() {
    const rows = [...this.#rows];
    const free = MOST_AT_A_TIME - rows.filter(({ state }) => state === "sending" || state === "retrying").length;
    rows.filter(({ state }) => state === "waiting").slice(0, Math.max(0, free)).forEach((row) => row.run());
    this.counted(rows.filter(({ isOver }) => !isOver).length);
  }

  drop(row) {
    this.#rows.delete(row);
    row.element.remove();
    this.next();
  }

  // What the service says of each upload that it has begun, from here on.
  async follow(id) {
    if (this.#connection) return;
    const asked = fetch(`/api/operations/${id}`).then((answer) => answer.json());
    this.#connection = asked.catch(() => ({})).then(({ lastEventId }) => {
      const types = ["progress", "status", "error", "complete"];
      const connection = connect(lastEventId ? { cursor: lastEventId, types } : { history: "none", types });
      connection.on("event", (event) => {
        for (const row of this.#rows) if (row.id === event.operationId) row.hear(event);
      });
    });
  }

  // What has been sent in part before this page was opened, if the service still has it.
  async #find(entry) {
    const answer = await fetch(entry.url, { method: "HEAD", headers: { "Tus-Resumable": "1.0.0" } }).catch(() => {});
    const offset = Number(answer?.headers.get("Upload-Offset") ?? 0);
    if (answer?.status === 404 || answer?.status === 410 || (answer?.ok && offset === entry.size)) forget(entry.url);
    else this.#show(new Row(this, entry, { url: entry.url, offset }));
    this.next();
  }

  #show(row) {
    this.#rows.add(row);
    this.list.append(row.element);
    return row;
  }
}

class Row {
  state = "unfinished";
  isOver = false;
  id;
  #progress;
  #status;
  #problem = "";
  #sender;

  constructor(uploads, { name, size: bytes, lastModified }, { url, offset = 0 } = {}) {
    Object.assign(this, { uploads, name, bytes, lastModified, url, offset });
    this.title = element("span", { className: "name", textContent: name });
    this.line = element("p", { className: "quiet says" });
    this.bar = element("progress", { max: 100, value: 0, aria: { label: name } });
    this.goesOn = element("button", { type: "button" });
    this.ends = element("button", { type: "button" });
    this.goesOn.addEventListener("click", () => this.#goOn());
    this.ends.addEventListener("click", () => this.#end());
    const tools = element("div", { className: "tools" }, this.goesOn, this.ends);
    this.element = element("li", { className: "file" }, this.title, tools, this.bar, this.line);
    this.#located(url);
    this.#draw();
  }

  awaits(file) {
    return this.state === "unfinished" &&
      file.name === this.name && file.size === this.bytes && file.lastModified === this.lastModified;
  }

  take(file) {
    this.#sender = new Sender(file, {
      url: this.url,
      metadata: () => this.#metadata(),
      changed: (sender) => this.#moved(sender),
    });
    this.state = "waiting";
    this.#draw();
  }

  run() {
    this.#problem = "";
    this.#sender.run();
  }

  // What the service says of it.
  hear(event) {
    if (this.isOver) return;
    if (event.type === "progress") this.#progress = event;
    if (event.type === "status") this.#status = event.status;
    if (event.type === "complete") this.#finish("done", says("upload", { complete: event }), event.result);
    if (event.type === "error" && event.terminal) {
      this.#sender?.pause();
      this.#finish(event.code === "cancelled" ? "cancelled" : "failed", says("upload", { error: event }));
    }
    this.#draw();
  }

  #metadata() {
    const then = this.uploads.then();
    return { filename: this.name, ...(then && { then: JSON.stringify(then) }) };
  }

  #moved(sender) {
    const { state, url, offset, trouble } = sender;
    if (this.isOver) return;
    this.state = state;
    this.offset = offset ?? this.offset;
    this.#problem = trouble ? this.#trouble(trouble) : "";
    if (url && url !== this.url) {
      remember({ name: this.name, size: this.bytes, lastModified: this.lastModified, url });
      this.#located(url);
    }
    if (state === "whole") this.#hurry();
    if (state === "whole" || sender.isGone) forget(url);
    if (state === "failed" && trouble.field) this.uploads.refused(trouble.field, trouble.message);
    this.#draw();
    if (state !== "sending") this.uploads.next();
  }

  // It may have ended before anybody listened.
  async #hurry() {
    const answer = await fetch(`/api/operations/${this.id}`).catch(() => {});
    const { operation } = answer?.ok ? await answer.json() : {};
    for (const type of ["status", "error", "complete"]) {
      const event = operation?.events[type];
      if (event) this.hear({ ...event, type });
    }
  }

  #located(url) {
    if (!url) return;
    this.url = url;
    this.id = url.slice(url.lastIndexOf("/") + 1);
    const link = element("a", { className: "name", href: `/operations/${encodeURIComponent(this.id)}`, textContent: this.name });
    this.title.replaceWith(link);
    this.title = link;
    this.uploads.follow(this.id);
  }

  #finish(state, text, result) {
    this.isOver = true;
    this.state = state;
    this.#problem = [text, result?.mediaType].filter(Boolean).join(" · ");
    this.uploads.spoken.textContent = `${this.name}: ${text}`;
    forget(this.url);
    if (result?.then) {
      const { operationId, kind } = result.then;
      const link = element("a", { href: `/operations/${encodeURIComponent(operationId)}`, textContent: operationId });
      this.line.after(element("p", { className: "quiet" }, `Followed by ${kind} `, link));
    }
    this.uploads.next();
  }

  #goOn() {
    switch (this.state) {
      case "unfinished": return this.uploads.input.click();
      case "paused": case "failed":
        this.state = "waiting";
        this.#draw();
        return this.uploads.next();
      default: return this.#sender.pause();
    }
  }

  async #end() {
    if (this.isOver) return this.uploads.drop(this);
    this.ends.disabled = true;
    try {
      await (this.#sender ?? new Sender({}, { url: this.url })).cancel();
      this.#finish("cancelled", "cancelled");
    } catch (trouble) {
      this.#problem = trouble.message;
    }
    this.ends.disabled = false;
    return this.#draw();
  }

  #draw() {
    const { state } = this;
    const heard = state === "sending" || state === "paused" ? this.#progress?.current ?? 0 : 0;
    const here = Math.max(this.offset, heard);
    this.element.dataset.status = STANDS[state];
    this.element.dataset.state = state;
    this.bar.value = ["whole", "done"].includes(state) ? 100 : this.bytes ? (here / this.bytes) * 100 : 0;
    this.line.textContent = this.#says(`${size(here)} of ${size(this.bytes)}`);
    const label = this.isOver ? undefined : GOES_ON[state];
    this.goesOn.hidden = !label;
    name(this.goesOn, label ?? "", this.name);
    name(this.ends, this.isOver ? "Remove" : "Cancel", this.name);
  }

  // What is wrong, in words: what is to follow says the rest itself.
  #trouble({ message, field = "", most }) {
    if (field.startsWith(THEN)) return "What is to follow cannot be sent as it stands above.";
    return most ? `The file is too big: it has ${size(this.bytes)}, and ${size(most)} may be sent.` : message;
  }

  #says(amounts) {
    switch (this.state) {
      case "waiting": return `waits for its turn · ${size(this.bytes)}`;
      case "sending": return [amounts, pace(this.#progress ?? {}, "upload")].filter(Boolean).join(" · ");
      case "paused": return `paused · ${amounts}`;
      case "retrying": return `${this.#problem} Trying again. · ${amounts}`;
      case "unfinished": return `${amounts} are there. Choose the same file again to go on.`;
      case "whole": return ["all of it is there", this.#status].filter(Boolean).join(" · ");
      default: return this.#problem;
    }
  }
}

function name(button, label, file) {
  if (button.textContent === label) return;
  button.textContent = label;
  button.setAttribute("aria-label", `${label}: ${file}`);
}

// What has been begun, in this browser: a file that is chosen again goes on. Without storage there is no memory.
function recall() {
  try {
    const found = JSON.parse(localStorage.getItem(MEMORY) ?? "[]");
    return Array.isArray(found) ? found.filter(({ url }) => /^\/api\/uploads\//.test(url)) : [];
  } catch {
    return [];
  }
}

function keep(entries) {
  try {
    localStorage.setItem(MEMORY, JSON.stringify(entries));
  } catch { /* full, or not allowed */ }
}

const remember = (entry) => keep([...recall(), entry]);
const forget = (url) => keep(recall().filter((entry) => entry.url !== url));
