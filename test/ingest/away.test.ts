// PERSISTED events while no broker answers: taken without knowing their topic, and in order when it becomes known.

import assert from "node:assert/strict";
import test from "node:test";
import { Code, IngestError, Reason } from "../../src/errors.ts";
import { Durability } from "../../src/ingest/batch.ts";
import { UNASSIGNED_PARTITION } from "../../src/ingest/producer.ts";
import { Session } from "../../src/ingest/session.ts";
import { ErrorCode, lookupError } from "../../src/kafka/errors.ts";
import { partitionOfKey } from "../../src/wire/murmur2.ts";
import { encodeRequest, type TestEvent } from "../wire/requests.ts";
import { Harness, type HarnessOptions, microtasks, Outcome, type Sent } from "./harness.ts";

const AWAY = new IngestError(Code.UNAVAILABLE, "no broker answers", { retryable: true });

class Away extends Harness {
  readonly #session: Session;

  constructor(options: HarnessOptions = {}) {
    super(options);
    const flow = { pause: () => {}, resume: () => {} };
    const responder = {
      answered: (batch: Parameters<Outcome["answered"]>[0]) => this.#outcomes.shift()!.answered(batch),
      refused: (batch: Parameters<Outcome["answered"]>[0], error: IngestError) =>
        this.#outcomes.shift()!.refused(batch, error),
    };
    this.#session = new Session(this.pipeline, responder, flow, this.clock, this.metrics.publishBytes.with());
  }

  readonly #outcomes: Outcome[] = [];

  /** The next batch of one stream; batches have to be settled in order. */
  next(topic: string, events: readonly TestEvent[], durability: Durability = Durability.PERSISTED): Outcome {
    const outcome = new Outcome();
    this.#outcomes.push(outcome);
    this.#session.publish(encodeRequest({ topic, durability, events }));
    return outcome;
  }

  /** A lookup has found the cluster away; the batch that it was for is taken, and has asked for its topic, `first`, again. */
  async goAway(): Promise<void> {
    const outcome = this.next("first", [{}]);
    this.topics.missing("first", AWAY);
    await microtasks();
    this.turn();
    this.persisted.storeAll();
    assert.equal(outcome.answer.stored, 1);
    this.persisted.all.length = 0;
  }
}

const of = (value: string, key?: string): TestEvent => ({
  value: Buffer.from(value),
  ...(key === undefined ? {} : { key: Buffer.from(key) }),
});

const places = (sent: readonly Sent[]) => sent.map(({ partition, values }) => [partition, ...values] as const);

test("a PERSISTED batch whose topic no broker answers for is taken, unassigned, and counted under its topic", async () => {
  const harness = new Away();
  const outcome = harness.next("new", [of("a"), { ...of("b"), partition: 3 }]);
  assert.deepEqual(harness.topics.asked, ["new"]);
  harness.turn();
  assert.equal(harness.persisted.all.length, 0, "it waits for its lookup");
  harness.topics.missing("new", AWAY);
  await microtasks();
  harness.turn();
  assert.deepEqual(places(harness.persisted.all), [
    [UNASSIGNED_PARTITION, "a"],
    [3, "b"],
  ]);
  harness.persisted.storeAll();
  assert.equal(outcome.answer.stored, 2);
  assert.ok(harness.topicLabels().has("new"));
  harness.assertIdle();
});

test("batches behind it do not wait, also of other topics, and the cluster is asked by one lookup at a time", async () => {
  const harness = new Away();
  await harness.goAway();
  const outcomes = ["a", "b", "c", "a"].map((topic) => harness.next(topic, [{}]));
  harness.turn();
  harness.persisted.storeAll();
  for (const { answer } of outcomes) assert.equal(answer.stored, 1);
  assert.deepEqual(harness.topics.asked, ["first", "first"]);
  // However long that one takes.
  harness.clock.advance(4_000);
  const late = harness.next("d", [{}]);
  harness.turn();
  harness.persisted.storeAll();
  assert.equal(late.answer.stored, 1);
  assert.deepEqual(harness.topics.asked, ["first", "first"]);
  harness.topics.missing("first", AWAY);
  await microtasks();
  harness.next("e", [{}]);
  assert.deepEqual(harness.topics.asked, ["first", "first", "e"]);
  harness.turn();
  harness.persisted.storeAll();
  harness.assertIdle();
});

