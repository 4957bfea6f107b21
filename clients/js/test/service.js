// A service for the tests: a real HTTP server whose answers the test scripts, one after the other.

import { once } from "node:events";
import { createServer } from "node:http";

export const frame = (type, data, id) =>
  `event: ${type}\n${id ? `id: evt_1-${id}\n` : ""}data: ${JSON.stringify(data)}\n\n`;
export const beat = (id, data = {}) => frame("heartbeat", data, id);
export const progress = (id, current, operationId = "a") =>
  frame("progress", { operationId, operationType: "import", attempt: 1, current, total: 9 }, id);

// Answers the n-th request with the n-th of *answers*, and every further one with the last. An answer is a status,
// a function of the query that gives one, or text to stream; text that ends with "\0" leaves the stream open. `requests` are {url, headers, closed: a promise};
// `say` goes on with the last stream.
export async function serve(test, ...answers) {
  const requests = [];
  let last;
  const server = createServer((request, response) => {
    requests.push({ url: new URL(request.url, "http://x"), headers: request.headers, closed: once(response, "close") });
    const next = answers.length > 1 ? answers.shift() : answers[0];
    const answer = typeof next === "function" ? next(requests.at(-1).url.searchParams) : next;
    if (typeof answer === "number") {
      response.writeHead(answer, { "Content-Type": "application/problem+json" });
      response.end(answer === 204 ? undefined : JSON.stringify({ status: answer, detail: `no: ${answer}` }));
      return;
    }
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    last = response;
    response.write(`retry: 20\n\n${answer.replace("\0", "")}`);
    if (!answer.endsWith("\0")) response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  test.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}/api/events/stream`, requests, say: (text) => last.write(text) };
}

// Writes down everything that a connection says; `until` resolves when *found* is true of that.
export function listen(test, connection) {
  const heard = [];
  const waiting = new Set();
  for (const type of ["event", "reset", "state", "problem"]) {
    connection.on(type, (event) => {
      heard.push([type === "event" ? event.type : type, event]);
      for (const look of waiting) look();
    });
  }
  test.after(() => connection.close());
  const until = (found) => new Promise((done) => {
    const look = () => found(heard) && (waiting.delete(look), done(heard));
    waiting.add(look);
    look();
  });
  return { heard, until };
}

export const state = (name) => (heard) => heard.some(([type, event]) => type === "state" && event === name);
export const count = (type, least) => (heard) => heard.filter(([name]) => name === type).length >= least;
