// One stream: its batches stay in order through whatever makes one of them wait, and it is held back meanwhile.

import assert from "node:assert/strict";
import test from "node:test";
import { Code, type IngestError, Reason } from "../../src/errors.ts";
import { type Batch, Durability, type Responder } from "../../src/ingest/batch.ts";
import { type Flow, Session } from "../../src/ingest/session.ts";
import { concat, field, varintField } from "../wire/protobuf.ts";
import { encodeRequest } from "../wire/requests.ts";
import { Harness, microtasks, type HarnessOptions } from "./harness.ts";

class Stream implements Responder, Flow {
  readonly session: Session;
  readonly answers: Batch[] = [];
  readonly refusals: { readonly sequence: number | bigint; readonly error: IngestError }[] = [];
  paused = false;

  constructor({ pipeline, clock, metrics }: Harness) {
    this.session = new Session(pipeline, this, this, clock, metrics.publishBytes.with());
  }

  answered(batch: Batch): void {
    this.answers.push(batch);
  }

  refused({ sequence }: Batch, error: IngestError): void {
    this.refusals.push({ sequence, error });
  }

  pause(): void {
    assert.ok(!this.paused, "paused once");
    this.paused = true;
  }

  resume(): void {
    assert.ok(this.paused, "resumed once");
    this.paused = false;
  }

  /** A batch of one event of this many bytes, for partition 0. */
  publish(sequence: number, { topic = "t", bytes = 1, durability = 0 } = {}): void {
    const value = Buffer.alloc(bytes, String(sequence));
    this.send(encodeRequest({ sequence: BigInt(sequence), topic, durability, events: [{ value, partition: 0 }] }));
  }

  /** The bytes are only lent. */
  send(bytes: Buffer): void {
    this.session.publish(bytes);
    bytes.fill(0xdd);
  }

  get order(): (number | bigint)[] {
    return this.answers.map(({ sequence }) => sequence);
  }
}

/** A harness whose budget has room for one batch of 1,000 bytes beside small ones. */
function narrow(options: HarnessOptions = {}): Harness {
  return new Harness({ bytesMax: 3_000, timeoutMs: 1_000, ...options });
}

/** First bytes of the values that were sent, in order. */
function sentOrder({ replicated, persisted }: Harness): string {
  return [...replicated.all, ...persisted.all].flatMap(({ values }) => values.map((value) => value[0])).join("");
}

test("nothing waits: batches go straight through, and are answered as they settle", () => {
  const harness = new Harness();
  const stream = new Stream(harness);
  stream.publish(1);
  stream.publish(2);
  assert.equal(stream.session.outstanding, 2);
  harness.turn();
  harness.replicated.storeAll();
  assert.deepEqual(stream.order, [1, 2]);
  assert.equal(stream.session.outstanding, 0);
  assert.equal(stream.session.lastSettledSequence, 2);
  assert.equal(stream.paused, false);
  harness.assertIdle();
});

test("a stream that finds no room is paused, keeps its order, and resumes when there is room", async () => {
  const harness = narrow();
  const stream = new Stream(harness);
  stream.publish(1, { bytes: 1_000 });
  stream.publish(2, { bytes: 1_000 });
  assert.ok(stream.paused);
  // These were on their way when it was paused. The third would have room, but may not overtake.
  stream.publish(3);
  stream.publish(4, { bytes: 1_000 });
  assert.equal(harness.pipeline.admission.waitingBatches, 1);
  assert.equal(stream.session.outstanding, 4);
  harness.turn();
  await microtasks();
  assert.equal(sentOrder(harness), "1");
  while (stream.answers.length < 4) {
    assert.ok(harness.pipeline.admission.admittedBytes <= 3_000);
    harness.replicated.storeAll();
    await microtasks();
    harness.turn();
  }
  assert.equal(sentOrder(harness), "1234");
  assert.deepEqual(stream.order, [1, 2, 3, 4]);
  assert.ok(!stream.paused);
  harness.assertIdle();
});

test("a batch that waits too long is refused with the delay after which to retry, and the stream goes on", async () => {
  const harness = narrow({ timeoutMs: 1_000 });
  const stream = new Stream(harness);
  stream.publish(1, { bytes: 1_900 });
  stream.publish(2, { bytes: 2_000 });
  stream.publish(3);
  harness.clock.advance(999);
  await microtasks();
  assert.equal(stream.refusals.length, 0);
  harness.clock.advance(1);
  await microtasks();
  const [{ sequence, error } = assert.fail()] = stream.refusals;
  assert.equal(sequence, 2);
  assert.equal(error.code, Code.RESOURCE_EXHAUSTED);
  assert.ok(error.retryDelayMs !== undefined && error.retryDelayMs >= 100);
  assert.ok(!stream.paused);
  harness.clock.advance(10);
  harness.replicated.storeAll();
  assert.deepEqual(stream.order, [1, 3]);
  assert.equal(stream.session.outstanding, 0);
  assert.equal(stream.session.lastSettledSequence, 3);
  harness.assertIdle();
});