test("REPLICATED batches of the same topic fail for now, as before", async () => {
  const harness = new Away();
  await harness.goAway();
  const failed = harness.next("first", [{}], Durability.REPLICATED);
  assert.deepEqual(failed.answer.failures, [
    { index: 0, reason: Reason.UNAVAILABLE, message: "no broker answers", retryable: true },
  ]);
  const taken = harness.next("first", [{}]);
  harness.turn();
  harness.persisted.storeAll();
  assert.equal(taken.answer.stored, 1);
  harness.assertIdle();
});

test("some time after it was found away, a batch waits for a lookup again", async () => {
  const harness = new Away();
  await harness.goAway();
  harness.topics.missing("first", AWAY);
  await microtasks();
  harness.clock.advance(1_000);
  harness.next("first", [{}]);
  assert.deepEqual(harness.topics.pending, ["first"]);
  harness.turn();
  assert.equal(harness.persisted.all.length, 0);
  harness.topics.set("first");
  await microtasks();
  harness.turn();
  assert.notEqual(harness.persisted.all[0]?.partition, UNASSIGNED_PARTITION);
  harness.persisted.storeAll();
  harness.assertIdle();
});

for (const [what, code, reason] of [
  ["does not exist", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, Reason.UNKNOWN_TOPIC],
  ["may not be written to", ErrorCode.TOPIC_AUTHORIZATION_FAILED, Reason.NOT_AUTHORIZED],
  ["has no legal name for it", ErrorCode.INVALID_TOPIC_EXCEPTION, Reason.INVALID_TOPIC],
  ["has no leader", ErrorCode.LEADER_NOT_AVAILABLE, Reason.UNAVAILABLE],
] as const) {
  test(`a topic of which the cluster says that it ${what} is not taken`, async () => {
    const harness = new Away();
    const outcome = harness.next("new", [{}]);
    harness.topics.missing("new", lookupError("new", code));
    await microtasks();
    assert.equal(outcome.answer.failures[0]?.reason, reason);
    // Found away by another one meanwhile: the cluster's word holds for a second.
    await harness.goAway();
    assert.equal(harness.next("new", [{}]).answer.failures[0]?.reason, reason);
    harness.assertIdle();
  });
}

test("a topic turns out not to exist once the cluster answers: from then on its events fail", async () => {
  const harness = new Away();
  await harness.goAway();
  harness.topics.missing("first");
  await microtasks();
  assert.equal(harness.next("first", [{}]).answer.failures[0]?.reason, Reason.UNKNOWN_TOPIC);
  // And nothing else is taken without a lookup.
  harness.next("b", [{}]);
  assert.deepEqual(harness.topics.pending, ["b"]);
  harness.topics.set("b");
  await microtasks();
  harness.turn();
  harness.persisted.storeAll();
  harness.assertIdle();
});

test("what was found of a topic while the cluster was away is forgotten when it answers for another one", async () => {
  const harness = new Away();
  await harness.goAway();
  harness.topics.missing("first", AWAY);
  await microtasks();
  const asking = harness.next("other", [{}]);
  harness.turn();
  harness.persisted.storeAll();
  assert.equal(asking.answer.stored, 1);
  harness.topics.set("other");
  await microtasks();
  // It waits for a lookup that succeeds.
  const outcome = harness.next("first", [{}]);
  assert.ok(!outcome.isKnown);
  harness.topics.set("first");
  await microtasks();
  harness.turn();
  harness.persisted.storeAll();
  assert.equal(outcome.answer.stored, 1);
  harness.assertIdle();
});

