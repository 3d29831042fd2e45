// What is wrong with single events, what is wrong with whole batches, and what is said of it.

import assert from "node:assert/strict";
import test from "node:test";
import { Code, Reason } from "../../src/errors.ts";
import { Durability } from "../../src/ingest/batch.ts";
import { RECORD_BATCH_HEADER_BYTES } from "../../src/wire/record-batch.ts";
import { field, concat, varintField } from "../wire/protobuf.ts";
import type { TestEvent } from "../wire/requests.ts";
import { Harness, type Outcome } from "./harness.ts";

const good: TestEvent = { key: Buffer.from("k"), value: Buffer.from("good") };

/** Publishes the events between two good ones, stores what is sent, and returns the failures of those between. */
function failuresBetween(harness: Harness, events: readonly TestEvent[]): Outcome["answer"]["failures"] {
  const outcome = harness.publish({ topic: "t", events: [good, ...events, good] });
  harness.turn();
  harness.replicated.storeAll();
  const { stored, failures } = outcome.answer;
  assert.equal(stored + failures.length, events.length + 2);
  assert.deepEqual(
    harness.replicated.all.flatMap(({ values }) => values).filter((value) => value === "good").length,
    2,
    "the neighbours are stored",
  );
  harness.assertIdle();
  return failures;
}

const at = (ms: number): NonNullable<TestEvent["timestamp"]> => ({
  seconds: BigInt(Math.floor(ms / 1_000)),
  nanos: (((ms % 1_000) + 1_000) % 1_000) * 1_000_000,
});

test("timestamps before 1970 and after 9999 fail", () => {
  const wrong = [
    { seconds: -1n, nanos: 0 },
    { seconds: 253_402_300_800n, nanos: 0 },
    { seconds: 0n, nanos: -1 },
    { seconds: 0n, nanos: 1_000_000_000 },
  ];
  assert.deepEqual(
    failuresBetween(
      new Harness(),
      wrong.map((timestamp) => ({ timestamp })),
    ),
    wrong.map((_, i) => ({
      index: i + 1,
      reason: Reason.INVALID_TIMESTAMP,
      message:
        "timestamp is out of range: seconds must lie between 0 (1970) and 253402300799 (9999), nanos between 0 and 999999999",
      retryable: false,
    })),
  );
  assert.deepEqual(failuresBetween(new Harness(), [{ timestamp: at(0) }, { timestamp: at(253_402_300_799_999) }]), []);
});

test("timestamps further away than the topic allows fail, and those at its border do not", () => {
  const harness = new Harness({ topics: { t: { timestampBeforeMaxMs: 60_000, timestampAfterMaxMs: 1_000 } } });
  const now = harness.clock.now();
  const failures = failuresBetween(harness, [
    { timestamp: at(now - 60_000) },
    { timestamp: at(now - 60_001) },
    { timestamp: at(now + 1_000) },
    { timestamp: at(now + 1_001) },
    {},
  ]);
  const iso = (ms: number): string => new Date(ms).toISOString();
  assert.deepEqual(failures, [
    {
      index: 2,
      reason: Reason.INVALID_TIMESTAMP,
      message: `timestamp ${iso(now - 60_001)} lies more than 60000 ms before now (message.timestamp.before.max.ms of topic t)`,
      retryable: false,
    },
    {
      index: 4,
      reason: Reason.INVALID_TIMESTAMP,
      message: `timestamp ${iso(now + 1_001)} lies more than 1000 ms after now (message.timestamp.after.max.ms of topic t)`,
      retryable: false,
    },
  ]);
});

test("an event without a timestamp has the time of its arrival", () => {
  const harness = new Harness();
  harness.publish({ topic: "t", events: [good] });
  harness.clock.advance(10);
  assert.equal(harness.replicated.next().records[0]!.timestamp, harness.clock.now() - 10);
});

test("a compacted topic takes no event without a key", () => {
  const harness = new Harness({ topics: { t: { keyRequired: true } } });
  assert.deepEqual(failuresBetween(harness, [{ value: Buffer.from("v") }, { key: Buffer.alloc(0) }]), [
    {
      index: 1,
      reason: Reason.MISSING_KEY,
      message: "topic t is compacted: its events need a key",
      retryable: false,
    },
  ]);
});

