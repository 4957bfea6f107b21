// An operation once more, from its log: at its own pace, faster, slower, or event by event.

import { ask } from "./ask.js";
import { offsets, placeAt, standing } from "./playback.js";
import { amount, duration, says } from "./words.js";

const PAGE = 1_000;

export function showReplay(section) {
  const find = (selector) => section.querySelector(selector);
  const form = find("form");
  const [player, slider, play, speed] = [find(".player"), find("#place"), find(".play"), find("[name=speed]")];
  const problem = find(".problem");
  let events = [];
  let times = [];
  let place = 0;
  let running; // while it plays: when that began, and at which moment of the operation's
  let note = "";

  function show(next) {
    place = Math.max(0, Math.min(next, events.length - 1));
    const { type, id, data } = events[place];
    const { status, events: latest } = standing(events, place);
    slider.value = place;
    slider.setAttribute("aria-valuetext", `${place + 1} of ${events.length}, ${type}`);
    find(".sum").textContent = [
      `${amount(place + 1)} of ${amount(events.length)}`, `${duration(times[place] / 1000)} after the first`, note,
    ].filter(Boolean).join(" · ");
    find(".stage").dataset.status = status;
    find(".status").textContent = status;
    find(".says").textContent = says(data.operationType, latest);
    const bar = find("progress");
    const percentage = status === "succeeded" ? 100 : latest.progress?.percentage;
    if (typeof percentage === "number") bar.value = percentage;
    else bar.removeAttribute("value");
    find(".event").textContent = `${type} ${id}\n${JSON.stringify(data, null, 2)}`;
  }

  function stop() {
    running = undefined;
    play.textContent = "Play";
  }

  function begin() {
    if (place === events.length - 1) show(0);
    running = { since: performance.now(), from: times[place] };
    play.textContent = "Pause";
    requestAnimationFrame(tick);
  }

  function tick() {
    if (!running) return;
    const at = running.from + (performance.now() - running.since) * Number(speed.value);
    const reached = placeAt(times, at);
    if (reached > place) show(reached);
    if (place === events.length - 1) stop();
    else requestAnimationFrame(tick);
  }

  // At another speed it goes on from where it is, not from where it would have been.
  function pace() {
    if (running) running = { since: performance.now(), from: times[place] };
  }

  async function load(id) {
    stop();
    problem.textContent = "";
    try {
      const found = await history(id);
      if (!found.events.length) throw new Error("Nothing is kept of what this operation said.");
      ({ events, note } = found);
      times = offsets(events);
      slider.max = events.length - 1;
      player.hidden = false;
      show(0);
    } catch (refused) {
      player.hidden = true;
      problem.textContent = refused.message;
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    load(form.elements.id.value.trim());
  });
  play.addEventListener("click", () => (running ? stop() : begin()));
  for (const [selector, by] of [[".back", -1], [".step", 1]]) {
    find(selector).addEventListener("click", () => {
      stop();
      show(place + by);
    });
  }
  slider.addEventListener("input", () => {
    stop();
    show(Number(slider.value));
  });
  speed.addEventListener("change", pace);
}

// All that is kept, oldest first; where the beginning is not, that is said.
async function history(id) {
  const events = [];
  let note = "";
  let after = "";
  for (;;) {
    const query = new URLSearchParams({ limit: PAGE, ...(after && { after }) });
    const page = await ask(`/api/operations/${encodeURIComponent(id)}/events?${query}`);
    events.push(...page.events);
    if (page.reset) note = "what happened earlier is no longer kept";
    if (!page.more) return { events, note };
    after = page.lastEventId;
  }
}
