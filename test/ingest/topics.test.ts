// Topics that are not known yet, do not exist, or are found and lost again.

import assert from "node:assert/strict";
import test from "node:test";
import { Code, IngestError, Reason } from "../../src/errors.ts";
import { Durability } from "../../src/ingest/batch.ts";
import { repartition } from "../../src/ingest/repartition.ts";
import { isLegalTopicName } from "../../src/ingest/topic-name.ts";
import { Topics } from "../../src/ingest/topics.ts";
import { UnassignedTopics } from "../../src/ingest/unassigned-topics.ts";
import { Session } from "../../src/ingest/session.ts";
import { murmur2 } from "../../src/wire/murmur2.ts";
import { hasValidCrc } from "../../src/wire/record-batch.ts";
import { noAttribution } from "../../src/telemetry/attribution.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { JAVA_VECTORS } from "../wire/java-vectors.ts";
import { decode, recordOf, transcode } from "../wire/records.ts";
import { encodeRequest, type TestEvent } from "../wire/requests.ts";
import { FakeTopics, Harness, microtasks, Outcome } from "./harness.ts";

function publish(harness: Harness, topic: string, events: readonly TestEvent[]): Outcome {
  const outcome = new Outcome();
  const flow = { pause: () => {}, resume: () => {} };
  const session = new Session(harness.pipeline, outcome, flow, harness.clock, harness.metrics.publishBytes.with());
  session.publish(encodeRequest({ topic, events }));
  return outcome;
}

test("legal names are Kafka's", () => {
  for (const name of ["a", "a.b", "...", "A-1_b", "x".repeat(249)]) assert.ok(isLegalTopicName(name), name);
  for (const name of ["", ".", "..", "a b", "ä", "a\n", "x".repeat(250)]) assert.ok(!isLegalTopicName(name), name);
});

test("a topic is looked up once however many wait for it, and not again while it is known", async () => {
  const harness = new Harness();
  const outcomes = [1, 2, 3].map(() => publish(harness, "new", [{}]));
  assert.deepEqual(harness.topics.asked, ["new"]);
  harness.topics.set("new");
  await microtasks();
  outcomes.push(publish(harness, "new", [{}]));
  harness.turn();
  harness.clock.advance(5);
  harness.replicated.storeAll();
  for (const { answer } of outcomes) assert.equal(answer.stored, 1);
  assert.deepEqual(harness.topics.asked, ["new"]);
  harness.assertIdle();
});

test("a topic that does not exist is not asked for again for a second", async () => {
  const harness = new Harness();
  publish(harness, "missing", [{}]);
  harness.topics.missing("missing");
  await microtasks();
  harness.clock.advance(999);
  assert.equal(publish(harness, "missing", [{}]).answer.failures[0]!.reason, Reason.UNKNOWN_TOPIC);
  assert.equal(harness.topics.asked.length, 1);
  harness.clock.advance(1);
  const outcome = publish(harness, "missing", [{}]);
  assert.equal(harness.topics.asked.length, 2);
  // It was created meanwhile.
  harness.topics.set("missing");
  await microtasks();
  harness.turn();
  harness.replicated.storeAll();
  assert.equal(outcome.answer.stored, 1);
  harness.assertIdle();
});

test("a batch with known, new, missing and illegal topics has each event treated by its own", async () => {
  const harness = new Harness({ topics: { t: {} } });
  const outcome = publish(harness, "t", [
    {},
    { topic: "new" },
    { topic: "missing" },
    { topic: "a b" },
    { topic: "new" },
  ]);
  assert.deepEqual(harness.topics.asked, ["new", "missing"]);
  harness.topics.set("new");
  harness.topics.missing("missing");
  await microtasks();
  harness.turn();
  harness.replicated.storeAll();
  const { stored, failures } = outcome.answer;
  assert.equal(stored, 3);
  assert.deepEqual(
    failures.map(({ index, reason }) => [index, reason]),
    [
      [2, Reason.UNKNOWN_TOPIC],
      [3, Reason.INVALID_TOPIC],
    ],
  );
  harness.assertIdle();
});

