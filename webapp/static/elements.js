// Makes what a page shows: everything that an event says goes through `textContent`, so it is read and never run.

// An element with properties, `role`, `aria` and `data`, and children: elements, texts, lists of them, or nothing.
export function element(tag, { aria = {}, data = {}, role, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  if (role) made.setAttribute("role", role);
  for (const [name, value] of Object.entries(aria)) made.setAttribute(`aria-${name}`, value);
  Object.assign(made.dataset, data);
  made.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== ""));
  return made;
}

// Files of operations only, whatever an event says; the service hands them out sandboxed.
export function isFile(url) {
  return typeof url === "string" && /^\/api\/operations\/[A-Za-z0-9._~-]+\/results\/[^/?#]+$/.test(url);
}

export function fileLink(url, ...children) {
  return element("a", { href: url, target: "_blank", rel: "noopener" }, ...children);
}

export function operationLink(id, ...children) {
  return element("a", { href: `/operations/${encodeURIComponent(id)}` }, ...children);
}

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };

// A moment as the reader's clock has it, with the whole of it to be read where the pointer rests.
export function moment(timestamp) {
  const when = new Date(timestamp);
  return element("time", { dateTime: timestamp, title: when.toLocaleString() }, when.toLocaleTimeString([], CLOCK));
}

// Whether one event id is before another, or the same: evt_<era>-<n>, both numbers below 2^53.
export function isUpTo(id, other) {
  const [a, b] = [id, other].map((each) => /^evt_(\d+)-(\d+)$/.exec(each)?.slice(1).map(Number));
  if (!a || !b) return false;
  return a[0] < b[0] || (a[0] === b[0] && a[1] <= b[1]);
}
