import assert from "node:assert/strict";
import test from "node:test";

import { nextFrame } from "../src/page.js";
import { connect } from "../src/tidings.js";
import { beat, count, frame, listen, progress, serve, state } from "./service.js";

const of = (heard, type) => heard.filter(([name]) => name === type).map(([, event]) => event);
const LIVE = beat(1) + "\0";

test("the current state comes first, then what happens, each with its type", { timeout: 20_000 }, async (t) => {
  const service = await serve(t, progress(0, 3) + beat(4) + progress(5, 4) + "\0");
  const connection = connect({ url: service.url, topics: ["operations:a", "agents:b"], types: "progress,status" });
  assert.equal(connection.state, "connecting");
  const { heard, until } = listen(t, connection);
  await until((all) => state("live")(all) && count("progress", 1)(all));

  assert.equal(of(heard, "progress").at(-1).current, 4);
  assert.equal(connection.cursor, "evt_1-5");
  const { searchParams } = service.requests[0].url;
  assert.deepEqual([...searchParams], [["topics", "operations:a,agents:b"], ["types", "progress,status"]]);
});

test("a stream that ends is gone on with from its cursor, and nothing is given twice", { timeout: 20_000 }, async (t) => {
  const status = (id) => frame("status", { operationId: "a", status: `phase ${id}` }, id);
  const service = await serve(t, beat(1) + status(2) + status(3), status(3) + status(4) + beat(4) + "\0");
  const { heard, until } = listen(t, connect({ url: service.url }));
  await until(count("status", 3));

  assert.deepEqual(of(heard, "status").map(({ id }) => id), ["evt_1-2", "evt_1-3", "evt_1-4"]);
  assert.deepEqual(of(heard, "state"), ["live", "reconnecting", "live"]);
  assert.equal(service.requests[1].url.searchParams.get("last_event_id"), "evt_1-3");
});

test("the members of a workflow's groups are given to who names them", { timeout: 20_000 }, async (t) => {
  const status = (operationId, workflowId, id) => frame("status", { operationId, workflowId, status: "running" }, id);
  const service = await serve(t, beat(1) + status("m", "w", 2) + status("n", "other", 3) + status("o", "w", 4) + "\0");
  const { heard, until } = listen(t, connect({ url: service.url, topics: "members:w" }));
  await until((all) => of(all, "status").some(({ operationId }) => operationId === "o"));

  assert.deepEqual(of(heard, "status").map(({ operationId }) => operationId), ["m", "o"]);
});

test("no status ends it but 204", { timeout: 20_000 }, async (t) => {
  const service = await serve(t, beat(7), 503, 400, 404, 500, beat(8), 204);
  const { heard, until } = listen(t, connect({ url: service.url }));
  await until(state("finished"));

  assert.deepEqual(of(heard, "problem").map(({ status }) => status), [undefined, 503, 400, 404, 500, undefined]);
  assert.ok(of(heard, "problem").every(({ retryInMs }) => retryInMs >= 10 && retryInMs <= 20 * 2 ** 4));
  assert.equal(service.requests[5].url.searchParams.get("last_event_id"), "evt_1-7");
});

test("a refused token is asked for anew, at once, and the cursor stays", { timeout: 20_000 }, async (t) => {
  const service = await serve(t, beat(7), 401, LIVE.replace("1-1", "1-8"));
  const asked = [];
  const token = async (why) => `t${asked.push(why)}`;
  const { heard, until } = listen(t, connect({ url: service.url, token }));
  await until((all) => of(all, "state").filter((name) => name === "live").length === 2);

  assert.deepEqual(asked, [{ refused: undefined }, { refused: 401 }]);
  assert.deepEqual(service.requests.map(({ headers }) => headers.authorization), ["Bearer t1", "Bearer t1", "Bearer t2"]);
  assert.equal(of(heard, "problem").find(({ status }) => status === 401).retryInMs, 0);
  assert.equal(service.requests[2].url.searchParams.get("last_event_id"), "evt_1-7");
});

test("a token that stays refused is not asked for without a pause", { timeout: 20_000 }, async (t) => {
  const service = await serve(t, 403);
  const { heard, until } = listen(t, connect({ url: service.url, token: () => "bad" }));
  await until(count("problem", 3));

  assert.equal(of(heard, "problem")[0].retryInMs, 0);
  assert.ok(of(heard, "problem").slice(1).every(({ retryInMs }) => retryInMs >= 500));
});

test("a callback that throws or never answers is a problem of the connection", { timeout: 20_000 }, async (t) => {
  const service = await serve(t, LIVE);
  const answers = [() => { throw new Error("signed out"); }, () => new Promise(() => {}), () => "good"];
  const token = () => answers.shift()();
  const { heard, until } = listen(t, connect({ url: service.url, token, heartbeatMs: 100 }));
  await until(state("live"));

  assert.equal(of(heard, "problem")[0].message, "signed out");
  assert.match(of(heard, "problem")[1].message, /silent/);
});

