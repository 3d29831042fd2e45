// When the open record batch of a partition is sealed, and that nothing changes places by it.

import assert from "node:assert/strict";
import test from "node:test";
import { Durability } from "../../src/ingest/batch.ts";
import { IN_FLIGHT_MAX } from "../../src/ingest/accumulator.ts";
import { RECORD_BATCH_HEADER_BYTES } from "../../src/wire/record-batch.ts";
import { Harness } from "./harness.ts";

test("an idle partition is sealed at the end of the turn, with everything that came in it", () => {
  const harness = new Harness();
  harness.publishValues(["a", "b"]);
  harness.publishValues(["c"]);
  assert.equal(harness.replicated.sent.length, 0);
  harness.turn();
  assert.deepEqual(harness.replicated.next().values, ["a", "b", "c"]);
  assert.deepEqual(harness.sealed(), { idle: 1 });
});

test("each partition and each topic has a record batch of its own", () => {
  const harness = new Harness({ topics: { t: {}, u: {} } });
  const value = Buffer.from("v");
  harness.publish({
    topic: "t",
    events: [
      { partition: 0, value },
      { partition: 1, value },
      { topic: "u", partition: 0, value },
      { partition: 0, value },
    ],
  });
  harness.turn();
  assert.deepEqual(
    harness.replicated.sent.map(({ topic, partition, count }) => [topic, partition, count]),
    [
      ["t", 0, 2],
      ["t", 1, 1],
      ["u", 0, 1],
    ],
  );
});

test("what comes while a batch is in flight goes out together when it is settled", () => {
  const harness = new Harness();
  harness.publishValues(["a"]);
  harness.turn();
  for (const value of ["b", "c", "d"]) {
    harness.publishValues([value]);
    harness.turn();
  }
  const first = harness.replicated.next();
  assert.equal(harness.replicated.sent.length, 0);
  first.stored(0);
  assert.deepEqual(harness.replicated.next().values, ["b", "c", "d"]);
  assert.deepEqual(harness.sealed(), { idle: 1, settled: 1 });
});

test("one part of a batch that is settled does not let the next one go", () => {
  const harness = new Harness();
  harness.publishValues(["a", "b"]);
  harness.turn();
  harness.publishValues(["c"]);
  harness.turn();
  const first = harness.replicated.next();
  first.stored(0, 0, 1);
  assert.equal(harness.replicated.sent.length, 0);
  first.stored(1, 1, 1);
  assert.deepEqual(harness.replicated.next().values, ["c"]);
});

test("a batch behind one in flight waits for its linger, and no longer", () => {
  const harness = new Harness({ lingerMs: 5 });
  harness.publishValues(["a"]);
  harness.turn();
  harness.clock.advance(100);
  harness.publishValues(["b"]);
  harness.turn();
  harness.clock.advance(3);
  harness.publishValues(["c"]);
  harness.turn();
  harness.clock.advance(1);
  assert.deepEqual(
    harness.replicated.sent.map(({ values }) => values),
    [["a"]],
  );
  harness.clock.advance(1);
  assert.deepEqual(
    harness.replicated.sent.map(({ values }) => values),
    [["a"], ["b", "c"]],
  );
  assert.deepEqual(harness.sealed(), { idle: 1, linger: 1 });
});

/** What one answer settles is settled; after that comes what had to wait for it. */
const afterAnswer = () => Promise.resolve();

test("while the broker is busy small batches of idle partitions wait for an answer, and go with what it makes ready", async () => {
  const harness = new Harness();
  harness.publishValues(["a"], 0);
  harness.turn();
  harness.replicated.isBusy = true;
  for (const [value, partition] of [
    ["b", 0],
    ["c", 1],
    ["d", 2],
    ["e", 1],
  ] as const) {
    harness.publishValues([value], partition);
    harness.turn();
  }
  const first = harness.replicated.next();
  assert.deepEqual(harness.replicated.sent, []);
  harness.replicated.isBusy = false;
  first.stored(0);
  await afterAnswer();
  assert.deepEqual(
    harness.replicated.sent.map(({ values }) => values),
    [["b"], ["c", "e"], ["d"]],
  );
  assert.deepEqual(harness.sealed(), { idle: 1, settled: 1, answered: 2 });
});