test("an event larger than the topic takes fails, one of just that size does not", () => {
  // Its record: attributes, timestamp, offset, no key, no headers, and lengths of two bytes.
  const overhead = RECORD_BATCH_HEADER_BYTES + 2 + 1 + 1 + 1 + 1 + 2 + 1;
  const maxBatchBytes = 1_000;
  const harness = new Harness({ topics: { t: { maxBatchBytes } } });
  const sized = (bytes: number): TestEvent => ({ partition: 0, value: Buffer.alloc(bytes - overhead, "x") });
  assert.deepEqual(failuresBetween(harness, [sized(maxBatchBytes), sized(maxBatchBytes + 1)]), [
    {
      index: 2,
      reason: Reason.TOO_LARGE,
      message: "the event takes 1001 bytes as a record batch, topic t takes 1000 (max.message.bytes)",
      retryable: false,
    },
  ]);
  assert.ok(harness.replicated.all.some(({ length }) => length === maxBatchBytes));
});

test("an event that is too large does not tear its neighbours' record batch apart", () => {
  const harness = new Harness({ topics: { t: { partitions: 1, maxBatchBytes: 1_000 } } });
  assert.equal(failuresBetween(harness, [{ value: Buffer.alloc(2_000) }]).length, 1);
  assert.deepEqual(harness.sealed(), { idle: 1 });
  // Nor does it leave an empty one behind where it is the first.
  const outcome = harness.publish({ topic: "t", events: [{ value: Buffer.alloc(2_000) }] });
  assert.equal(outcome.answer.stored, 0);
  harness.assertIdle();
});

test("headers, keys and tombstones reach the record as they are", () => {
  const harness = new Harness();
  const events: TestEvent[] = [
    { partition: 0, key: Buffer.from("k") },
    { partition: 0, key: Buffer.alloc(0), value: Buffer.alloc(0) },
    {
      partition: 0,
      headers: [
        ["b", Buffer.from("1")],
        ["a", Buffer.alloc(0)],
        ["b", Buffer.from("2")],
      ],
    },
  ];
  harness.publish({ topic: "t", events });
  harness.turn();
  const records = harness.replicated.next().records.map(({ key, value, headers }) => ({ key, value, headers }));
  assert.deepEqual(
    records,
    events.map(({ key = null, value = null, headers = [] }) => ({ key, value, headers })),
  );
});

test("topics without a legal name fail their events, and cost the metrics no series", () => {
  const harness = new Harness();
  const long = "x".repeat(250);
  const illegal = ["", ".", "..", "a b", "größe", long, "a/b"];
  const failures = failuresBetween(
    harness,
    illegal.map((topic) => ({ topic })),
  );
  const shown = (name: string): string => (name === long ? `${"x".repeat(80)}…` : name);
  assert.deepEqual(
    failures,
    illegal.map((name, i) => ({
      index: i + 1,
      reason: Reason.INVALID_TOPIC,
      message:
        name === ""
          ? "the event has no topic: set PublishRequest.topic or Event.topic"
          : `"${shown(name)}" is not a legal topic name: use 1 to 249 of [a-zA-Z0-9._-], and not "." or ".."`,
      retryable: false,
    })),
  );
  assert.deepEqual(harness.topicLabels(), new Set(["t", "(illegal)"]));
});

test("a batch without any topic has all its events fail", () => {
  const harness = new Harness();
  const { stored, failures } = harness.publish({ events: [good, good] }).answer;
  assert.equal(stored, 0);
  assert.deepEqual(
    failures.map(({ index, reason }) => [index, reason]),
    [
      [0, Reason.INVALID_TOPIC],
      [1, Reason.INVALID_TOPIC],
    ],
  );
  harness.assertIdle();
});

test("an event's own topic wins over the batch's, in one batch for many topics", () => {
  const harness = new Harness({ topics: { t: {}, u: {}, v: { partitions: 1 } } });
  const value = (text: string): TestEvent => ({ value: Buffer.from(text), partition: 0 });
  const outcome = harness.publish({
    topic: "t",
    events: [
      value("t1"),
      { ...value("u1"), topic: "u" },
      value("t2"),
      { ...value("v1"), topic: "v" },
      { ...value("u2"), topic: "u" },
    ],
  });
  harness.turn();
  assert.deepEqual(
    harness.replicated.sent.map(({ topic, values }) => [topic, ...values]),
    [
      ["t", "t1", "t2"],
      ["u", "u1", "u2"],
      ["v", "v1"],
    ],
  );
  harness.replicated.storeAll(100);
  assert.equal(outcome.answer.stored, 5);
  assert.deepEqual(outcome.placements, [
    ["t", 0, 100, 2],
    ["u", 0, 100, 2],
    ["v", 0, 100, 1],
  ]);
  harness.assertIdle();
});

