// What the list is narrowed by: kept in the page's address, so that it can be reloaded, shared, and gone back to.

const TYPING_MS = 200;
const input = document.getElementById("filter-text");
const select = document.getElementById("filter-kind");
const tabs = document.querySelectorAll("[data-tab]");

const words = (query, name) => query.getAll(name).flatMap((value) => value.split(",")).filter(Boolean);

export function readFilter(search) {
  const query = new URLSearchParams(search);
  const typed = (query.get("q") ?? "").trim();
  return { statuses: words(query, "status"), kinds: words(query, "kinds"), text: typed.toLowerCase(), typed };
}

// The same as a query, of the page and of the API.
export function toQuery({ statuses, kinds, typed }) {
  const query = new URLSearchParams();
  if (statuses.length) query.set("status", statuses.join());
  if (kinds.length) query.set("kinds", kinds.join());
  if (typed) query.set("q", typed);
  return query.toString();
}

const address = (filter) => location.pathname + (toQuery(filter) && `?${toQuery(filter)}`);

// Shows in the controls what the list is narrowed by.
export function showFilter(filter) {
  for (const tab of tabs) {
    const statuses = tab.dataset.tab ? [tab.dataset.tab] : [];
    tab.href = address({ ...filter, statuses });
    if (statuses.join() === filter.statuses.join()) tab.setAttribute("aria-current", "true");
    else tab.removeAttribute("aria-current");
  }
  if (document.activeElement !== input) input.value = filter.typed;
  filter.kinds.forEach(offerKind);
  select.value = filter.kinds.join();
}

// Lets one choose a kind that the page was not told of.
export function offerKind(kind) {
  if ([...select.options].some((option) => option.value === kind)) return;
  const after = [...select.options].slice(1).find((option) => option.value > kind);
  select.add(new Option(kind, kind), after ?? null);
}

// Calls changed() when the address says something else to narrow by.
export function onFilter(changed) {
  const go = (url, keep) => {
    if (url === location.pathname + location.search) return;
    history[keep ? "pushState" : "replaceState"](null, "", url);
    changed();
  };
  const present = () => readFilter(location.search);
  let typing;
  input.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => go(address({ ...present(), typed: input.value.trim() }), false), TYPING_MS);
  });
  select.addEventListener("change", () => {
    go(address({ ...present(), kinds: select.value ? select.value.split(",") : [] }), true);
  });
  for (const tab of tabs) {
    tab.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      go(tab.pathname + tab.search, true);
    });
  }
  addEventListener("popstate", changed);
  addEventListener("keydown", (event) => {
    const isTyped = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || isTyped || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    input.focus();
    input.select();
  });
}
