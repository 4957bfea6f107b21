// JSON as people read it: what an operation came to. Files and operations that it names become links.

import { element, fileLink, isFile, operationLink } from "./elements.js";
import { amount } from "./words.js";

const MOST_ROWS = 25; // of a table or a list: a page is read, the whole is in a file
const MOST_DEEP = 5;
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isPlain = (value) => value === null || typeof value !== "object";
const isRow = (value) => !isPlain(value) && Object.values(value).every(isPlain) && !isReference(value);
const isReference = (value) => isObject(value) && typeof value.name === "string" && isFile(value.url);

// "inputTokens" → "input tokens"
const spoken = (name) => name.replace(/([a-z])([A-Z])/g, (_, a, b) => `${a} ${b.toLowerCase()}`);

function plain(value) {
  if (value === null) return "–";
  if (typeof value === "number") return amount(value);
  return String(value);
}

function reference({ name, url, bytes, contentType }) {
  const size = typeof bytes === "number" ? ` (${amount(bytes, "upload")})` : "";
  if (!/^image\/(jpeg|png|webp|gif)/.test(contentType)) return element("span", {}, fileLink(url, name), size);
  const picture = element("img", { src: url, alt: name, loading: "lazy" });
  return element("figure", {}, fileLink(url, picture), element("figcaption", {}, name));
}

// Rows are objects, or lists in the order of the columns.
function table(rows, columns = [...new Set(rows.slice(0, MOST_ROWS).flatMap(Object.keys))]) {
  const cell = (row, name, place) => element("td", {}, plain((Array.isArray(row) ? row[place] : row[name]) ?? null));
  return element("div", { className: "wide", tabIndex: 0, role: "region", aria: { label: "Table" } },
    element("table", {},
      element("thead", {}, element("tr", {}, columns.map((name) => element("th", { scope: "col" }, spoken(name))))),
      element("tbody", {}, rows.slice(0, MOST_ROWS).map((row) =>
        element("tr", {}, columns.map((name, place) => cell(row, name, place)))))),
    rest(rows));
}

function rest(items) {
  const more = items.length - MOST_ROWS;
  return more > 0 ? element("p", { className: "quiet" }, `and ${amount(more)} more`) : undefined;
}

function named(name, part, deep) {
  return name === "operationId" && typeof part === "string" ? operationLink(part, part) : show(part, deep + 1);
}

export function show(value, deep = 0) {
  if (isPlain(value)) return element("span", { className: "value" }, plain(value));
  if (isReference(value)) return reference(value);
  if (deep >= MOST_DEEP) return element("code", {}, JSON.stringify(value));
  if (Array.isArray(value)) {
    if (value.length > 1 && value.every((row) => isObject(row) && isRow(row))) return table(value);
    const items = value.slice(0, MOST_ROWS).map((item) => element("li", {}, show(item, deep + 1)));
    return value.length ? element("ul", {}, items, rest(value)) : element("span", { className: "quiet" }, "none");
  }
  const { columns, rows, ...parts } = value;
  const tabled = Array.isArray(columns) && Array.isArray(rows) && rows.every(Array.isArray) && rows.every(isRow);
  return element("div", {},
    element("dl", { className: "facts" }, Object.entries(tabled ? parts : value).map(([name, part]) => [
      element("dt", {}, spoken(name)), element("dd", {}, named(name, part, deep)),
    ])),
    tabled && rows.length ? table(rows, columns.map(String)) : undefined);
}
