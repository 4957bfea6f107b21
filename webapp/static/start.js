// Where operations are started: opens the form of a kind, sends what it says, and says where what it started is.

import { ask } from "./ask.js";
import { operationLink } from "./elements.js";
import { Form } from "./form.js";
import { inWords, without } from "./schema.js";
import { Uploads } from "./upload.js";

const section = document.querySelector(".start");
const ROOT = "params";
const METADATA = "Upload-Metadata";
let schemas;

// {kind: JSON Schema}, asked for once it is needed, and again if that failed.
function kinds() {
  schemas ??= ask("/api/kinds").then(
    (said) => Object.fromEntries(said.kinds.map(({ kind, params }) => [kind, params])),
    (problem) => {
      schemas = undefined;
      throw problem;
    },
  );
  return schemas;
}

// One kind: its button, and the form that it opens.
class Starter {
  constructor(form) {
    this.kind = form.dataset.kind;
    this.element = form;
    this.button = section.querySelector(`button[data-kind="${this.kind}"]`);
    this.problem = form.querySelector(":scope > .problem");
    this.button.addEventListener("click", () => this.toggle());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
  }

  toggle(open = this.element.hidden) {
    for (const other of starters) if (open && other !== this) other.toggle(false);
    this.element.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    if (open) this.fill();
  }

  async fill() {
    if (this.form) return;
    try {
      const all = await kinds();
      if (this.form) return;
      this.problem.textContent = "";
      this.form = new Form(this.schema(all));
      this.element.querySelector(".place").replaceChildren(this.form.element);
    } catch (problem) {
      this.problem.textContent = problem.message;
    }
  }

  schema(all) {
    return all[this.kind];
  }

  async send() {
    await this.fill();
    const started = this.element.querySelector(".started");
    started.textContent = this.problem.textContent = "";
    const params = this.form?.value();
    if (!params) return;
    const go = this.element.querySelector(".primary");
    go.disabled = true;
    try {
      const { operationId } = await ask("/api/operations", { kind: this.kind, params });
      go.disabled = false;
      started.replaceChildren("Started: ", operationLink(operationId, operationId));
    } catch (problem) {
      go.disabled = false;
      this.refuse(problem);
    }
  }

  refuse({ message, field }, root = ROOT, under = "") {
    const inside = field.startsWith(`${root}.`) ? field.slice(root.length + 1) : undefined;
    const rule = message.startsWith(field) ? message.slice(field.length) : "";
    if (inside && rule && this.form.refuse([under, inside].filter(Boolean).join("."), rule)) return;
    this.problem.textContent = inside && rule ? inWords(inside, rule) : message;
  }
}

// Files, sent as soon as they are chosen, or dropped anywhere on the page. Its form says what is to follow.
class UploadStarter extends Starter {
  constructor(form) {
    super(form);
    const count = this.button.querySelector(".count");
    this.uploads = new Uploads({
      list: form.querySelector(".files"),
      input: form.querySelector("input[type=file]"),
      spoken: form.querySelector("[role=status]"),
      then: () => this.then(),
      refused: (field, message) => this.refuse({ field, message }, `${METADATA}.then.params`, "then"),
      counted: (some) => { count.textContent = some ? `(${some})` : ""; },
    });
    addEventListener("dragover", (event) => this.drag(event));
    addEventListener("drop", (event) => this.drop(event));
    for (const type of ["dragleave", "dragend"]) addEventListener(type, (event) => event.relatedTarget || this.mark(false));
  }

  schema({ upload, batch }) {
    const rows = { ...without(batch, "source", "items", "retry"), title: "A batch over its rows" };
    return { ...upload, properties: { then: { ...upload.properties.then, anyOf: [{ type: "null", title: "Nothing" }, rows] } } };
  }

  then() {
    const said = this.form ? this.form.value() : {};
    if (!said) throw new Error("What is to follow cannot be sent as it stands above.");
    const params = said.then;
    return params && { kind: "batch", params: { source: { upload: "$upload" }, ...params } };
  }

  mark(isOver) {
    section.classList.toggle("dragging", isOver);
  }

  drag(event) {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault(); // it may be dropped
    event.dataTransfer.dropEffect = "copy";
    this.mark(true);
  }

  drop(event) {
    this.mark(false);
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    const isFolder = (place) => event.dataTransfer.items[place]?.webkitGetAsEntry?.()?.isDirectory;
    const files = [...event.dataTransfer.files];
    const sent = files.filter((_, place) => !isFolder(place));
    this.toggle(true);
    this.problem.textContent = sent.length < files.length ? "A folder cannot be sent; its files can." : "";
    this.uploads.add(sent);
  }

  send() {}
}

const starters = [...section.querySelectorAll("form")].map((form) =>
  (form.dataset.kind === "upload" ? new UploadStarter(form) : new Starter(form)));
