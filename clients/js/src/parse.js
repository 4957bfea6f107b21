// Reads text/event-stream as the HTML standard has it: takes text in any pieces, gives {type, data, id} each time
// a message is whole; `id` is only there if the message has one of its own. `retry` is told apart.

export function parser(message, retry) {
  let rest = "";
  let afterReturn = false;
  let field = { data: [] };

  const take = {
    event: (value) => { field.type = value; },
    data: (value) => { field.data.push(value); },
    id: (value) => { if (!value.includes("\0")) field.id = value; },
    retry: (value) => { if (/^\d+$/.test(value)) retry(Number(value)); },
  };

  function end() {
    const { type, data, id } = field;
    field = { data: [] };
    if (data.length) message({ type: type || "message", data: data.join("\n"), id });
  }

  return (text) => {
    if (!text) return;
    if (afterReturn && text[0] === "\n") text = text.slice(1);
    afterReturn = text.endsWith("\r");
    const lines = (rest + text).split(/\r\n|\r|\n/);
    rest = lines.pop();
    for (const line of lines) {
      const colon = line.indexOf(":");
      if (!line) end();
      else {
        const name = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (Object.hasOwn(take, name)) take[name](value);
      }
    }
  };
}

// Whether one event id is after another: evt_<era>-<n>, both numbers below 2^53.
export function isAfter(one, other) {
  if (!other) return true;
  const [a, b] = [one, other].map((id) => id.slice(4).split("-").map(Number));
  return a[0] > b[0] || (a[0] === b[0] && a[1] > b[1]);
}
