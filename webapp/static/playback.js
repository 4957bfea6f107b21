// What happened when, and how it stood then: an operation's history as something that can be played. Pure.

// Milliseconds from the first event to each. An author's clock may have gone back: time does not.
export function offsets(events) {
  let latest = -Infinity;
  const times = events.map(({ data }) => {
    const at = Date.parse(data.timestamp);
    latest = Math.max(latest, Number.isNaN(at) ? latest : at);
    return latest;
  });
  const [first] = times;
  return times.map((at) => (Number.isFinite(at - first) ? at - first : 0));
}

// The index of the last event that has happened by then; -1 before the first.
export function placeAt(times, ms) {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= ms) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

// How it stood when the event at *place* had happened: its status, and its latest event of each type.
export function standing(events, place) {
  const latest = {};
  for (const { type, data } of events.slice(0, place + 1)) latest[type] = data;
  const { status, complete, error } = latest;
  const ended = complete ? "succeeded" : error?.terminal && (error.code === "cancelled" ? "cancelled" : "failed");
  return { status: ended || status?.status || "", events: latest };
}