test("events whose topics are all their own need none of the batch's", () => {
  const harness = new Harness({ topics: { t: {}, u: {} } });
  const outcome = harness.publish({ events: [{ topic: "t" }, { topic: "u" }] });
  harness.turn();
  harness.replicated.storeAll();
  assert.equal(outcome.answer.stored, 2);
  harness.assertIdle();
});

test("a batch with no events is answered at once, with its sequence and durability", () => {
  const harness = new Harness();
  for (const topic of ["t", "", "no such topic"]) {
    const { sequence, stored, failures, durability } = harness.publish({
      sequence: 2n ** 64n - 1n,
      topic,
      events: [],
    }).answer;
    assert.deepEqual(
      { sequence, stored, failures, durability },
      { sequence: 2n ** 64n - 1n, stored: 0, failures: [], durability: Durability.REPLICATED },
    );
  }
  harness.assertIdle();
});

test("REPLICATED without brokers is refused, and says how to set them", () => {
  const harness = new Harness({ brokers: false });
  const outcome = harness.publish({ sequence: 7n, topic: "t", durability: Durability.REPLICATED, events: [good] });
  const { code, message, retryable, field } = outcome.refusal;
  assert.deepEqual(
    { code, message, retryable, field },
    {
      code: Code.FAILED_PRECONDITION,
      message:
        "durability REPLICATED needs Kafka: start the service with KAFKA_BROKERS=host:port, or ask for PERSISTED",
      retryable: false,
      field: "durability",
    },
  );
  assert.equal(outcome.batch!.sequence, 7);
  harness.assertIdle();
});

test("the server's default is REPLICATED with brokers and PERSISTED without", () => {
  for (const [brokers, asked, given] of [
    [true, 0, Durability.REPLICATED],
    [true, 1, Durability.REPLICATED],
    [true, 2, Durability.PERSISTED],
    [false, 0, Durability.PERSISTED],
    [false, 2, Durability.PERSISTED],
  ] as const) {
    const harness = new Harness({ brokers });
    const outcome = harness.publish({ topic: "t", durability: asked, events: [good] });
    harness.turn();
    const [sink, other] =
      given === Durability.REPLICATED
        ? [harness.replicated, harness.persisted]
        : [harness.persisted, harness.replicated];
    assert.equal(other.all.length, 0);
    sink.storeAll();
    assert.equal(outcome.answer.durability, given);
    harness.assertIdle();
  }
});

test("a durability that is not known is refused", () => {
  for (const durability of [3, -1, 2 ** 31 - 1]) {
    const harness = new Harness();
    const { code, message, field } = harness.publish({ topic: "t", durability, events: [good] }).refusal;
    assert.deepEqual(
      { code, message, field },
      {
        code: Code.INVALID_ARGUMENT,
        message: `durability ${durability} is not known: use 0 (the server's default), 1 (REPLICATED) or 2 (PERSISTED)`,
        field: "durability",
      },
    );
    harness.assertIdle();
  }
});

test("a message that is not valid is refused whole, with its sequence, and nothing of it is stored", () => {
  const harness = new Harness();
  const broken = concat(varintField(1, 5), field(2, "t"), field(4, field(2, "v")), field(4, field(5, [0xff])));
  const outcome = harness.publish(broken);
  assert.equal(outcome.refusal.message, "events[1].topic is not valid UTF-8 (byte 14)");
  assert.equal(outcome.batch!.sequence, 5);
  harness.turn();
  assert.equal(harness.replicated.all.length, 0);
  assert.deepEqual(harness.ledger(), { received: 0, stored: 0, failed: 0, inFlight: 0 });
  harness.assertIdle();
});

test("more events than allowed are refused whole", () => {
  const harness = new Harness({ eventsMax: 2 });
  assert.match(harness.publish({ topic: "t", events: [good, good, good] }).refusal.message, /PUBLISH_EVENTS_MAX/);
  harness.assertIdle();
});