test("a broker that is still busy after an answer is waited for once more, and not beyond the linger", async () => {
  const harness = new Harness({ lingerMs: 5 });
  harness.publishValues(["a"], 0);
  harness.turn();
  harness.replicated.isBusy = true;
  harness.publishValues(["b"], 1);
  harness.turn();
  harness.replicated.next().stored(0);
  await afterAnswer();
  assert.deepEqual(harness.replicated.sent, []);
  harness.clock.advance(5);
  assert.deepEqual(harness.replicated.next().values, ["b"]);
  assert.deepEqual(harness.sealed(), { idle: 1, linger: 1 });
});

test("a large batch of an idle partition does not wait for a busy broker", () => {
  const harness = new Harness();
  harness.replicated.isBusy = true;
  harness.publishValues(["x".repeat(20_000)], 0);
  harness.turn();
  assert.deepEqual(harness.replicated.sent, []);
  harness.publishValues(["y".repeat(20_000)], 0);
  harness.turn();
  assert.equal(harness.replicated.next().count, 2);
  assert.deepEqual(harness.sealed(), { idle: 1 });
});

test("without a linger nothing waits for a busy broker", () => {
  const harness = new Harness({ lingerMs: 0 });
  harness.replicated.isBusy = true;
  harness.publishValues(["a"], 0);
  harness.turn();
  assert.deepEqual(harness.replicated.next().values, ["a"]);
});

test("what waits for a busy broker goes first when a stream changes its durability", () => {
  const harness = new Harness();
  harness.replicated.isBusy = true;
  const publish = (value: string, durability: Durability, previous: Durability): void => {
    harness.publish({ topic: "t", durability, events: [{ value: Buffer.from(value), partition: 0 }] }, previous);
    harness.turn();
  };
  publish("a", Durability.REPLICATED, Durability.UNSPECIFIED);
  assert.deepEqual(harness.journal, []);
  publish("b", Durability.PERSISTED, Durability.REPLICATED);
  assert.deepEqual(
    harness.journal.map(({ values }) => values),
    [["a"], ["b"]],
  );
});

test("what is open is told with its age, and once only", () => {
  const harness = new Harness({ lingerMs: 50, topics: { t: { partitions: 2 } } });
  const { accumulatorEvents, accumulatorBytes, accumulatorOldestAge } = harness.metrics;
  const told = () => [accumulatorEvents.with().snapshot(), accumulatorOldestAge.with().snapshot()];
  assert.deepEqual(told(), [0, 0]);
  harness.publishValues(["sent"], 0);
  harness.turn();
  assert.deepEqual(told(), [0, 0]);
  harness.publishValues(["a", "b"], 0);
  harness.turn();
  harness.clock.advance(20);
  harness.publishValues(["c"], 0);
  harness.publishValues(["d", "e", "f"], 1);
  assert.deepEqual(told(), [6, 0.02], "before the end of the turn");
  assert.ok(accumulatorBytes.with().snapshot() > 2 * 61);
  harness.turn();
  assert.deepEqual(told(), [3, 0.02], "the idle partition was sealed");
  harness.clock.advance(30);
  assert.deepEqual([...told(), accumulatorBytes.with().snapshot()], [0, 0, 0]);
});

test("the lingers of many partitions end each in its own time, by one timer", () => {
  const harness = new Harness({ lingerMs: 5, topics: { t: { partitions: 4 } } });
  for (let partition = 0; partition < 4; partition++) harness.publishValues(["first"], partition);
  harness.turn();
  const ends: [number, number][] = [];
  for (let partition = 0; partition < 4; partition++) {
    harness.publishValues(["second"], partition);
    harness.turn();
    assert.equal(harness.clock.timers, 1);
    harness.clock.advance(1);
  }
  for (let ms = 4; ms < 20; ms++) {
    for (const { partition, values } of harness.replicated.sent.splice(0)) {
      if (values[0] === "second") ends.push([partition, ms]);
    }
    harness.clock.advance(1);
  }
  assert.deepEqual(ends, [
    [0, 5],
    [1, 6],
    [2, 7],
    [3, 8],
  ]);
  assert.equal(harness.clock.timers, 0);
});

