// The order of a partition between the two durabilities, over a spool and a producer that only take notes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type BatchSettler, type Producer, type SealedBatch, UNASSIGNED_PARTITION } from "../../src/ingest/producer.ts";
import { BehindSpool } from "../../src/spool/behind-spool.ts";
import { Backlog, type DoneListener } from "../../src/spool/backlog.ts";
import { SegmentState } from "../../src/spool/segment-state.ts";
import type { Spool } from "../../src/spool/spool.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";

const settler: BatchSettler = { stored: () => {}, failed: () => {} };

function harness() {
  const log: string[] = [];
  const backlogs = new Backlog(createMetrics());
  const segment = new SegmentState("/spool", 1, 1, 0);
  const topic = backlogs.topic("t");
  const add = (partition: number): void => {
    const entry = { sequence: 1, persistedAtMs: 0, segment, position: 0, bytes: 1, count: 1 };
    backlogs.push(topic, topic.lane(partition), entry);
  };
  const spool = {
    append: (batch: SealedBatch) => {
      log.push(`spool ${batch.bytes.toString()}`);
      add(batch.partition);
    },
    backlog: (name: string, partition: number) => backlogs.count(name, partition),
    arrivals: (name: string, partition: number) => backlogs.arrivals(name, partition),
    isDone: (name: string, partition: number, arrivals: number) => backlogs.isDone(name, partition, arrivals),
    onDone: (listener: DoneListener) => backlogs.onDone(listener),
  } as unknown as Spool;
  const producer = {
    send: (batch: SealedBatch) => void log.push(`kafka ${batch.bytes.toString()}`),
  } as unknown as Producer;
  const behind = new BehindSpool(spool, producer);
  const batch = (name: string, partition: number, calls: readonly object[] | undefined): SealedBatch => ({
    topic: "t",
    partition,
    count: 1,
    bytes: Buffer.from(name),
    ...(calls === undefined ? {} : { calls }),
  });
  return {
    log,
    /** Without calls, nobody knows whose they are. */
    replicated: (name: string, partition = 0, calls?: readonly object[]) =>
      behind.replicated.send(batch(name, partition, calls), settler),
    persisted: (name: string, partition = 0, calls?: readonly object[]) =>
      behind.persisted.send(batch(name, partition, calls), settler),
    spooled: (partition: number, batches: number) => {
      for (let i = 0; i < batches; i++) add(partition);
    },
    /** Kafka has the oldest batches of the partition. */
    forwarded: (partition: number, batches = topic.lane(partition).backlog) => {
      const lane = topic.lane(partition);
      for (let i = 0; i < batches; i++) {
        lane.setDone(lane.take());
        backlogs.tellDone(topic, lane);
      }
    },
  };
}

test("without a backlog every batch goes its own way at once", () => {
  const { log, replicated, persisted } = harness();
  replicated("r1", 0);
  persisted("p1", 1);
  replicated("r2", 0);
  assert.deepEqual(log, ["kafka r1", "spool p1", "kafka r2"]);
});

test("a replicated batch waits for what is spooled for its partition, and for nothing else", () => {
  const { log, replicated, spooled, forwarded } = harness();
  spooled(0, 3);
  replicated("r1", 0);
  replicated("r2", 0);
  replicated("other", 1);
  assert.deepEqual(log, ["kafka other"]);
  forwarded(0, 2);
  assert.deepEqual(log, ["kafka other"]);
  forwarded(0);
  assert.deepEqual(log, ["kafka other", "kafka r1", "kafka r2"]);
});

test("a persisted batch does not overtake a replicated one that waits", () => {
  const { log, replicated, persisted, spooled, forwarded } = harness();
  spooled(0, 1);
  replicated("r1");
  persisted("p2");
  replicated("r3");
  persisted("p4");
  assert.deepEqual(log, []);
  forwarded(0);
  // r3 has p2 before it now, which is spooled again.
  assert.deepEqual(log, ["kafka r1", "spool p2"]);
  forwarded(0);
  assert.deepEqual(log, ["kafka r1", "spool p2", "kafka r3", "spool p4"]);
  forwarded(0);
  replicated("r5");
  assert.equal(log.at(-1), "kafka r5");
});

test("batches without a partition are in the way of every partition of their topic", () => {
  const { log, replicated, spooled, forwarded } = harness();
  spooled(UNASSIGNED_PARTITION, 2);
  spooled(1, 1);
  replicated("r0", 0);
  replicated("r1", 1);
  forwarded(UNASSIGNED_PARTITION);
  assert.deepEqual(log, ["kafka r0"]);
  forwarded(1);
  assert.deepEqual(log, ["kafka r0", "kafka r1"]);
});

test("a persisted batch of another call does not wait for a replicated one that waits", () => {
  const { log, replicated, persisted, spooled, forwarded } = harness();
  const [a, b] = [{}, {}];
  spooled(0, 1);
  replicated("r a", 0, [a]);
  persisted("p b", 0, [b]);
  persisted("p a", 0, [a]);
  persisted("p a b", 0, [b, a]);
  // One that waits itself is in the way of its own calls.
  persisted("p b 2", 0, [b]);
  assert.deepEqual(log, ["spool p b"]);
  forwarded(0, 1);
  assert.deepEqual(log, ["spool p b", "kafka r a", "spool p a", "spool p a b", "spool p b 2"]);
});

test("a replicated batch waits for what was spooled when it came, however much is spooled meanwhile", () => {
  const { log, replicated, persisted, spooled, forwarded } = harness();
  const [a, b] = [{}, {}];
  spooled(0, 2);
  replicated("r1", 0, [a]);
  persisted("p1", 0, [b]);
  replicated("r2", 0, [a]);
  persisted("p2", 0, [b]);
  persisted("p3", 0, [b]);
  forwarded(0, 2);
  assert.deepEqual(log, ["spool p1", "spool p2", "spool p3", "kafka r1"]);
  forwarded(0, 1);
  assert.deepEqual(log.slice(4), ["kafka r2"]);
});

test("a replicated batch behind a persisted one of its call that waited comes after it", () => {
  const { log, replicated, persisted, spooled, forwarded } = harness();
  const [a, b] = [{}, {}];
  spooled(0, 1);
  replicated("r1", 0, [a]);
  persisted("p2", 0, [a]);
  replicated("r3", 0, [a]);
  persisted("other", 0, [b]);
  forwarded(0, 1);
  assert.deepEqual(log, ["spool other", "kafka r1", "spool p2"]);
  forwarded(0, 1);
  assert.deepEqual(log.slice(3), []);
  forwarded(0, 1);
  assert.deepEqual(log.slice(3), ["kafka r3"]);
});
