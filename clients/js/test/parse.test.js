import assert from "node:assert/strict";
import test from "node:test";

import { isAfter, parser } from "../src/parse.js";

function read(...pieces) {
  const messages = [];
  const parse = parser((message) => messages.push(message), (ms) => messages.push(ms));
  pieces.forEach(parse);
  return messages;
}

const STREAM = ": hello\r\nevent: progress\r\nid: evt_1-2\r\ndata: one\r\ndata:  two\r\n\r\n\r\nretry: 50\rdata\rid\r\r" +
  "event: x\nnonsense: 1\nconstructor: 2\ndata:é\nid: a\0b\n\nevent: no data\n\nretry: 5x\ndata: cut";
const MESSAGES = [
  { type: "progress", data: "one\n two", id: "evt_1-2" },
  50,
  { type: "message", data: "", id: "" },
  { type: "x", data: "é", id: undefined },
];

test("a stream is read as the HTML standard has it", () => {
  assert.deepEqual(read(STREAM), MESSAGES);
});

test("it does not matter where a stream is cut", () => {
  for (let place = 0; place <= STREAM.length; place++) {
    assert.deepEqual(read(STREAM.slice(0, place), STREAM.slice(place)), MESSAGES);
  }
  assert.deepEqual(read(...STREAM), MESSAGES);
});

test("ids are ordered by their era, then by their number", () => {
  assert.ok(isAfter("evt_1-10", "evt_1-9"));
  assert.ok(isAfter("evt_2-1", "evt_1-9"));
  assert.ok(isAfter("evt_1-1", ""));
  assert.ok(!isAfter("evt_1-9", "evt_1-9"));
  assert.ok(!isAfter("evt_1-9", "evt_2-1"));
});