test("of a PERSISTED batch with several topics those are taken that nobody answered for", async () => {
  const harness = new Away();
  const outcome = harness.next("", [{ topic: "a" }, { topic: "b" }, { topic: "c" }]);
  harness.topics.missing("a", AWAY);
  await microtasks();
  harness.topics.set("b", { partitions: 1 });
  harness.topics.missing("c");
  await microtasks();
  harness.turn();
  assert.deepEqual(
    harness.persisted.all.map(({ topic, partition }) => [topic, partition]),
    [
      ["a", UNASSIGNED_PARTITION],
      ["b", 0],
    ],
  );
  harness.persisted.storeAll();
  assert.deepEqual(
    outcome.answer.failures.map(({ index, reason }) => [index, reason]),
    [[2, Reason.UNKNOWN_TOPIC]],
  );
  harness.assertIdle();
});

test("when the topic becomes known, what is open without a partition goes before what has one", async () => {
  const harness = new Away({ lingerMs: 1_000 });
  await harness.goAway();
  // The first goes at once; the second stays open behind it.
  harness.next("a", [of("1", "k")]);
  harness.turn();
  harness.next("a", [of("2", "k")]);
  harness.turn();
  assert.deepEqual(places(harness.persisted.all), [[UNASSIGNED_PARTITION, "1"]]);
  harness.topics.set("a", { partitions: 8 });
  await microtasks();
  harness.next("a", [of("3", "k")]);
  harness.turn();
  const partition = partitionOfKey(Buffer.from("k"), 0, 1, 8);
  assert.deepEqual(places(harness.persisted.all), [
    [UNASSIGNED_PARTITION, "1"],
    [UNASSIGNED_PARTITION, "2"],
    [partition, "3"],
  ]);
  harness.persisted.storeAll();
  harness.assertIdle();
});

test("the order holds also where the topic becomes known in the middle of a batch's way, named by its events", async () => {
  const harness = new Away({ lingerMs: 1_000 });
  await harness.goAway();
  for (const value of ["1", "2"]) {
    harness.next("t", [{ ...of(value, "k"), topic: "a" }]);
    harness.turn();
  }
  harness.topics.set("a", { partitions: 8 });
  await microtasks();
  harness.next("t", [of("other"), { ...of("3", "k"), topic: "a" }]);
  harness.turn();
  const sent = harness.persisted.all.filter(({ topic }) => topic === "a");
  assert.deepEqual(
    sent.map(({ values }) => values),
    [["1"], ["2"], ["3"]],
  );
  harness.persisted.storeAll();
  harness.assertIdle();
});

test("a topic that the cluster knew is not taken without its partitions when it is gone and nobody answers", async () => {
  const harness = new Away({ topics: { t: {}, gone: {} } });
  harness.next("gone", [{}]);
  harness.turn();
  harness.persisted.storeAll();
  harness.topics.forget("gone");
  await harness.goAway();
  const outcome = harness.next("gone", [{}]);
  assert.ok(harness.topics.pending.includes("gone"));
  harness.topics.missing("gone", AWAY);
  await microtasks();
  assert.equal(outcome.answer.failures[0]?.retryable, true);
  harness.assertIdle();
});

test("what goes beyond the limits that are assumed fails for now only", async () => {
  const harness = new Away({ bytesMax: 8 << 20 });
  await harness.goAway();
  const outcome = harness.next("a", [of("x".repeat(1_100_000)), { partition: 1_000 }, { topic: "not legal" }]);
  await microtasks();
  assert.deepEqual(
    outcome.answer.failures.map(({ reason, retryable }) => [reason, retryable]),
    [
      [Reason.UNAVAILABLE, true],
      [Reason.UNAVAILABLE, true],
      [Reason.INVALID_TOPIC, false],
    ],
  );
  assert.match(outcome.answer.failures[0]!.message, /takes 1048588 .*; no broker answers/);
  harness.assertIdle();
});

test("no more names are taken so than a service without brokers takes", async () => {
  const harness = new Away({ bytesMax: 8 << 20, eventsMax: 20_000 });
  await harness.goAway();
  const events = Array.from({ length: 9_999 }, (_, i) => ({ topic: `a${i}` }));
  harness.next("", events);
  harness.turn();
  harness.persisted.storeAll();
  const outcome = harness.next("one-more", [{}]);
  harness.topics.missing("one-more", AWAY);
  await microtasks();
  assert.equal(outcome.answer.failures[0]?.reason, Reason.UNAVAILABLE);
  harness.assertIdle();
});