test("a lookup that failed for now makes its events fail retryably", async () => {
  const harness = new Harness();
  const outcome = publish(harness, "new", [{}]);
  harness.topics.missing("new", new IngestError(Code.UNAVAILABLE, "no broker answers", { retryable: true }));
  await microtasks();
  assert.deepEqual(outcome.answer.failures, [
    { index: 0, reason: Reason.UNAVAILABLE, message: "no broker answers", retryable: true },
  ]);
  harness.assertIdle();
});

test("an error that is not ours is our bug, and still only fails the events", async () => {
  const harness = new Harness();
  const outcome = publish(harness, "new", [{}]);
  harness.topics.missing("new", new TypeError("x is not a function") as unknown as IngestError);
  await microtasks();
  assert.equal(outcome.answer.failures[0]!.message, "x is not a function");
  harness.assertIdle();
});

test("a batch waits for its lookups once: slow ones do not make it ask for the fast ones again", async () => {
  const harness = new Harness();
  const outcome = publish(harness, "t", [{ topic: "fast" }, { topic: "slow" }]);
  harness.topics.missing("fast");
  await microtasks();
  // What was learnt of the first one is too old for others by now.
  harness.clock.advance(10_000);
  harness.topics.missing("slow");
  await microtasks();
  assert.deepEqual(
    outcome.answer.failures.map(({ reason }) => reason),
    [Reason.UNKNOWN_TOPIC, Reason.UNKNOWN_TOPIC],
  );
  assert.equal(harness.topics.asked.length, 2);
  harness.assertIdle();
});

test("a batch that names more missing topics than are remembered is answered all the same", async () => {
  const harness = new Harness();
  const names = Array.from({ length: 1_500 }, (_, i) => `missing-${i}`);
  const outcome = publish(harness, "", [...names.map((topic) => ({ topic })), { topic: "t" }]);
  assert.deepEqual(harness.topics.pending, names);
  for (const name of names) harness.topics.missing(name);
  await microtasks();
  harness.turn();
  harness.replicated.storeAll();
  const { stored, failures } = outcome.answer;
  assert.equal(stored, 1);
  assert.equal(failures.length, 1_500);
  assert.deepEqual(failures[0], {
    index: 0,
    reason: Reason.UNAVAILABLE,
    message:
      "topic missing-0 could not be looked up beside more than 1000 others that do not exist; name fewer topics in a batch",
    retryable: true,
  });
  assert.deepEqual(failures.at(-1)!.reason, Reason.UNKNOWN_TOPIC);
  assert.equal(harness.topics.asked.length, 1_500);
  assert.deepEqual(harness.topicLabels(), new Set(["(unknown)", "t"]));
  harness.assertIdle();
});

test("a topic that is gone leaves its ledger behind and nothing else, as soon as nothing of it is under way", async () => {
  const harness = new Harness({ topics: { gone: {}, stays: {} } });
  const told = () =>
    (["stage", "recordBatches", "recordBatchBytes", "recordBatchRecords", "eventsReceived"] as const).map(
      (family) => new Set(harness.metrics[family].snapshot().series.map(([[topic]]) => topic)).size,
    );
  for (const topic of ["gone", "stays"]) publish(harness, topic, [{}]);
  harness.turn();
  harness.topics.forget("gone");
  harness.pipeline.retireTopics();
  assert.deepEqual(told(), [2, 2, 2, 2, 2], "its record batch is in flight");
  harness.replicated.storeAll();
  harness.pipeline.retireTopics();
  assert.deepEqual(told(), [1, 1, 1, 1, 2]);
  // It is created again.
  harness.topics.set("gone");
  publish(harness, "gone", [{}]);
  harness.turn();
  harness.replicated.storeAll();
  assert.deepEqual(told(), [2, 2, 2, 2, 2]);
  assert.equal(harness.metrics.eventsReceived.with("gone").value, 2);
  harness.assertIdle();
});

