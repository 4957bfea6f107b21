// Where operations are started: opens the form of a kind, sends what it says, and says where what it started is.

import { element, Form } from "./form.js";

const section = document.querySelector(".start");
const ROOT = "params";
let schemas;

// {kind: JSON Schema}, asked for once it is needed, and again if that failed.
function kinds() {
  schemas ??= ask("/api/kinds").then(
    ({ body }) => Object.fromEntries(body.kinds.map(({ kind, params }) => [kind, params])),
    (problem) => {
      schemas = undefined;
      throw problem;
    },
  );
  return schemas;
}

class Refused extends Error {
  constructor({ detail, title, field = "" }) {
    super(detail ?? title ?? "The service refuses this.");
    this.field = field;
  }
}

async function ask(url, body) {
  const asked = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(url, asked).catch(() => {
    throw new Refused({ detail: "The service cannot be reached. Nothing was started; try again." });
  });
  const said = await answer.json().catch(() => ({ detail: `The service answers ${answer.status}.` }));
  if (!answer.ok) throw new Refused(said);
  return { body: said };
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
      const schema = (await kinds())[this.kind];
      if (this.form) return;
      this.problem.textContent = "";
      this.form = new Form(schema);
      this.element.querySelector(".place").replaceChildren(this.form.element);
    } catch (problem) {
      this.problem.textContent = problem.message;
    }
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
      const { body } = await ask("/api/operations", { kind: this.kind, params });
      go.disabled = false;
      started.replaceChildren("Started: ", linkTo(body.operationId));
    } catch (problem) {
      go.disabled = false;
      this.refuse(problem);
    }
  }

  refuse({ message, field }) {
    const inside = field.startsWith(ROOT) ? field.slice(ROOT.length) : undefined;
    const text = message.replace(`${ROOT}.`, "");
    if (!inside || !this.form.refuse(inside, text)) this.problem.textContent = text;
  }
}

function linkTo(id) {
  return element("a", { href: `/operations/${encodeURIComponent(id)}`, textContent: id });
}

const starters = [...section.querySelectorAll("form")].map((form) => new Starter(form));
