import assert from "node:assert/strict";
import test from "node:test";
import { bottleneckOf, type Measured } from "../../../src/admin/live/bottleneck.ts";
import type { Stage } from "../../../src/admin/live/model.ts";

const stage = (mean: number, p99 = mean * 2) => ({ mean, p99 });

/** A service that is well. */
const well: Measured = {
  answersPerSecond: 100,
  stages: { admit: stage(0.0002), queue: stage(0.004), produce: stage(0.003), acknowledge: stage(0.008) },
  admissionWaiting: 0,
  admittedBytesLimit: 64 * 1024 ** 2,
  kafkaQueuedBytes: 1000,
  brokerConnections: 4,
  brokers: [
    { name: "a:9092", mean: 0.003, inFlight: 2, silentSeconds: 0 },
    { name: "b:9092", mean: 0.004, inFlight: 1, silentSeconds: 0.2 },
  ],
  spoolSync: 0.002,
  workers: [
    { name: "0", cpu: 0.4, eventLoopDelayMax: 0.01, load: 1.1 },
    { name: "1", cpu: 0.3, eventLoopDelayMax: 0.01, load: 0.9 },
  ],
  imbalance: 1.1,
  eventsPerSecond: 2000,
};

const stages = (change: Partial<Record<Stage, { mean: number; p99: number }>>) => ({ ...well.stages, ...change });
const nothing = stage(Number.NaN);

test("a service that is well says how soon it answers, and an idle one that nothing comes in", () => {
  assert.deepEqual(bottleneckOf(well), {
    stage: "none",
    sentence: "nothing is held up: 99 % of answers come within 16 ms",
    broker: null,
    worker: null,
    notes: [],
  });
  const idle = {
    ...well,
    answersPerSecond: 0,
    eventsPerSecond: 0,
    stages: { admit: nothing, queue: nothing, produce: nothing, acknowledge: nothing },
    brokers: [],
    spoolSync: Number.NaN,
    kafkaQueuedBytes: 0,
    brokerConnections: 0,
  };
  assert.equal(bottleneckOf(idle).sentence, "nothing comes in");
});

test("a slow broker is named, also when batches wait longest where nothing is wrong", () => {
  const slow = {
    ...well,
    brokers: [{ name: "a:9092", mean: 0.24, inFlight: 5, silentSeconds: 0.1 }, well.brokers[1]!],
    stages: stages({ admit: stage(3), queue: stage(1.2), produce: stage(0.24), acknowledge: stage(4.4) }),
    admissionWaiting: 40,
  };
  const found = bottleneckOf(slow);
  assert.equal(found.stage, "produce");
  assert.equal(found.broker, "a:9092");
  assert.equal(found.sentence, "produce: broker a:9092 takes 240 ms a request");
  assert.deepEqual(found.notes, [
    "40 batches wait for room in the byte budget because of it",
    "the other brokers take 4 ms at most",
  ]);
});

test("a broker that says nothing is told apart from one that has nothing to say", () => {
  const silent = { name: "b:9092", mean: Number.NaN, inFlight: 5, silentSeconds: 12 };
  const found = bottleneckOf({ ...well, brokers: [well.brokers[0]!, silent] });
  assert.equal(found.sentence, "produce: broker b:9092 has not answered any of its 5 requests for 12 s");
  assert.equal(bottleneckOf({ ...well, brokers: [{ ...silent, inFlight: 0 }] }).stage, "none");
});

test("no connection to any broker is told only if something waits for one", () => {
  const away = { ...well, brokerConnections: 0, kafkaQueuedBytes: 12 * 1024 ** 2, brokers: [] };
  assert.equal(bottleneckOf(away).sentence, "produce: no broker is connected, and 12 MiB wait for Kafka");
  assert.equal(bottleneckOf({ ...away, kafkaQueuedBytes: 0 }).stage, "none");
  assert.equal(bottleneckOf({ ...away, brokerConnections: undefined }).stage, "none");
});

test("a full byte budget is admission, also if no batch has got through yet", () => {
  const full = {
    ...well,
    admissionWaiting: 9,
    stages: stages({ admit: stage(1.5), acknowledge: stage(1.6) }),
  };
  const found = bottleneckOf(full);
  assert.equal(found.stage, "admit");
  assert.equal(
    found.sentence,
    "admit: batches wait 1.5 s (p99 3 s) for room in the byte budget (ADMITTED_BYTES_MAX, 64 MiB a worker)",
  );
  assert.deepEqual(found.notes, []);
  const blocked = { ...full, stages: { admit: nothing, queue: nothing, produce: nothing, acknowledge: nothing } };
  assert.equal(
    bottleneckOf(blocked).sentence,
    "admit: batches wait for room in the byte budget (ADMITTED_BYTES_MAX, 64 MiB a worker)",
  );
});

test("a slow disk, a long queue, a worker without CPU and one that stands still are each told as that", () => {
  assert.equal(
    bottleneckOf({ ...well, spoolSync: 0.4 }).sentence,
    "produce: the disk takes 400 ms a sync of the spool",
  );
  const queued = { ...well, stages: stages({ queue: stage(0.5), acknowledge: stage(0.51) }) };
  assert.equal(bottleneckOf(queued).sentence, "queue: events wait 500 ms (p99 1 s) until their record batch is sent");
  const busy = bottleneckOf({ ...queued, workers: [well.workers[0]!, { ...well.workers[1]!, cpu: 0.99 }] });
  assert.deepEqual([busy.stage, busy.worker], ["worker", "1"]);
  assert.match(busy.sentence, /^worker 1: it has no CPU left/);
  const still = { ...well, workers: [well.workers[0]!, { ...well.workers[1]!, eventLoopDelayMax: 3.25 }] };
  assert.equal(bottleneckOf(still).sentence, "worker 1: its event loop stood still for 3.25 s");
  // A core that is used is no bottleneck while answers come in time.
  assert.equal(bottleneckOf({ ...well, workers: [{ ...well.workers[0]!, cpu: 1 }] }).stage, "none");
});

test("what waits for Kafka is a note if it has most of the budget, though no broker is slow", () => {
  const full = { ...well, admissionWaiting: 40, stages: stages({ admit: stage(1.5), acknowledge: stage(1.6) }) };
  const held = bottleneckOf({ ...full, kafkaQueuedBytes: 90 * 1024 ** 2 });
  assert.equal(held.stage, "admit");
  assert.deepEqual(held.notes, ["90 MiB wait for Kafka, which may be what holds the budget"]);
  assert.deepEqual(bottleneckOf({ ...full, kafkaQueuedBytes: 30 * 1024 ** 2 }).notes, []);
  assert.deepEqual(bottleneckOf({ ...full, kafkaQueuedBytes: 2e9, admittedBytesLimit: Number.NaN }).notes, []);
  assert.deepEqual(bottleneckOf({ ...well, kafkaQueuedBytes: 90 * 1024 ** 2 }).notes, []);
});

test("uneven load is a note whatever else there is, unless there is hardly any", () => {
  const uneven = {
    ...well,
    imbalance: 2,
    workers: [
      { ...well.workers[0]!, load: 2 },
      { ...well.workers[1]!, load: 0 },
    ],
  };
  assert.deepEqual(bottleneckOf(uneven).notes, ["load is uneven: worker 0 gets 2 times the mean of all workers"]);
  assert.deepEqual(bottleneckOf({ ...uneven, eventsPerSecond: 2 }).notes, []);
});
