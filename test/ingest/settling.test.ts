// Every event gets one outcome, whoever tells it in whatever pieces.

import assert from "node:assert/strict";
import test from "node:test";
import { Code, IngestError, Reason } from "../../src/errors.ts";
import { Durability } from "../../src/ingest/batch.ts";
import { Harness, UNAVAILABLE } from "./harness.ts";

const rejected = new IngestError(Code.INVALID_ARGUMENT, "refused for good", { reason: Reason.REJECTED });

test("record batches are shared by batches, and each is answered when its own events are settled", () => {
  const harness = new Harness();
  const first = harness.publishValues(["a", "b"]);
  const second = harness.publishValues(["c"]);
  const third = harness.publishValues(["d", "e", "f"]);
  harness.turn();
  const sent = harness.replicated.next();
  sent.stored(100, 0, 3);
  assert.ok(first.isKnown && second.isKnown && !third.isKnown);
  sent.failed(rejected, 4, 1);
  assert.ok(!third.isKnown);
  sent.stored(103, 3, 1);
  sent.stored(104, 5, 1);
  assert.deepEqual(first.placements, [["t", 0, 100, 2]]);
  assert.deepEqual(second.placements, [["t", 0, 102, 1]]);
  assert.deepEqual(third.placements, [
    ["t", 0, 103, 1],
    ["t", 0, 104, 1],
  ]);
  assert.equal(third.answer.stored, 2);
  assert.deepEqual(third.answer.failures, [
    { index: 1, reason: Reason.REJECTED, message: "refused for good", retryable: false },
  ]);
  harness.assertIdle();
});

test("a batch over several partitions and record batches is answered when the last of them is settled", () => {
  const harness = new Harness({ topics: { t: { partitions: 3 } }, recordBatchBytesMax: 400 });
  const events = Array.from({ length: 12 }, (_, i) => ({ partition: i % 3, value: Buffer.alloc(100, "x") }));
  const outcome = harness.publish({ topic: "t", events });
  harness.clock.advance(5);
  let offset = 0;
  while (harness.replicated.sent.length > 0) {
    assert.ok(!outcome.isKnown);
    const sent = harness.replicated.next();
    sent.stored(offset);
    offset += sent.count;
  }
  assert.equal(outcome.answer.stored, 12);
  assert.equal(
    outcome.placements.reduce((sum, [, , , count]) => sum + count, 0),
    12,
  );
  harness.assertIdle();
});

test("failures are listed in the order of their events, whatever settles first", () => {
  const harness = new Harness({ topics: { t: { partitions: 4 } } });
  const events = [3, 9, 2, 1, 0, 3, 2, 9, 1].map((partition) => ({ partition }));
  const outcome = harness.publish({ topic: "t", events });
  harness.turn();
  for (const sent of harness.replicated.sent.toReversed()) {
    for (let record = sent.count - 1; record >= 0; record--) sent.failed(UNAVAILABLE, record, 1);
  }
  const { stored, failures } = outcome.answer;
  assert.equal(stored, 0);
  assert.deepEqual(
    failures.map(({ index }) => index),
    events.map((_, index) => index),
  );
  assert.deepEqual(
    failures.map(({ reason, retryable }) => [reason, retryable]),
    events.map(({ partition }) => (partition === 9 ? [Reason.INVALID_PARTITION, false] : [Reason.UNAVAILABLE, true])),
  );
  assert.equal(harness.metrics.eventsFailed.with("t", "unavailable").value, 7);
  assert.equal(harness.metrics.eventsFailed.with("t", "invalid_partition").value, 2);
  harness.assertIdle();
});

test("what is persisted has no placements", () => {
  const harness = new Harness();
  const outcome = harness.publish({ topic: "t", durability: Durability.PERSISTED, events: [{}, {}] });
  harness.turn();
  harness.persisted.storeAll(-1);
  assert.equal(outcome.answer.stored, 2);
  assert.deepEqual(outcome.placements, []);
  assert.equal(harness.metrics.eventsStored.with("t", "persisted").value, 2);
  harness.assertIdle();
});

