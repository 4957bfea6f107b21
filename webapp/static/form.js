// A form made from a JSON Schema: native fields for the nodes of schema.js, each with a label, a hint, and a place
// where what is wrong with it is said. What comes from outside is only ever set as text.

import { element } from "./elements.js";
import { add, all, brief, build, choose, folded, inWords, move, remove, valueOf, way, wrong } from "./schema.js";

const MOST_ROWS = 16;
const PLAIN = new Set(["text", "number", "flag", "pick", "json"]);
let made = 0;

export class Form {
  #root;

  constructor(schema, value = schema.examples?.[0]) {
    this.#root = build(schema, value);
    this.element = element("div", { className: "fields" });
    this.element.append(...groupFields(this.#root));
  }

  // What is to be sent, or nothing, and then it is said at the fields.
  value() {
    this.clear();
    const problems = [];
    const value = valueOf(this.#root, problems);
    problems.forEach(({ node, text }) => say(node, text));
    problems[0]?.node.view.focus.focus();
    return problems.length ? undefined : value;
  }

  // Say what is wrong with the field that a refusal names (`rule`, as the service has it), or with the nearest
  // above it, and go there. False if there is none.
  refuse(path, rule) {
    const nodes = way(this.#root, path);
    const node = nodes.find(({ view }) => view);
    if (!node) return false;
    const isItself = [node.name, node.tag].some((name) => name && `.${path}`.endsWith(`.${name}`)) || (node === nodes[0] && /\]$/.test(path));
    say(node, (isItself && wrong(node)) || inWords(isItself ? "" : path, rule));
    node.view.focus.focus();
    return true;
  }

  clear() {
    for (const { view } of all(this.#root)) {
      if (!view) continue;
      view.error.textContent = "";
      view.input.removeAttribute("aria-invalid");
    }
  }
}

function say({ view }, text) {
  view.error.textContent = text;
  if (view.input.matches("input, select, textarea")) view.input.setAttribute("aria-invalid", "true");
  for (let fold = view.error.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
}

function button(label, text, act, properties = {}) {
  const found = element("button", { type: "button", textContent: text, ...properties });
  if (label !== text) found.setAttribute("aria-label", label);
  found.addEventListener("click", act);
  return found;
}

function draw(node) {
  switch (node.sort) {
    case "constant": return [];
    case "group": return groupFields(node);
    case "list": return [drawList(node)];
    case "choice": return drawChoice(node);
    case "flag": return [drawFlag(node)];
    default: return [drawField(node, DRAW[node.sort](node))];
  }
}

function groupFields(group) {
  const [shown, rest] = folded(group);
  const fields = shown.flatMap(draw);
  if (rest.length) {
    const more = element("div", { className: "fields" }, ...rest.flatMap(draw));
    fields.push(element("details", {}, element("summary", { textContent: "More options" }), more));
  }
  return fields;
}

const typed = (node, name, properties) => {
  const input = element(name, { value: node.text, spellcheck: false, autocomplete: "off", ...properties });
  input.addEventListener("input", () => { node.text = input.value; });
  return input;
};
const rows = ({ text }, least) => Math.min(MOST_ROWS, Math.max(least, text.split("\n").length));
const several = (node, least, properties) => typed(node, "textarea", { rows: rows(node, least), ...properties });

const DRAW = {
  number: (node) => typed(node, "input", { type: "text", inputMode: node.schema.type === "integer" ? "numeric" : "decimal" }),
  json: (node) => several(node, 2, { className: "code" }),
  text(node) {
    if (node.isLong) return several(node, 3, /\n/.test(node.text) ? { className: "code", wrap: "off" } : { spellcheck: true });
    return typed(node, "input", { type: "text" });
  },
  pick(node) {
    return select(node.schema.enum.map(String), node.schema.enum.indexOf(node.value), (place) => {
      node.value = node.schema.enum[place];
    });
  },
};

function select(labels, chosen, act) {
  const found = element("select", {}, ...labels.map((label) => element("option", { textContent: label })));
  found.selectedIndex = chosen;
  found.addEventListener("change", () => act(found.selectedIndex));
  return found;
}

// The label above, the hint and what is wrong beneath.
function drawField(node, input, { label = node.label, hint = node.hint } = {}) {
  const id = `field-${(made += 1)}`;
  const error = element("p", { className: "problem", id: `${id}-error` });
  const hints = element("p", { className: "quiet hint", id: `${id}-hint`, textContent: hint });
  hints.hidden = !hint;
  input.id = id;
  input.setAttribute("aria-describedby", `${id}-hint ${id}-error`);
  if (node.required) input.setAttribute("aria-required", "true");
  node.view = { input, error, focus: input };
  const suggestions = suggest(node, input, id);
  return element("div", { className: `field ${node.sort}` },
    element("label", { htmlFor: id, textContent: label }), input, suggestions, hints, error);
}

function suggest({ sort, isLong, schema }, input, id) {
  if (sort !== "text" || isLong || !schema.examples) return undefined;
  input.setAttribute("list", `${id}-list`);
  return element("datalist", { id: `${id}-list` }, ...schema.examples.map((value) => element("option", { value })));
}

function drawFlag(node) {
  const input = element("input", { type: "checkbox", checked: node.on });
  input.addEventListener("change", () => { node.on = input.checked; });
  return drawField(node, input);
}

// What can be chosen from, and beneath it the fields of what was.
function drawChoice(node) {
  const inside = element("div", { className: "fields chosen" });
  const input = select(node.options.map(({ label }) => label), node.chosen, (place) => {
    choose(node, place);
    show();
  });
  const field = drawField(node, input);
  const show = () => {
    const { label, hint } = node.options[node.chosen];
    const hints = field.querySelector(".hint");
    hints.textContent = [node.hint, node.node?.sort === "group" ? hint : ""].filter(Boolean).join(" ");
    hints.hidden = !hints.textContent;
    if (node.node) node.node.label ||= label;
    inside.replaceChildren(...(node.node ? draw(node.node) : []));
    inside.hidden = !inside.childElementCount;
  };
  show();
  return [field, inside];
}

function drawList(node) {
  const single = node.label.replace(/s$/, "");
  const id = `field-${(made += 1)}`;
  const error = element("p", { className: "problem", id: `${id}-error` });
  const hints = element("p", { className: "quiet hint", id: `${id}-hint`, textContent: node.hint });
  hints.hidden = !node.hint;
  const items = element("div", { className: "items" });
  const more = button(`Add ${single.toLowerCase()}`, `Add ${single.toLowerCase()}`, () => {
    add(node);
    show();
    focusFirst(items.lastElementChild);
  });
  const show = () => {
    items.replaceChildren(...node.items.map((each, place) => drawItem(node, each, place, single, changed)));
    more.disabled = node.items.length >= (node.schema.maxItems ?? Infinity);
  };
  const changed = (act, place, what) => {
    act();
    show();
    const there = items.children[Math.min(place, items.childElementCount - 1)];
    const tools = there ? [...there.querySelectorAll(":scope > .tools > :not(:disabled)")] : [];
    (tools.find(({ dataset }) => dataset.does === what) ?? tools[0] ?? more).focus();
  };
  show();
  const set = element("fieldset", { className: "list", aria: { describedby: `${id}-hint ${id}-error` } },
    element("legend", { textContent: node.label }), hints, error, items, more);
  node.view = { input: set, error, focus: more };
  return set;
}

function drawItem(list, node, place, single, changed) {
  const name = `${single} ${place + 1}`;
  const last = list.items.length - 1;
  const tool = (does, text, act, to, isOff) =>
    button(`${does === "remove" ? "Remove" : `Move ${does}`}: ${name}`, text, () => changed(act, to, does),
      { disabled: isOff, className: "tool", data: { does } });
  const tools = element("div", { className: "tools" },
    tool("up", "↑", () => move(list, place, -1), place - 1, place === 0),
    tool("down", "↓", () => move(list, place, 1), place + 1, place === last),
    tool("remove", "✕", () => remove(list, place), place, false));
  if (!node.tag) node.label = name;
  const fields = element("div", { className: "fields" }, ...draw(node));
  const inside = PLAIN.has(node.sort) ? fields : fold(node, name, fields);
  return element("div", { role: "group", className: "item", aria: { label: name } }, inside, tools);
}

// An item of several fields as one line that opens.
function fold(node, name, fields) {
  const summary = element("summary", {}, `${name.match(/\d+$/)}: `, element("span", { className: "brief" }));
  const sum = () => { summary.lastChild.textContent = brief(node); };
  const found = element("details", { open: node.isOpen }, summary, fields);
  found.addEventListener("toggle", () => { node.isOpen = found.open; });
  found.addEventListener("input", sum);
  sum();
  return found;
}

function focusFirst(place) {
  place?.querySelector("input, select, textarea")?.focus();
}
