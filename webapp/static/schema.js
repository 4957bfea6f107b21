// A JSON Schema (2020-12, as msgspec writes it) as the nodes of a form, and the nodes as a value again. Pure.
//
// A node has a `sort`, a `name` and what people read of it; what they have put in is `text`, `on`, `items`, `fields`,
// or `chosen` with the `node` that was chosen. The service is the one judge of what is allowed: nothing is checked
// here but that a number or a JSON text can be sent as one.

const LONG_CHARS = 2_000; // what may be longer, or has several lines, is written in several lines
const FEW = 2; // optional fields that are not worth a fold of their own

// Put `value` in a node for `schema`; what cannot be there is left out.
export function build(schema, value, { name = "", required = true, root = schema } = {}) {
  const whole = resolve(schema, root);
  const inner = alternatives(whole);
  const one = inner.length === 1 ? { ...resolve(inner[0], root), ...described(whole) } : whole;
  const nothing = (whole.anyOf ?? []).find(isNull)?.title ?? "Left out";
  const node = { name, required, root, nothing, schema: one, label: words(name) || words(one.title ?? ""), hint: hint(one) };
  const sort = sortOf(one, required);
  return { ...node, sort, ...MAKE[sort](node, value) };
}

// What the nodes say, with nothing for what was left empty. Adds to `problems` {node, text} for what cannot be sent.
export function valueOf(node, problems = []) {
  return READ[node.sort](node, problems);
}

// The nodes on the way to what a refusal of the service names (`steps[0].url`), the nearest to it first.
export function way(node, path) {
  const found = [node];
  for (const part of path.match(/[^.[\]]+/g) ?? []) {
    const further = below(found[0], part);
    if (!further.length) break;
    found.unshift(...further);
  }
  return found;
}

// Every node, the first first.
export function* all(node) {
  yield node;
  for (const child of children(node)) yield* all(child);
}

// The node of a choice's option number `place`; what both have by the same name is kept.
export function choose(choice, place) {
  const before = choice.node && valueOf(choice.node);
  const { schema } = choice.options[place];
  choice.chosen = place;
  choice.node = schema && build(schema, suits(schema, before, choice.root) ? before : blend(schema, before), inside(choice));
}

export function add(list) {
  list.items.push(item(list, undefined));
}

export const remove = (list, place) => list.items.splice(place, 1);

export function move(list, place, by) {
  list.items.splice(place + by, 0, ...list.items.splice(place, 1));
}

// The fields of a group that are shown at once, and those that are folded away: optional, and nothing is in them.
export function folded(group) {
  const rest = group.fields.filter((field) => !field.required && valueOf(field) === undefined);
  return rest.length < FEW || rest.length === group.fields.length
    ? [group.fields, []]
    : [group.fields.filter((field) => !rest.includes(field)), rest];
}

