// The order of a partition between the two durabilities, over a spool and a producer that only take notes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type BatchSettler, type Producer, type SealedBatch, UNASSIGNED_PARTITION } from "../../src/ingest/producer.ts";
import { BehindSpool } from "../../src/spool/behind-spool.ts";
import type { Spool } from "../../src/spool/spool.ts";

const settler: BatchSettler = { stored: () => {}, failed: () => {} };

function harness() {
  const log: string[] = [];
  const backlogs = new Map<string, number>();
  let caughtUp: (topic: string, partition: number) => void = () => {};
  const note = (where: string) => (batch: SealedBatch) => log.push(`${where} ${batch.bytes.toString()}`);
  const toSpool = note("spool");
  const spool = {
    append: (batch: SealedBatch) => {
      toSpool(batch);
      const key = `${batch.topic}/${batch.partition}`;
      backlogs.set(key, (backlogs.get(key) ?? 0) + 1);
    },
    backlog: (topic: string, partition: number) =>
      (backlogs.get(`${topic}/${partition}`) ?? 0) + (backlogs.get(`${topic}/${UNASSIGNED_PARTITION}`) ?? 0),
    onCaughtUp: (listener: typeof caughtUp) => {
      caughtUp = listener;
    },
  } as unknown as Spool;
  const producer = { send: note("kafka") } as unknown as Producer;
  const behind = new BehindSpool(spool, producer);
  const batch = (name: string, partition: number): SealedBatch => ({
    topic: "t",
    partition,
    count: 1,
    bytes: Buffer.from(name),
  });
  return {
    log,
    replicated: (name: string, partition = 0) => behind.replicated.send(batch(name, partition), settler),
    persisted: (name: string, partition = 0) => behind.persisted.send(batch(name, partition), settler),
    setBacklog: (partition: number, batches: number) => backlogs.set(`t/${partition}`, batches),
    catchUp: (partition: number) => {
      backlogs.delete(`t/${partition}`);
      caughtUp("t", partition);
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
  const { log, replicated, setBacklog, catchUp } = harness();
  setBacklog(0, 3);
  replicated("r1", 0);
  replicated("r2", 0);
  replicated("other", 1);
  assert.deepEqual(log, ["kafka other"]);
  catchUp(0);
  assert.deepEqual(log, ["kafka other", "kafka r1", "kafka r2"]);
});

test("a persisted batch does not overtake a replicated one that waits", () => {
  const { log, replicated, persisted, setBacklog, catchUp } = harness();
  setBacklog(0, 1);
  replicated("r1");
  persisted("p2");
  replicated("r3");
  persisted("p4");
  assert.deepEqual(log, []);
  catchUp(0);
  // r3 has p2 before it now, which is spooled again.
  assert.deepEqual(log, ["kafka r1", "spool p2"]);
  catchUp(0);
  assert.deepEqual(log, ["kafka r1", "spool p2", "kafka r3", "spool p4"]);
  catchUp(0);
  replicated("r5");
  assert.equal(log.at(-1), "kafka r5");
});

test("batches without a partition are in the way of every partition of their topic", () => {
  const { log, replicated, setBacklog, catchUp } = harness();
  setBacklog(UNASSIGNED_PARTITION, 2);
  setBacklog(1, 1);
  replicated("r0", 0);
  replicated("r1", 1);
  catchUp(UNASSIGNED_PARTITION);
  assert.deepEqual(log, ["kafka r0"]);
  catchUp(1);
  assert.deepEqual(log, ["kafka r0", "kafka r1"]);
});