test("a refused batch is settled: it counts in the last settled sequence", async () => {
  const harness = narrow({ timeoutMs: 1_000 });
  const stream = new Stream(harness);
  stream.publish(1, { bytes: 2_000 });
  stream.publish(2, { bytes: 2_000 });
  harness.clock.advance(1_000);
  await microtasks();
  assert.equal(stream.refusals.length, 1);
  assert.ok(stream.session.outstanding > 0);
  assert.equal(stream.session.lastSettledSequence, 0);
  harness.replicated.storeAll();
  assert.equal(stream.session.outstanding, 0);
  assert.equal(stream.session.lastSettledSequence, 2);
  harness.assertIdle();
});

test("a refused batch's sequence is told as far as it can be read", async () => {
  const harness = narrow({ timeoutMs: 1_000 });
  const stream = new Stream(harness);
  stream.publish(1, { bytes: 2_000 });
  stream.send(concat(varintField(1, 2n ** 63n), field(2, Buffer.alloc(2_000, 0xff))));
  stream.send(Buffer.alloc(2_000, 0xff));
  // Each waits when it is its turn.
  for (let i = 0; i < 2; i++) {
    harness.clock.advance(1_000);
    await microtasks();
  }
  assert.deepEqual(
    stream.refusals.map(({ sequence, error }) => [sequence, error.code]),
    [
      [2n ** 63n, Code.RESOURCE_EXHAUSTED],
      [0, Code.RESOURCE_EXHAUSTED],
    ],
  );
  harness.replicated.storeAll();
  harness.assertIdle();
});

test("streams wait in one line: first come, first served", async () => {
  const harness = narrow();
  const streams = Array.from({ length: 4 }, () => new Stream(harness));
  const sizes = [1_800, 1_000, 10, 300];
  // There would be room for the third, but the second came before it.
  for (const [i, stream] of streams.entries()) stream.publish(i + 1, { bytes: sizes[i]! });
  assert.equal(harness.pipeline.admission.waitingBatches, 3);
  const order: (number | bigint)[] = [];
  for (let i = 0; i < 8; i++) {
    harness.turn();
    harness.replicated.storeAll();
    for (const stream of streams) order.push(...stream.answers.splice(0).map(({ sequence }) => sequence));
    await microtasks();
  }
  assert.deepEqual(order, [1, 2, 3, 4]);
  harness.assertIdle();
});

test("a topic that has to be looked up holds its stream, and only its stream, in order", async () => {
  const harness = new Harness();
  const stream = new Stream(harness);
  const other = new Stream(harness);
  stream.publish(1);
  stream.publish(2, { topic: "new" });
  assert.ok(stream.paused);
  stream.publish(3);
  stream.publish(4, { topic: "new" });
  other.publish(9);
  harness.turn();
  assert.equal(sentOrder(harness), "19");
  assert.deepEqual(harness.topics.asked, ["new"]);
  harness.topics.set("new");
  await microtasks();
  assert.ok(!stream.paused);
  harness.turn();
  harness.clock.advance(5);
  assert.deepEqual(
    harness.replicated.all.flatMap(({ topic, values }) => values.map((value) => topic + value)),
    ["t1", "t9", "new2", "new4", "t3"],
  );
  harness.replicated.storeAll();
  assert.equal(stream.session.outstanding, 0);
  harness.assertIdle();
});

test("a batch that waits for a lookup has its part of the budget, once", async () => {
  const harness = new Harness();
  const stream = new Stream(harness);
  stream.publish(1, { topic: "new", bytes: 100 });
  const { admittedBytes } = harness.pipeline.admission;
  assert.ok(admittedBytes > 100);
  harness.topics.set("new");
  await microtasks();
  assert.equal(harness.pipeline.admission.admittedBytes, admittedBytes);
  harness.turn();
  harness.replicated.storeAll();
  harness.assertIdle();
});

