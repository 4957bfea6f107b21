// A list of any length whose rows all have one height: only those in view exist, and the page itself scrolls.
// Takes operations in order, draws at most once a frame, and adopts the rows of the page's first paint.

const BEYOND = 8; // rows above and below what is seen, for who scrolls or goes on by keyboard

export class Rows {
  size = -1; // of the whole list, as far as anybody knows
  needs = () => {}; // called when what is drawn comes near the end
  #list;
  #model;
  #operations = [];
  #elements = new Map(); // by id
  #spare = [];
  #seen = []; // the operations in view as last drawn, with their places, for a reader who is not at the top
  #stale = new Set(); // ids whose rows are to be filled anew
  #scheduled = false;
  #height = 1;

  constructor(list, model) {
    this.#list = list;
    this.#model = model;
    for (const row of list.children) this.#elements.set(row.dataset.id, row);
    const probe = document.createElement("li");
    probe.className = "row";
    probe.setAttribute("aria-hidden", "true");
    this.#measure(probe);
    list.classList.add("virtual");
    addEventListener("scroll", () => this.draw(), { passive: true });
    addEventListener("resize", () => { this.#measure(probe); this.refresh(); });
    document.addEventListener("visibilitychange", () => this.draw());
  }

  // Shows these, in this order: the array is kept, and may change until the next call.
  show(operations) {
    this.#operations = operations;
    this.draw();
  }

  // The row of this operation is to be filled anew, if it is in view.
  touch(id) {
    if (!this.#elements.has(id)) return;
    this.#stale.add(id);
    this.draw();
  }

  // All rows in view are to be filled anew: time has passed.
  refresh() {
    for (const id of this.#elements.keys()) this.#stale.add(id);
    this.draw();
  }

  // Draws with the next microtask: events come by the frame, so that is still the same one.
  draw() {
    if (this.#scheduled || document.hidden) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#draw();
    });
  }

  #measure(probe) {
    this.#list.append(probe);
    this.#height = probe.getBoundingClientRect().height || 1;
    probe.remove();
  }

  #draw() {
    const height = this.#height;
    const count = this.#operations.length;
    this.#list.style.height = count ? `${count * height + 2}px` : "";
    let top = -this.#list.getBoundingClientRect().top;
    const shift = top > 0 ? this.#shift() : 0;
    if (shift) {
      scrollBy({ top: shift * height, behavior: "instant" });
      top += shift * height;
    }
    const first = Math.max(0, Math.floor(top / height));
    const last = Math.min(count, Math.ceil((top + innerHeight) / height));
    const focused = this.#list.contains(document.activeElement) ? document.activeElement : undefined;
    this.#place(Math.max(0, first - BEYOND), Math.min(count, last + BEYOND), focused?.closest(".row"));
    if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
    this.#seen = this.#operations.slice(first, last).map((operation, at) => [operation, operation.place, first + at]);
    this.needs(count - last, last - first);
  }

  // By how many rows what a reader looks at has moved: by the first that has kept its place.
  #shift() {
    for (const [operation, place, was] of this.#seen) {
      if (operation.place !== place) continue;
      const at = indexOf(this.#operations, place);
      if (this.#operations[at] === operation) return at - was;
    }
    return 0;
  }

  #place(from, to, focused) {
    const wanted = new Map();
    for (let at = from; at < to; at += 1) wanted.set(this.#operations[at].id, at);
    if (focused && !wanted.has(focused.dataset.id)) {
      const at = this.#operations.findIndex(({ id }) => id === focused.dataset.id);
      if (at >= 0) wanted.set(focused.dataset.id, at);
    }
    for (const [id, row] of this.#elements) {
      if (wanted.has(id)) continue;
      this.#elements.delete(id);
      if (row === focused) row.remove();
      else this.#spare.push(row);
    }
    let next = this.#list.firstElementChild;
    for (const [id, at] of wanted) {
      const row = this.#elements.get(id) ?? this.#make(id);
      if (row === next) next = next.nextElementSibling;
      else this.#list.insertBefore(row, next);
      this.#set(row, at);
      if (this.#stale.has(id)) fill(row, this.#operations[at]);
    }
    this.#stale.clear();
    for (const row of this.#spare.splice(0)) row.remove();
  }

  #make(id) {
    // One that has left the view takes on what has come into it, in the place where it is.
    const row = this.#spare.shift() ?? this.#model.content.firstElementChild.cloneNode(true);
    this.#elements.set(id, row);
    this.#stale.add(id);
    return row;
  }

  #set(row, at) {
    const moved = `translateY(${at * this.#height}px)`;
    if (row.style.transform !== moved) row.style.transform = moved;
    attribute(row, "aria-posinset", at + 1);
    attribute(row, "aria-setsize", this.size);
  }
}

// Where an operation of this place is, or would be.
export function indexOf(operations, place) {
  let low = 0;
  let high = operations.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (operations[middle].place > place) low = middle + 1;
    else high = middle;
  }
  return low;
}

// By how much the service's clock is ahead of this one's, in ms.
export const clock = { aheadMs: 0 };

function attribute(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

function text(row, name, said) {
  const element = row.querySelector(name);
  if (element.textContent !== said) element.textContent = said;
}

function fill(row, operation) {
  const { short, percentage, says, when } = operation.shown(Date.now() + clock.aheadMs);
  attribute(row, "data-id", operation.id);
  attribute(row, "data-status", operation.status);
  attribute(row.querySelector("a"), "href", `/operations/${operation.id}`);
  text(row, ".status", operation.status);
  text(row, ".title", operation.title);
  text(row, ".kind", operation.kind === operation.title ? "" : operation.kind);
  text(row, ".id", short);
  text(row, ".says", says);
  text(row, ".when", when);
  text(row, ".percent", percentage === null ? "" : `${Math.floor(percentage)} %`);
  const bar = row.querySelector("progress");
  attribute(bar, "aria-label", `Progress of ${operation.title}`);
  if (percentage === null) bar.removeAttribute("value");
  else if (bar.value !== percentage || !bar.hasAttribute("value")) bar.value = percentage;
}