test("a batch of several topics that is answered when its first one is gone brings no series of that one back", async () => {
  const harness = new Harness({ topics: { gone: {}, stays: {} } });
  publish(harness, "gone", [{}, { topic: "stays" }]);
  harness.turn();
  const [first, second] = [harness.replicated.next(), harness.replicated.next()];
  assert.deepEqual([first.topic, second.topic], ["gone", "stays"]);
  first.stored(0);
  harness.topics.forget("gone");
  harness.pipeline.retireTopics();
  second.stored(0);
  const topics = new Set(harness.metrics.stage.snapshot().series.map(([[topic]]) => topic));
  assert.deepEqual(topics, new Set(["(none)", "stays"]));
  assert.equal(harness.metrics.stage.with("(none)", "acknowledge").revision, 1);
  harness.assertIdle();
});

test("of topics that do not exist the oldest is forgotten first", async () => {
  const source = new FakeTopics();
  const topics = new Topics(source, new FakeClock(), createMetrics(), noAttribution, () => {});
  for (let i = 0; i <= 1_000; i++) {
    const lookup = topics.lookup(`missing-${i}`);
    source.missing(`missing-${i}`);
    await lookup;
  }
  assert.equal(topics.get("missing-0", Durability.REPLICATED), undefined);
  assert.ok(topics.get("missing-1", Durability.REPLICATED)!.error !== undefined);
  assert.ok(topics.get("missing-1000", Durability.REPLICATED)!.error !== undefined);
});

test("what changes about a topic counts from the next event on", () => {
  const harness = new Harness({ topics: { t: { partitions: 1 } } });
  assert.match(harness.publish({ topic: "t", events: [{ partition: 1 }] }).answer.failures[0]!.message, /0 to 0$/);
  harness.topics.set("t", { partitions: 2 });
  const outcome = harness.publish({ topic: "t", events: [{ partition: 1 }] });
  harness.turn();
  harness.replicated.storeAll();
  assert.equal(outcome.answer.stored, 1);
  harness.assertIdle();
});

test("without brokers every legal name is a topic, up to a bound", async () => {
  const topics = new UnassignedTopics();
  const first = topics.topic("t0");
  assert.equal(first?.partitions, 0);
  assert.equal(topics.topic("a b"), undefined);
  for (let i = 1; i < 10_000; i++) assert.ok(topics.topic(`t${i}`) !== undefined);
  assert.equal(topics.topic("one more"), undefined);
  assert.equal(topics.topic("t0"), first);
  await assert.rejects(topics.lookup("one-more"), (error: IngestError) => {
    assert.equal(error.code, Code.RESOURCE_EXHAUSTED);
    assert.match(error.message, /KAFKA_BROKERS/);
    return true;
  });
});

test("an unassigned batch is divided by the Java client's partitions, in order, and what has no key stays together", () => {
  const nowMs = 1_700_000_000_000;
  const events: TestEvent[] = JAVA_VECTORS.flatMap(([key], i) => [
    { key: Buffer.from(key), value: Buffer.from(`a${i}`), headers: [["h", Buffer.from("1")]] },
    { value: Buffer.from(`none${i}`), timestamp: { seconds: BigInt(i), nanos: 5_000_000 } },
    { key: Buffer.from(key), value: Buffer.from(`b${i}`) },
  ]);
  const bytes = transcode(encodeRequest({ topic: "t", events }), nowMs);
  const batches = repartition({ topic: "t", partition: -1, count: events.length, bytes }, 5, 0.7);
  const keyless = batches.filter(({ bytes }) => decode(bytes).some(({ key }) => key === null));
  assert.equal(keyless.length, 1);
  for (const { partition, bytes, count } of batches) {
    assert.ok(hasValidCrc(bytes));
    const expected = events.filter(({ key }) =>
      key === undefined
        ? partition === keyless[0]!.partition
        : (murmur2(key, 0, key.length) & 0x7fff_ffff) % 5 === partition,
    );
    assert.equal(count, expected.length);
    assert.deepEqual(
      decode(bytes),
      expected.map((event) => recordOf(event, nowMs)),
    );
  }
  assert.equal(
    batches.reduce((sum, { count }) => sum + count, 0),
    events.length,
  );
});
