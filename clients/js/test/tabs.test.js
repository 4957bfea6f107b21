// Tabs: each a copy of the module, with the BroadcastChannel of Node, and locks that only this test has.

import assert from "node:assert/strict";
import test from "node:test";

import { Subscription } from "../src/subscription.js";
import { count, frame, listen, serve, state } from "./service.js";

const queues = new Map();

async function request(name, { signal }, act) {
  const before = queues.get(name);
  const mine = (async () => {
    await before?.catch(() => {});
    signal.throwIfAborted();
    return act();
  })();
  queues.set(name, mine);
  return mine;
}

Object.defineProperty(globalThis, "navigator", { value: { locks: { request } } });

let copies = 0;

// A tab with one subscription, which has everything up to *cursor*.
async function tab(t, url, topics, cursor) {
  const { hubOf } = await import(`../src/tabs.js?${copies++}`);
  const hub = hubOf("", { url, heartbeatMs: 15_000 });
  const subscription = new Subscription({ topics, types: [], cursor });
  const close = () => hub.remove(subscription);
  const heard = listen(t, { on: (...all) => subscription.on(...all), close });
  hub.add(subscription);
  return { ...heard, close };
}

const status = (id, operationId = "a") => frame("status", { operationId, status: `phase ${id}` }, id);
const beat = (id) => frame("heartbeat", {}, id);
const ids = ({ heard }) => heard.filter(([type]) => type === "status").map(([, { id }]) => id);
const asked = ({ requests }) => requests.map(({ url }) =>
  [url.searchParams.get("topics"), url.searchParams.get("last_event_id")]);

test("tabs that want the same have one stream, and each takes what it has not", { timeout: 20_000 }, async (t) => {
  const service = await serve(t, status(4) + status(5) + beat(5) + status(6) + "\0");
  const one = await tab(t, service.url, ["operations:a"], "evt_1-3");
  const two = await tab(t, service.url, ["operations:a"], "evt_1-4");
  await Promise.all([one.until(count("status", 3)), two.until(count("status", 2))]);

  assert.deepEqual(ids(one), ["evt_1-4", "evt_1-5", "evt_1-6"]);
  assert.deepEqual(ids(two), ["evt_1-5", "evt_1-6"]);
  assert.deepEqual(asked(service)[0], ["operations:a", "evt_1-3"]);
});

test("for one that is behind the stream is opened anew from where that is", { timeout: 20_000 }, async (t) => {
  const service = await serve(t, beat(3) + status(4) + "\0", status(3) + status(4) + status(5) + beat(5) + "\0");
  const one = await tab(t, service.url, ["operations:a"], "evt_1-3");
  await one.until(count("status", 1));
  const two = await tab(t, service.url, ["operations:a"], "evt_1-2");
  service.say(status(5)); // which the second may not take: it lacks what comes before
  await Promise.all([one.until(count("status", 2)), two.until(count("status", 3))]);

  assert.deepEqual(asked(service), [["operations:a", "evt_1-3"], ["operations:a", "evt_1-2"]]);
  assert.deepEqual(ids(two), ["evt_1-3", "evt_1-4", "evt_1-5"]);
  assert.deepEqual(ids(one), ["evt_1-4", "evt_1-5"]);
});

test("for one that wants more it is opened anew from where it is", { timeout: 20_000 }, async (t) => {
  const service = await serve(t, (query) => (query.get("topics").includes("b") ? status(6, "b") : status(5) + beat(5)) + "\0");
  const tabs = [await tab(t, service.url, ["operations:a"], "evt_1-4"), await tab(t, service.url, ["operations:a"], "evt_1-4")];
  await Promise.all(tabs.map(({ until }) => until(count("status", 1))));
  const more = await tab(t, service.url, ["operations:b"], "evt_1-5");
  await more.until(count("status", 1));

  assert.deepEqual(asked(service).at(-1), ["operations:a,operations:b", "evt_1-5"]);
  assert.deepEqual([...tabs, more].map(ids), [["evt_1-5"], ["evt_1-5"], ["evt_1-6"]]);
});

test("when the tab that leads goes, another goes on from the oldest cursor, with what all want", { timeout: 20_000 }, async (t) => {
  const before = (query) => status(4) + (query.get("topics").includes("b") ? status(5, "b") : "") + beat(5);
  const after = status(6) + status(7, "b") + beat(7);
  const service = await serve(t, (query) => (query.get("last_event_id") === "evt_1-3" ? before(query) : after) + "\0");
  const tabs = [];
  for (const topic of ["a", "a", "b"]) tabs.push(await tab(t, service.url, [`operations:${topic}`], "evt_1-3"));
  const [one, two, three] = tabs;
  await Promise.all([two.until(count("status", 1)), three.until(count("status", 1))]);
  one.close();
  await Promise.all([two.until(count("status", 2)), three.until(count("status", 2))]);

  assert.deepEqual(asked(service).at(-1), ["operations:a,operations:b", "evt_1-5"]);
  assert.deepEqual(ids(two), ["evt_1-4", "evt_1-6"]);
  assert.deepEqual(ids(three), ["evt_1-5", "evt_1-7"]);
});

test("more topics than one request may have are asked for by their families", { timeout: 20_000 }, async (t) => {
  const agents = frame("status", { operationId: "z", agentId: "y" }, 4);
  const service = await serve(t, beat(1) + status(2, "other") + status(3, "x7") + agents + "\0");
  const topics = Array.from({ length: 64 }, (_, n) => `operations:x${n}`);
  const one = await tab(t, service.url, topics, "evt_1-1");
  const two = await tab(t, service.url, ["agents:y"], "evt_1-1");
  await Promise.all([one.until(count("status", 1)), two.until(count("status", 1))]);

  assert.deepEqual(asked(service).at(-1), ["agents:*,operations:*", "evt_1-1"]);
  assert.deepEqual([ids(one), ids(two)], [["evt_1-3"], ["evt_1-4"]]);
});

test("what becomes of the stream is said in every tab", { timeout: 20_000 }, async (t) => {
  const service = await serve(t, beat(1), 503, beat(1) + "\0");
  const tabs = [await tab(t, service.url, [], "evt_1-1"), await tab(t, service.url, [], "evt_1-1")];
  for (const { heard, until } of tabs) {
    await until((all) => state("reconnecting")(all) && all.at(-1)[1] === "live");
    assert.ok(heard.some(([type, event]) => type === "problem" && event.status === 503));
  }
});