test("a topic that does not exist fails its events, and the stream goes on", async () => {
  const harness = new Harness();
  const stream = new Stream(harness);
  stream.publish(1, { topic: "missing" });
  stream.publish(2);
  harness.topics.missing("missing");
  await microtasks();
  harness.turn();
  harness.replicated.storeAll();
  const [first] = stream.answers;
  assert.deepEqual(first!.failures, [
    { index: 0, reason: Reason.UNKNOWN_TOPIC, message: "topic missing does not exist", retryable: false },
  ]);
  assert.deepEqual(stream.order, [1, 2]);
  // Counted under one label, because clients make up such names.
  assert.equal(harness.metrics.eventsFailed.with("(unknown)", "unknown_topic").value, 1);
  harness.assertIdle();
});

test("batches without an outcome are counted, those in line included", async () => {
  const harness = narrow();
  const stream = new Stream(harness);
  for (let sequence = 1; sequence <= 5; sequence++) stream.publish(sequence, { bytes: 1_000 });
  assert.equal(stream.session.outstanding, 5);
  for (let left = 5; left > 0; left = stream.session.outstanding) {
    harness.turn();
    harness.replicated.storeAll();
    await microtasks();
    assert.ok(stream.session.outstanding < left);
  }
  assert.deepEqual(stream.order, [1, 2, 3, 4, 5]);
});

test("the last settled sequence stops at the first batch that is not settled", () => {
  const harness = new Harness({ topics: { t: { partitions: 4 } } });
  const stream = new Stream(harness);
  for (const [sequence, partition] of [
    [11, 0],
    [5, 1],
    [7, 2],
  ] as const) {
    stream.send(encodeRequest({ sequence: BigInt(sequence), topic: "t", events: [{ partition }] }));
  }
  harness.turn();
  const [a, b, c] = harness.replicated.sent.splice(0);
  b!.stored(0);
  assert.equal(stream.session.outstanding, 3);
  assert.equal(stream.session.lastSettledSequence, 0);
  a!.stored(0);
  assert.equal(stream.session.outstanding, 1);
  // In the order in which they came, not in that of their numbers.
  assert.equal(stream.session.lastSettledSequence, 5);
  c!.stored(0);
  assert.equal(stream.session.outstanding, 0);
  assert.equal(stream.session.lastSettledSequence, 7);
});

test("a stream that is over takes nothing more from its line, and gives back what it was given", async () => {
  for (const wait of ["room", "topic"] as const) {
    const harness = narrow();
    const stream = new Stream(harness);
    stream.publish(1, { bytes: 1_000 });
    if (wait === "room") stream.publish(2, { bytes: 2_000 });
    else stream.publish(2, { topic: "new" });
    stream.publish(3);
    stream.session.close();
    harness.turn();
    harness.replicated.storeAll();
    harness.topics.set("new");
    await microtasks();
    harness.turn();
    // What was taken before is stored; the rest is neither stored nor answered.
    assert.equal(sentOrder(harness), "1");
    assert.deepEqual(stream.order, [1]);
    assert.equal(stream.refusals.length, 0);
    harness.assertIdle();
  }
});

test("a stream that is over while its batch waits too long is told nothing", async () => {
  const harness = narrow({ timeoutMs: 1_000 });
  const stream = new Stream(harness);
  stream.publish(1, { bytes: 2_000 });
  stream.publish(2, { bytes: 2_000 });
  stream.session.close();
  harness.clock.advance(1_000);
  await microtasks();
  assert.equal(stream.refusals.length, 0);
  harness.replicated.storeAll();
  harness.assertIdle();
});

test("a stream that mixes durabilities keeps its order, refused batches in between or not", () => {
  const harness = new Harness();
  const stream = new Stream(harness);
  stream.publish(1, { durability: Durability.REPLICATED });
  stream.send(Buffer.from([0xff]));
  stream.publish(2, { durability: Durability.PERSISTED });
  assert.equal(sentOrder(harness), "1");
  harness.turn();
  assert.equal(sentOrder(harness), "12");
  assert.equal(stream.refusals.length, 1);
  harness.replicated.storeAll();
  harness.persisted.storeAll();
  harness.assertIdle();
});

test("bytes received are counted, taken or not", async () => {
  const harness = narrow();
  const stream = new Stream(harness);
  const sizes = [1_000, 2_000, 10].map((bytes, i) => {
    const request = encodeRequest({ sequence: BigInt(i), topic: "t", events: [{ value: Buffer.alloc(bytes) }] });
    stream.send(request);
    return request.length;
  });
  assert.equal(
    harness.metrics.publishBytes.with().value,
    sizes.reduce((a, b) => a + b),
  );
  stream.session.close();
  harness.turn();
  harness.replicated.storeAll();
  await microtasks();
  harness.assertIdle();
});