// "python_stdlib" and "UploadSource" as people read it.
export function words(name) {
  const text = name.replace(/_/g, " ").replace(/([a-z])([A-Z])/g, (_, end, start) => `${end} ${start.toLowerCase()}`);
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// What is wrong with what stands in a field that the service has refused, as far as its schema tells; "" if it does not.
export function wrong({ sort, schema, text = "", items, required }) {
  if (items) return items.length < schema.minItems ? "This needs at least one." : "";
  if (sort === "number") return `This must be ${[schema.type === "integer" ? "a whole number" : "a number", bounds(schema)].filter(Boolean).join(", ")}.`;
  if (sort !== "text") return "";
  if (required && !text.trim()) return "This is needed.";
  if (text.length > schema.maxLength) return `This is too long: at most ${schema.maxLength} characters.`;
  return schema.pattern ? "This does not have the form that is asked for." : "";
}

// A rule of the service ("params.steps[0].task must be …") in words: what its path names, without the types' names.
export function inWords(path, rule) {
  const plain = rule.replace(/ \((expected|invalid|object) .*\)$/s, "").replace(/ must be right$/, " is not right").trim();
  const places = [...path.matchAll(/([^.[\]]+)(?:\[(\d+)\])?/g)].map(([, name, place]) =>
    (place === undefined ? name : `${name.replace(/s$/, "")} ${Number(place) + 1}`));
  const said = words(places.join(", ")) || "This";
  return `${said} ${plain}`;
}

// What is in a node, in a line.
export function brief(node) {
  const value = valueOf(node) ?? "";
  const parts = typeof value === "object" ? Object.values(value) : [value];
  return parts.filter((part) => typeof part !== "object").join(" · ");
}

// A schema without some of its properties.
export function without(schema, ...names) {
  const kept = Object.entries(schema.properties).filter(([name]) => !names.includes(name));
  return { ...schema, properties: Object.fromEntries(kept) };
}

const MAKE = {
  group: ({ schema, root }, value) => ({
    fields: Object.entries(schema.properties).map(([name, property]) =>
      build(property, isObject(value) ? value[name] : undefined, { name, root, required: isNeeded(schema, name) })),
  }),
  list: (node, value) => {
    const given = Array.isArray(value) ? value : Array(node.required ? node.schema.minItems ?? 0 : 0).fill(undefined);
    return { items: given.map((each) => item(node, each)) };
  },
  choice: (node, value) => chosen(node, value),
  constant: ({ schema }) => ({ value: only(schema) }),
  pick: ({ schema }, value) => ({ value: schema.enum.includes(value) ? value : schema.default ?? schema.enum[0] }),
  flag: ({ schema }, value) => ({ on: value ?? schema.default ?? false }),
  number: (_, value) => ({ text: value === undefined || value === null ? "" : String(value) }),
  text: ({ schema }, value) => ({
    text: typeof value === "string" ? value : "",
    isLong: schema.maxLength > LONG_CHARS || (schema.examples ?? []).some((example) => /\n/.test(example)),
  }),
  json: (_, value) => ({ text: value === undefined || value === null ? "" : JSON.stringify(value, null, 2) }),
};

const READ = {
  group(node, problems) {
    const pairs = node.fields.map((field) => [field.name, valueOf(field, problems)]);
    return Object.fromEntries(pairs.filter(([, value]) => value !== undefined));
  },
  list(node, problems) {
    if (!node.items.length && !node.required) return undefined;
    // An item that was left empty is one all the same: the places of the others stay as the service names them.
    return node.items.map((each) => valueOf(each, problems) ?? (each.sort === "text" ? "" : null));
  },
  choice: ({ node, options, chosen: place }, problems) => (node ? valueOf(node, problems) : options[place]?.value),
  constant: ({ value }) => value,
  pick: ({ value, schema, required }) => (!required && value === schema.default ? undefined : value),
  flag: ({ on, schema, required }) => (!required && on === (schema.default ?? false) ? undefined : on),
  number(node, problems) {
    const text = node.text.trim();
    if (!text) return undefined;
    const value = Number(text);
    if (!Number.isFinite(value)) problems.push({ node, text: "This is not a number." });
    return value;
  },
  text: ({ text }) => text || undefined,
  json(node, problems) {
    if (!node.text.trim()) return undefined;
    try {
      return JSON.parse(node.text);
    } catch (error) {
      problems.push({ node, text: `This is not JSON: ${error.message}` });
      return undefined;
    }
  },
};

function sortOf(schema, required) {
  if (only(schema) !== undefined) return required ? "constant" : "choice";
  if (schema.enum) return "pick";
  if (alternatives(schema).length > 1) return "choice";
  switch (schema.type) {
    case "object": return !schema.properties ? "json" : required ? "group" : "choice";
    case "array": return schema.items && Object.keys(schema.items).length ? "list" : "json";
    case "string": return "text";
    case "boolean": return "flag";
    case "integer": case "number": return "number";
    default: return "json";
  }
}

function chosen(node, value) {
  const tag = node.schema.discriminator?.propertyName;
  const options = optionsOf(node, tag);
  const place = options.findIndex((option) =>
    option.schema ? suits(option.schema, value, node.root) : option.value === (value ?? undefined));
  const start = Math.max(place, 0);
  const { schema } = options[start];
  const label = tag ? words(tag) : node.label;
  return { options, tag, label, chosen: start, node: schema && build(schema, value, inside(node)) };
}

function optionsOf({ schema, required, root, nothing }, tag) {
  const inner = schema.anyOf || schema.oneOf ? alternatives(schema) : [{ ...schema, description: undefined }];
  const given = inner.flatMap((one) => {
    const whole = resolve(one, root);
    if (whole.enum || whole.const !== undefined) {
      return (whole.enum ?? [whole.const]).map((value) => ({ label: String(value), value }));
    }
    const label = tag ? String(only(resolve(whole.properties[tag], root))) : whole.title ? words(whole.title) : words(whole.type ?? "JSON");
    return [{ label: label.replace(/^String$/, "Text"), hint: hint(whole), schema: whole }];
  });
  return required ? given : [{ label: nothing, value: undefined }, ...given];
}

// One that nothing is in yet is shown open.
function item(list, value) {
  return { ...build(list.schema.items, value, inside(list)), isOpen: value === undefined };
}

function children(node) {
  return node.fields ?? node.items ?? (node.node ? [node.node] : []);
}

function below(node, part) {
  if (node.sort === "choice") return node.node && part !== node.tag ? [...below(node.node, part), node.node] : [];
  const found = node.sort === "group" ? node.fields.find(({ name }) => name === part) : node.items?.[part];
  return found ? [found] : [];
}

function suits(schema, value, root) {
  const whole = resolve(schema, root);
  switch (whole.type) {
    case "object":
      return isObject(value) && Object.entries(whole.properties ?? {}).every(([name, property]) => {
        const tag = only(resolve(property, root));
        return tag === undefined || value[name] === tag;
      });
    case "array": return Array.isArray(value);
    case "integer": case "number": return typeof value === "number";
    case undefined: return value !== undefined;
    default: return typeof value === whole.type;
  }
}

function blend(schema, before) {
  return schema.type === "object" && isObject(before) ? before : schema.examples?.[0];
}

function resolve(schema, root) {
  if (!schema.$ref) return schema;
  const { $ref, ...beside } = schema;
  return { ...root.$defs[$ref.replace("#/$defs/", "")], ...beside };
}

const inside = ({ root }) => ({ root });
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isNeeded = (schema, name) => (schema.required ?? []).includes(name);
const only = (schema) => (schema.enum?.length === 1 ? schema.enum[0] : schema.const);
const isNull = ({ type }) => type === "null";
const alternatives = (schema) => (schema.anyOf ?? schema.oneOf ?? []).filter((one) => !isNull(one));
const described = ({ title, description, default: given, examples }) =>
  Object.fromEntries(Object.entries({ title, description, default: given, examples }).filter(([, value]) => value !== undefined));

const JSON_WORDS = { object: "A JSON object.", array: "A JSON list." };

function hint(schema) {
  const text = (schema.description ?? "").split("\n\n")[0].replace(/\s+/g, " ").replace(/``/g, "");
  const isJson = sortOf(schema, true) === "json";
  return [text, isJson ? JSON_WORDS[schema.type] ?? "JSON." : "", sentence(limits(schema))].filter(Boolean).join(" ");
}

// Of a number, and what stands where nothing is put in. Lengths are not worth a word until they are too long.
function limits({ default: given, enum: choices, ...schema }) {
  const isSaid = typeof given === "number" || (typeof given === "string" && given && !choices);
  return [bounds(schema), isSaid && `${given} if left empty`].filter(Boolean).join(", ");
}

function bounds({ minimum, exclusiveMinimum, maximum }) {
  if (minimum !== undefined && maximum !== undefined) return `${minimum} to ${maximum}`;
  return [
    minimum !== undefined && `at least ${minimum}`,
    exclusiveMinimum !== undefined && `more than ${exclusiveMinimum}`,
    maximum !== undefined && `at most ${maximum}`,
  ].filter(Boolean).join(", ");
}

const sentence = (text) => text && `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