test("a linger that was overtaken by a settlement leaves nothing behind", () => {
  const harness = new Harness({ lingerMs: 5 });
  harness.publishValues(["a"]);
  harness.turn();
  harness.publishValues(["b"]);
  harness.turn();
  harness.replicated.next().stored(0);
  assert.deepEqual(harness.replicated.next().values, ["b"]);
  harness.publishValues(["c"]);
  harness.turn();
  // The timer of b falls due, and must not seal c before its own time.
  harness.clock.advance(5);
  harness.clock.advance(0);
  assert.deepEqual(
    harness.replicated.sent.map(({ values }) => values),
    [["c"]],
  );
  assert.deepEqual(harness.sealed(), { idle: 1, settled: 1, linger: 1 });
});

/** Brings five batches of partition 0 in flight, each let go by its linger. */
function fiveInFlight(harness: Harness): void {
  for (let i = 0; i < IN_FLIGHT_MAX; i++) {
    harness.publishValues([`in flight ${i}`]);
    harness.turn();
    harness.clock.advance(5);
  }
  assert.equal(harness.replicated.sent.length, IN_FLIGHT_MAX);
}

test("with five in flight a linger that ends seals nothing, but the first settlement after it does", () => {
  const harness = new Harness({ lingerMs: 5 });
  fiveInFlight(harness);
  harness.publishValues(["later"]);
  harness.turn();
  harness.clock.advance(50);
  harness.publishValues(["still later"]);
  harness.turn();
  harness.clock.advance(50);
  assert.equal(harness.replicated.sent.length, IN_FLIGHT_MAX);
  harness.replicated.next().stored(0);
  assert.deepEqual(harness.replicated.sent.at(-1)!.values, ["later", "still later"]);
  assert.equal(harness.clock.timers, 0);
});

test("what is overdue behind five in flight is sealed as well when everything has to be", async () => {
  const harness = new Harness({ lingerMs: 5 });
  fiveInFlight(harness);
  harness.publishValues(["overdue"]);
  harness.turn();
  harness.clock.advance(50);
  const drain = harness.pipeline.drain(0);
  assert.deepEqual(harness.replicated.sent.at(-1)!.values, ["overdue"]);
  // And it leaves no trace: the next one waits for its own linger.
  harness.publishValues(["next"]);
  harness.turn();
  harness.replicated.next().stored(0);
  assert.deepEqual(harness.replicated.sent.at(-1)!.values, ["overdue"]);
  harness.clock.advance(1);
  await drain;
});

test("a full batch is sealed in the middle of a turn, whatever is in flight", () => {
  const recordBatchBytesMax = 1_000;
  const harness = new Harness({ recordBatchBytesMax });
  const values = Array.from({ length: 40 }, (_, i) => String(i).padEnd(100, "."));
  const outcome = harness.publishValues(values);
  const sent = harness.replicated.all;
  assert.equal(sent.length, 4);
  harness.clock.advance(5);
  assert.deepEqual(
    sent.flatMap((batch) => batch.values),
    values,
  );
  for (const { length } of sent) assert.ok(length <= recordBatchBytesMax);
  // Another record would not have fitted in.
  for (const { length } of sent.slice(0, -1)) assert.ok(length > recordBatchBytesMax - 110);
  harness.replicated.storeAll();
  assert.equal(outcome.answer.stored, 40);
  harness.assertIdle();
});

test("batches are full to the byte", () => {
  const sized = new Harness();
  sized.publishValues(["x".repeat(100), "x".repeat(100)]);
  sized.turn();
  const { length } = sized.replicated.next();
  for (const [recordBatchBytesMax, batches] of [
    [length, 1],
    [length - 1, 2],
  ] as const) {
    const harness = new Harness({ recordBatchBytesMax });
    harness.publishValues(["x".repeat(100), "x".repeat(100)]);
    harness.clock.advance(5);
    assert.equal(harness.replicated.sent.length, batches);
  }
});

test("a topic's own limit is kept where it is smaller than the service's", () => {
  const harness = new Harness({ recordBatchBytesMax: 10_000, topics: { t: { maxBatchBytes: 500 } } });
  harness.publishValues(Array.from({ length: 20 }, () => "x".repeat(100)));
  harness.turn();
  assert.equal(harness.replicated.storeAll(), 5);
  for (const { length } of harness.replicated.all) assert.ok(length <= 500);
  harness.assertIdle();
});

