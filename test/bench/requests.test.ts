import assert from "node:assert/strict";
import test from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import {
  nextSequence,
  POOL_SIZE,
  prebuild,
  SEQUENCE_FIRST,
  SEQUENCE_LAST,
  writeSequence,
} from "../../bench/load/requests.ts";
import { Durability, PublishRequestSchema } from "../../src/gen/sluice/v1/ingest_pb.js";

const SHAPE = { topics: ["bench"], batch: 3, valueBytes: 200, keys: 10, headers: 2, durability: 0 };
const NOW_MS = Date.UTC(2024, 1, 29, 12, 0, 0, 345);

/** The message behind the gRPC prefix, whose length it checks. */
function unframe(message: Buffer) {
  assert.equal(message[0], 0);
  assert.equal(message.readUInt32BE(1), message.length - 5);
  return fromBinary(PublishRequestSchema, message.subarray(5));
}

test("a prebuilt request decodes to the events of its shape", () => {
  const pool = prebuild(SHAPE, 42, NOW_MS);
  assert.equal(pool.length, POOL_SIZE);
  for (const message of pool) {
    const request = unframe(message);
    assert.equal(request.topic, "bench");
    assert.equal(request.durability, Durability.DURABILITY_UNSPECIFIED);
    assert.equal(request.events.length, 3);
    for (const event of request.events) {
      assert.match(Buffer.from(event.key ?? []).toString(), /^user-\d$/);
      assert.equal(event.value?.length, 200);
      assert.deepEqual(
        event.headers.map((header) => [header.key, Buffer.from(header.value).toString()]),
        [
          ["header-0", "0123456789abcdef"],
          ["header-1", "0123456789abcdef"],
        ],
      );
      assert.equal(Number(event.timestamp?.seconds), Math.floor(NOW_MS / 1000));
      assert.equal(event.timestamp?.nanos, 345_000_000);
    }
  }
});

test("requests are for the topics in turns", () => {
  const pool = prebuild({ ...SHAPE, topics: ["a", "b", "c"] }, 42, NOW_MS, 5);
  assert.deepEqual(
    pool.map((message) => unframe(message).topic),
    ["a", "b", "c", "a", "b"],
  );
});

test("the durability is on the wire when it is asked for", () => {
  const [message] = prebuild({ ...SHAPE, durability: 2 }, 42, NOW_MS, 1);
  assert.equal(unframe(message!).durability, Durability.PERSISTED);
});

test("a request without events or values is legal", () => {
  const [none] = prebuild({ ...SHAPE, batch: 0 }, 42, NOW_MS, 1);
  assert.deepEqual(unframe(none!).events, []);
  const [empty] = prebuild({ ...SHAPE, batch: 1, valueBytes: 0 }, 42, NOW_MS, 1);
  assert.equal(unframe(empty!).events[0]?.value?.length, 0);
});

test("rewriting the sequence changes nothing else", () => {
  const [message] = prebuild(SHAPE, 42, NOW_MS, 1);
  const before = unframe(message!);
  for (const sequence of [SEQUENCE_FIRST, SEQUENCE_FIRST + 1, 123_456_789, SEQUENCE_LAST]) {
    writeSequence(message!, sequence);
    const request = unframe(message!);
    assert.equal(request.sequence, BigInt(sequence));
    assert.deepEqual(request.events, before.events);
  }
});

test("sequences start again when they are used up", () => {
  assert.equal(nextSequence(SEQUENCE_FIRST), SEQUENCE_FIRST + 1);
  assert.equal(nextSequence(SEQUENCE_LAST), SEQUENCE_FIRST);
});

test("the same seed gives the same load, another seed another", () => {
  assert.deepEqual(prebuild(SHAPE, 42, NOW_MS), prebuild(SHAPE, 42, NOW_MS));
  assert.notDeepEqual(prebuild(SHAPE, 42, NOW_MS), prebuild(SHAPE, 43, NOW_MS));
});