test("settling a record twice is caught, and changes nothing", () => {
  const twice: ((settle: (first: number, count: number) => void) => void)[] = [
    (settle) => [settle(0, 4), settle(0, 4)],
    (settle) => [settle(0, 1), settle(0, 1)],
    (settle) => [settle(2, 1), settle(0, 4)],
    (settle) => [settle(0, 2), settle(1, 1)],
    (settle) => [settle(3, 1), settle(1, 3)],
    (settle) => settle(0, 5),
    (settle) => settle(4, 1),
    (settle) => settle(-1, 1),
  ];
  for (const [i, settle] of twice.entries()) {
    for (const kind of ["stored", "failed"] as const) {
      const harness = new Harness();
      harness.publishValues(["a", "b"]);
      harness.publishValues(["c", "d"]);
      harness.turn();
      const sent = harness.replicated.next();
      let settled = 0;
      const tell = (first: number, count: number): void => {
        if (kind === "stored") sent.stored(0, first, count);
        else sent.failed(rejected, first, count);
        settled += count;
      };
      assert.throws(() => settle(tell), /a record is settled once/, `${kind} ${i}`);
      const { stored, failed, inFlight } = harness.ledger();
      assert.deepEqual([stored + failed, inFlight], [settled, 4 - settled]);
    }
  }
});

test("the ledger is balanced at every step", () => {
  const harness = new Harness({ topics: { t: { partitions: 2 } } });
  harness.publish({ topic: "t", events: [{ partition: 0 }, { partition: 5 }, { partition: 1 }, { topic: "a b" }] });
  harness.assertBalanced();
  assert.deepEqual(harness.ledger(), { received: 4, stored: 0, failed: 2, inFlight: 2 });
  harness.turn();
  harness.replicated.next().failed(UNAVAILABLE);
  assert.deepEqual(harness.ledger(), { received: 4, stored: 0, failed: 3, inFlight: 1 });
  harness.replicated.next().stored(0);
  assert.deepEqual(harness.ledger(), { received: 4, stored: 1, failed: 3, inFlight: 0 });
  harness.assertIdle();
});

test("each stage is timed by topic: admit, queue, produce, acknowledge", () => {
  const harness = new Harness();
  harness.publishValues(["a"]);
  harness.clock.advance(7);
  const sent = harness.replicated.next();
  sent.batch.sentAtMs = harness.clock.monotonic() + 10;
  harness.clock.advance(30);
  sent.stored(0);
  const seconds = Object.fromEntries(
    harness.metrics.stage.snapshot().series.map(([labels, values]) => [labels.join(), (values as number[]).at(-1)]),
  );
  assert.deepEqual(seconds, { "t,admit": 0, "t,queue": 0.017, "t,produce": 0.02, "t,acknowledge": 0.037 });
});

test("a batch whose durability has no room is refused whole, before anything of it is counted", () => {
  const harness = new Harness();
  const full = new IngestError(Code.RESOURCE_EXHAUSTED, "full", { retryable: true, retryDelayMs: 700 });
  harness.persisted.refuses = full;
  const publish = (durability: Durability, events: readonly { readonly value: Buffer }[]) =>
    harness.publish({ sequence: 9n, topic: "t", durability, events });
  const refused = publish(Durability.PERSISTED, [{ value: Buffer.from("v") }]);
  assert.deepEqual([refused.refusal, refused.batch?.sequence], [full, 9]);
  assert.equal(harness.ledger().received, 0);
  harness.assertIdle();
  assert.equal(publish(Durability.PERSISTED, []).answer.stored, 0);
  const other = publish(Durability.REPLICATED, [{ value: Buffer.from("v") }]);
  harness.persisted.refuses = undefined;
  const later = publish(Durability.PERSISTED, [{ value: Buffer.from("v") }]);
  harness.turn();
  harness.replicated.storeAll(5);
  harness.persisted.storeAll();
  assert.deepEqual([other.answer.stored, later.answer.stored], [1, 1]);
  harness.assertIdle();
});