test("a record that is too large for a batch has one to itself, in its place in the order", () => {
  const harness = new Harness({
    recordBatchBytesMax: 1_000,
    bytesMax: 4 << 20,
    topics: { t: { maxBatchBytes: 2 << 20 } },
  });
  const large = "L".repeat(1_500_000);
  const outcome = harness.publishValues(["a", large, "b", large]);
  harness.turn();
  assert.deepEqual(
    harness.replicated.sent.map(({ values }) => values),
    [["a"], [large], ["b"], [large]],
  );
  assert.ok(harness.replicated.sent[1]!.length < large.length + RECORD_BATCH_HEADER_BYTES + 30);
  harness.replicated.storeAll();
  assert.equal(outcome.answer.stored, 4);
  harness.assertIdle();
});

test("events of one partition keep their order over many batches, whatever settles when", () => {
  const harness = new Harness({ recordBatchBytesMax: 600, lingerMs: 5 });
  const expected: string[] = [];
  for (let turn = 0; turn < 30; turn++) {
    const values = Array.from({ length: 1 + (turn % 7) }, (_, i) => `${turn}-${i}`.padEnd(80, "."));
    expected.push(...values);
    harness.publishValues(values);
    if (turn % 3 === 0) harness.turn();
    if (turn % 4 === 0) harness.clock.advance(4);
    // Not the oldest: settling out of order must not matter.
    if (turn % 5 === 0) harness.replicated.sent.pop()?.stored(-1);
  }
  harness.turn();
  harness.replicated.storeAll();
  assert.deepEqual(
    harness.replicated.all.flatMap(({ values }) => values),
    expected,
  );
  harness.assertIdle();
});

test("a stream that changes its durability has what came before on its way first", () => {
  const harness = new Harness();
  const event = (value: string) => ({ value: Buffer.from(value), partition: 0 });
  const order: string[] = [];
  const publish = (value: string, durability: Durability, previous: Durability): void => {
    harness.publish({ topic: "t", durability, events: [event(value)] }, previous);
  };
  const note = (): void => {
    for (const sink of [harness.replicated, harness.persisted]) {
      for (const { values } of sink.sent.splice(0)) order.push(...values);
    }
  };
  publish("a", Durability.REPLICATED, Durability.UNSPECIFIED);
  publish("b", Durability.REPLICATED, Durability.REPLICATED);
  publish("c", Durability.PERSISTED, Durability.REPLICATED);
  // Before the turn ends: a and b were sealed because of c.
  note();
  assert.deepEqual(order, ["a", "b"]);
  harness.turn();
  note();
  publish("d", Durability.REPLICATED, Durability.PERSISTED);
  harness.turn();
  // d waits, because a and b are still in flight; it lingers.
  publish("e", Durability.PERSISTED, Durability.REPLICATED);
  note();
  harness.turn();
  harness.clock.advance(10);
  note();
  assert.deepEqual(order, ["a", "b", "c", "d", "e"]);
  assert.deepEqual(harness.sealed(), { flush: 2, idle: 1, linger: 1 });
});

test("draining seals what is open and waits until the last batch is answered", async () => {
  const harness = new Harness({ lingerMs: 1_000 });
  harness.publishValues(["a"]);
  harness.turn();
  harness.publishValues(["b"]);
  harness.turn();
  let drained = 0;
  const drains = [1, 2].map(() =>
    harness.pipeline.drain(harness.clock.now() + 60_000).then(() => {
      drained++;
    }),
  );
  harness.replicated.next().stored(0);
  await Promise.resolve();
  assert.equal(drained, 0);
  assert.deepEqual(harness.replicated.sent[0]!.values, ["b"]);
  harness.replicated.next().stored(1);
  await Promise.all(drains);
  assert.equal(drained, 2);
  await harness.pipeline.drain(0);
  harness.assertIdle();
});

test("draining ends at its deadline", async () => {
  const harness = new Harness();
  harness.publishValues(["a"]);
  const drain = harness.pipeline.drain(harness.clock.now() + 100);
  harness.clock.advance(100);
  await drain;
  assert.equal(harness.pipeline.unsettledBatches, 1);
});