test("a stream that falls silent without an end is opened anew after two and a half beats", { timeout: 20_000 }, async (t) => {
  const service = await serve(t, beat(1) + progress(2, 1) + "\0", beat(3) + "\0");
  const { heard, until } = listen(t, connect({ url: service.url, heartbeatMs: 200 }));
  const begun = Date.now();
  await until(state("reconnecting"));

  assert.ok(Date.now() - begun >= 500);
  assert.match(of(heard, "problem")[0].message, /silent/);
  await until((all) => service.requests.length >= 2);
  assert.equal(service.requests[1].url.searchParams.get("last_event_id"), "evt_1-2");
});

test("a task's error is no problem of the connection, nor the other way round", { timeout: 20_000 }, async (t) => {
  const error = frame("error", { operationId: "a", code: "row", message: "odd", terminal: false }, 2);
  const service = await serve(t, beat(1) + error, LIVE);
  const { heard, until } = listen(t, connect({ url: service.url }));
  await until((all) => count("problem", 1)(all) && count("error", 1)(all));

  assert.deepEqual(of(heard, "error").map(({ code }) => code), ["row"]);
  assert.deepEqual(of(heard, "problem").map(({ code }) => code), [undefined]);
});

test("a reset is one call with the new state, and a half one is none", { timeout: 20_000 }, async (t) => {
  const reset = frame("reset", { reason: "history_lost", requestedId: "evt_1-9" });
  const service = await serve(t, beat(9), reset + progress(0, 1), beat(9), reset + progress(0, 2) + progress(0, 7, "b") + beat(3) + "\0");
  const { heard, until } = listen(t, connect({ url: service.url }));
  await until((all) => of(all, "state").filter((name) => name === "live").length === 3 && count("progress", 2)(all));

  const [only, ...more] = of(heard, "reset");
  assert.equal(more.length, 0);
  assert.equal(only.reason, "history_lost");
  assert.deepEqual(only.events.map(({ operationId, current }) => [operationId, current]), [["a", 2], ["b", 7]]);
  assert.deepEqual(of(heard, "progress").map(({ current }) => current), [2, 7]);
  assert.ok(heard.findIndex(([type]) => type === "reset") < heard.findIndex(([type]) => type === "progress"));
  assert.deepEqual(service.requests.map(({ url }) => url.searchParams.get("last_event_id")), [null, "evt_1-9", "evt_1-9", "evt_1-9"]);
});

test("after a reset to an earlier place what follows is heard", { timeout: 20_000 }, async (t) => {
  const reset = frame("reset", { reason: "unknown_cursor", requestedId: "evt_1-9" });
  const service = await serve(t, reset + beat(3) + progress(4, 5) + "\0");
  const { until } = listen(t, connect({ url: service.url, cursor: "evt_1-9" }));
  await until(count("progress", 1));
});

test("a handler that throws does not stop the others", { timeout: 20_000 }, async (t) => {
  const complaints = t.mock.method(console, "error", () => {});
  const service = await serve(t, beat(1) + progress(2, 1) + "\0");
  const connection = connect({ url: service.url });
  connection.on("progress", () => { throw new Error("mine"); });
  const { until } = listen(t, connection);
  await until(count("progress", 1));
  assert.equal(complaints.mock.callCount(), 1);
});

test("of the progress that waits for a frame only the newest of each operation is given", { timeout: 20_000 }, async (t) => {
  const many = Array.from({ length: 5_000 }, (_, n) => progress(n + 2, n, n % 2 ? "a" : "b")).join("");
  const warning = frame("warning", { operationId: "a", code: "w", message: "kept" }, 6_000);
  const service = await serve(t, beat(1) + many + warning + "\0");
  const { heard, until } = listen(t, connect({ url: service.url }));
  await until(count("warning", 1));

  assert.ok(of(heard, "progress").length < 100);
  assert.deepEqual(of(heard, "progress").slice(-2).map(({ current }) => current).sort(), [4_998, 4_999]);
});

test("a beat that says degraded makes the state degraded", { timeout: 20_000 }, async (t) => {
  const service = await serve(t, beat(1) + beat(undefined, { degraded: true }) + beat(2) + "\0");
  const { heard, until } = listen(t, connect({ url: service.url }));
  await until((all) => of(all, "state").length === 3);
  assert.deepEqual(of(heard, "state"), ["live", "degraded", "live"]);
});

test("when all the operations that were named are over, so is the connection", { timeout: 20_000 }, async (t) => {
  const end = (id, operationId) => frame("complete", { operationId }, id);
  const service = await serve(t, beat(1) + end(2, "a") + "\0");
  const one = listen(t, connect({ url: service.url, topics: "operations:a" }));
  const two = listen(t, connect({ url: service.url, topics: "operations:a,operations:b" }));
  await Promise.all([one.until(state("finished")), two.until(count("complete", 1))]);

  assert.deepEqual(one.heard.map(([type]) => type), ["state", "complete", "state"]);
  assert.ok(!state("finished")(two.heard));
});

test("after close nothing more is said, and no connection is left", { timeout: 20_000 }, async (t) => {
  const service = await serve(t, beat(1) + progress(2, 1) + "\0");
  const connection = connect({ url: service.url });
  const { heard, until } = listen(t, connection);
  await until(state("live"));
  connection.close();
  assert.equal(connection.state, "finished");
  await service.requests[0].closed;
  await nextFrame();
  assert.ok(!count("progress", 1)(heard));
  assert.ok(!count("problem", 1)(heard));
});
