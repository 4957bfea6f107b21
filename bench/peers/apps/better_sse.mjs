// The service that the better-sse peer runs: one channel per topic, in one process.
import http from "node:http";
import { createRequire } from "node:module";

const { createChannel, createSession } = createRequire(process.argv[3] + "/")("better-sse");
const channels = new Map();
const channelOf = (topic) => {
  if (!channels.has(topic)) channels.set(topic, createChannel());
  return channels.get(topic);
};

let number = 0;
const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, "http://localhost");
  const topic = url.searchParams.get("topic");
  if (url.pathname === "/stream") {
    const session = await createSession(request, response, { serializer: (data) => data });
    channelOf(topic).register(session);
  } else if (url.pathname === "/publish") {
    const parts = [];
    for await (const part of request) parts.push(part);
    channelOf(topic).broadcast(Buffer.concat(parts).toString(), "progress", { eventId: String(++number) });
    response.writeHead(204).end();
  } else {
    response.end();
  }
});
server.keepAliveTimeout = 3_600_000;
server.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });
