// The state machine of one partition, step by step, where a cluster would only be in the way.

import assert from "node:assert/strict";
import test from "node:test";

import { type Clock, systemClock } from "../../src/clock.ts";
import { Code, IngestError } from "../../src/errors.ts";
import type { Entry } from "../../src/kafka/direct/entry.ts";
import { type PartitionHost, PartitionProducer } from "../../src/kafka/direct/partition.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { readBatchHeader } from "../../src/wire/record-batch.ts";
import { batchOf, type Outcomes, Settlements } from "./support/batches.ts";
import { value } from "./support/harness.ts";
import { result } from "./support/partition-world.ts";

class Host implements PartitionHost {
  readonly delays: number[] = [];
  readonly calls: string[] = [];
  ready(): void {}
  unready(): void {}
  needProducerId(): void {
    this.calls.push("needProducerId");
  }
  leaderSuspect(): void {
    this.calls.push("leaderSuspect");
  }
  limitsSuspect(): void {
    this.calls.push("limitsSuspect");
  }
  renegotiate(nodeId: number): void {
    this.calls.push(`renegotiate ${nodeId}`);
  }
  unblockAfter(_partition: PartitionProducer, delayMs: number): void {
    this.delays.push(delayMs);
  }
}

function setUp(epoch = 0, clock: Clock = systemClock) {
  const host = new Host();
  const metrics = createMetrics();
  const dependencies = { log: silentLogger(), metrics, clock, random: () => 0.5, host };
  const partition = new PartitionProducer("t", 0, dependencies);
  const settlements = new Settlements();
  const send = (...values: string[]): Promise<Outcomes> =>
    settlements.send({ send: (batch, settler) => partition.enqueue(batch, settler) }, batchOf("t", 0, values));
  partition.setLeader(1, 0);
  partition.setProducerId(7n, epoch);
  /** Sends what may be sent now. */
  const flush = (): Entry[] => {
    const entries: Entry[] = [];
    for (let entry = partition.take(); entry !== undefined; entry = partition.take()) entries.push(entry);
    return entries;
  };
  const ok = (entry: Entry, baseOffset = 0): void => partition.result(entry, result(0, { baseOffset }));
  /** Six batches, of which the first is acknowledged and five are in flight. */
  const inFlight = (): Entry[] => {
    for (const each of ["0", "1", "2", "3", "4", "5"]) void send(each);
    ok(flush()[0]!);
    return flush();
  };
  return { host, metrics, partition, settlements, send, flush, ok, inFlight };
}

function headers(entries: readonly Entry[]): string[] {
  return entries.map(({ bytes }) => {
    const { producerId, producerEpoch, baseSequence } = readBatchHeader(bytes);
    return `${producerId}:${producerEpoch}:${baseSequence}`;
  });
}

test("nothing is sent without a leader or a producer id, and the id is asked for when there is something to send", () => {
  const host = new Host();
  const dependencies = { log: silentLogger(), metrics: createMetrics(), clock: systemClock, random: () => 0, host };
  const partition = new PartitionProducer("t", 0, dependencies);
  assert.equal(partition.take(), undefined);
  partition.enqueue(batchOf("t", 0, ["a"]), new Settlements());
  assert.equal(partition.take(), undefined);
  assert.deepEqual(host.calls, []);
  partition.setLeader(1, 0);
  assert.equal(partition.take(), undefined);
  assert.deepEqual(host.calls, ["needProducerId"]);
  partition.setProducerId(1n, 0);
  assert.notEqual(partition.take(), undefined);
});

test("one batch is in flight until the first acknowledgement, then five", () => {
  const { inFlight, flush, ok } = setUp();
  const five = inFlight();
  assert.deepEqual(headers(five), ["7:0:1", "7:0:2", "7:0:3", "7:0:4", "7:0:5"]);
  assert.deepEqual(flush(), []);
  for (const entry of five) ok(entry);
});

for (const [what, change] of [
  ["a new leader", (partition: PartitionProducer) => partition.setLeader(2, 1)],
  ["a new epoch of the same leader", (partition: PartitionProducer) => partition.setLeader(1, 1)],
] as const) {
  test(`after ${what}, everything comes home first, then one goes alone`, () => {
    const { partition, inFlight, flush, ok, send } = setUp();
    const five = inFlight();
    for (const each of ["6", "7"]) void send(each);
    change(partition);
    for (const entry of five) {
      assert.deepEqual(flush(), []);
      ok(entry);
    }
    const alone = flush();
    assert.deepEqual(headers(alone), ["7:0:6"]);
    ok(alone[0]!);
    assert.deepEqual(headers(flush()), ["7:0:7"]);
  });
}

test("after a long silence one goes alone again: the broker may have forgotten this producer", () => {
  let nowMs = 0;
  const { inFlight, flush, ok, send } = setUp(0, { ...systemClock, monotonic: () => nowMs });
  for (const entry of inFlight()) ok(entry);
  nowMs += 600_000;
  for (const each of ["6", "7"]) void send(each);
  const together = flush();
  assert.deepEqual(headers(together), ["7:0:6", "7:0:7"]);
  for (const entry of together) ok(entry);
  nowMs += 600_001;
  for (const each of ["8", "9"]) void send(each);
  const alone = flush();
  assert.deepEqual(headers(alone), ["7:0:8"]);
  ok(alone[0]!);
  assert.deepEqual(headers(flush()), ["7:0:9"]);
});

test("an older leader epoch is not believed, unless the topic is a new one", () => {
  const { partition } = setUp();
  partition.setLeader(2, 5);
  partition.setLeader(3, 4);
  assert.equal(partition.leader, 2);
  partition.setLeader(3, 0, true);
  assert.equal(partition.leader, 3);
  partition.setLeader(-1, 0);
  assert.equal(partition.leader, -1);
});

test("what is lost together is one failure: it backs off once, and ever longer with each after it", () => {
  const { host, partition, inFlight, flush } = setUp();
  for (const entry of inFlight()) partition.lost(entry);
  assert.deepEqual(host.delays, [20]);
  assert.deepEqual(flush(), []);
  for (const delayMs of [40, 80, 160, 320, 640, 1_000, 1_000]) {
    partition.unblock();
    const [head] = flush();
    partition.lost(head!);
    assert.equal(host.delays.at(-1), delayMs);
  }
});

test("a leader that was not asked yet is asked at once", () => {
  const { host, partition, inFlight, flush } = setUp();
  const five = inFlight();
  partition.setLeader(2, 1);
  for (const entry of five) partition.lost(entry);
  assert.deepEqual(host.delays, []);
  assert.deepEqual(headers(flush()), ["7:0:1"]);
});

test("what is lost goes again with the same sequence and bytes, each alone, and is counted as a retry", () => {
  const { partition, inFlight, flush, ok } = setUp();
  const five = inFlight();
  const bytes = five.map((entry) => Buffer.from(entry.bytes));
  // In whatever order they come home.
  for (const entry of [3, 0, 4, 1, 2]) partition.lost(five[entry]!);
  partition.unblock();
  for (const each of bytes) {
    const again = flush();
    assert.deepEqual(
      again.map((entry) => entry.bytes),
      [each],
    );
    ok(again[0]!);
  }
  assert.equal(partition.inspect().retries, 5);
});

test("what may be stored goes alone again, so that nothing pushes it out of the broker's memory", () => {
  const { partition, inFlight, flush, ok, send } = setUp();
  const five = inFlight();
  // The first is not stored, and the third perhaps.
  partition.result(five[0]!, result(19));
  for (const entry of [five[1]!, five[3]!, five[4]!]) ok(entry);
  partition.result(five[2]!, result(20));
  for (const each of ["6", "7", "8", "9", "10"]) void send(each);
  partition.unblock();
  const first = flush();
  assert.deepEqual(headers(first), ["7:0:1"]);
  ok(first[0]!);
  for (const code of [19, 7, 6]) {
    const alone = flush();
    assert.deepEqual(headers(alone), ["7:0:3"], "an acknowledgement of another lets nothing go beside it");
    partition.result(alone[0]!, result(code));
    partition.unblock();
  }
  ok(flush()[0]!);
  assert.deepEqual(headers(flush()), ["7:0:6", "7:0:7", "7:0:8", "7:0:9", "7:0:10"]);
});

test("an epoch is bumped to 32767, and then a new producer id is taken", () => {
  const { host, partition, send, flush, ok } = setUp(32_766);
  void send("a");
  partition.result(flush()[0]!, result(45));
  partition.unblock();
  const [last] = flush();
  assert.deepEqual(headers([last!]), ["7:32767:0"]);
  partition.result(last!, result(45));
  partition.unblock();
  assert.deepEqual(flush(), []);
  assert.deepEqual(host.calls, ["needProducerId"]);
  partition.setProducerId(8n, 0);
  const [first] = flush();
  assert.deepEqual(headers([first!]), ["8:0:0"]);
  ok(first!);
});

test("what is given up leaves a hole, so the next batch comes under a new epoch; what is in flight is told when it is home", async () => {
  const { partition, inFlight, flush, ok, send, settlements } = setUp();
  const five = inFlight();
  partition.result(five[0]!, result(19));
  partition.failQueued(new IngestError(Code.UNAVAILABLE, "gone", { retryable: true }));
  assert.equal(settlements.finished.length, 2);
  for (const entry of five.slice(1)) partition.result(entry, result(45));
  partition.failQueued(new IngestError(Code.UNAVAILABLE, "gone", { retryable: true }));
  assert.ok(partition.idle);
  partition.unblock();
  const next = send("next");
  const [entry] = flush();
  assert.deepEqual(headers([entry!]), ["7:1:0"]);
  ok(entry!, 9);
  assert.deepEqual(await next, [9]);
});

test("a batch that was never sent leaves no hole", () => {
  const { partition, send, flush, ok } = setUp();
  void send("a");
  partition.failQueued(new IngestError(Code.UNAVAILABLE, "gone"));
  void send("b");
  const [entry] = flush();
  assert.deepEqual(headers([entry!]), ["7:0:0"]);
  ok(entry!);
});

test("a batch that may be stored and is told as failed, to be sent again, counts as a possible duplicate", async () => {
  for (const fail of [
    (partition: PartitionProducer, entry: Entry) => partition.result(entry, result(29)),
    (partition: PartitionProducer) =>
      partition.failQueued(new IngestError(Code.NOT_FOUND, "gone", { retryable: true })),
  ]) {
    const { partition, metrics, send, flush } = setUp();
    const outcome = send("a");
    const [entry] = flush();
    partition.lost(entry!);
    partition.unblock();
    if (fail.length === 2) flush();
    fail(partition, entry!);
    assert.equal((await outcome)[0] instanceof IngestError, true);
    assert.equal(value(metrics, "sluice_kafka_possible_duplicates_total"), 1);
  }
});

test("what is in flight behind a batch that is denied fails with it, or is stored, but never overtakes it", async () => {
  const { partition, send, flush, ok } = setUp();
  const outcomes = ["0", "1", "2", "3"].map((each) => send(each));
  ok(flush()[0]!);
  const [denied, behind, last] = flush();
  partition.result(denied!, result(29));
  partition.result(behind!, result(45));
  partition.lost(last!);
  partition.unblock();
  assert.deepEqual(flush(), []);
  const codes = (await Promise.all(outcomes)).map(([outcome]) => (outcome instanceof IngestError ? outcome.code : 0));
  assert.deepEqual(codes, [0, Code.PERMISSION_DENIED, Code.PERMISSION_DENIED, Code.PERMISSION_DENIED]);
  void send("4");
  assert.deepEqual(headers(flush()), ["7:1:0"], "what comes after that goes under a new epoch");
});

test("a topic that is created again gets one batch until the first is acknowledged, whoever leads it", () => {
  const { partition, send, flush, ok } = setUp();
  void send("0");
  ok(flush()[0]!);
  for (const each of ["1", "2", "3"]) void send(each);
  partition.setLeader(1, 0, true);
  const [first, ...others] = flush();
  assert.deepEqual(others, []);
  ok(first!);
  assert.equal(flush().length, 2);
});

test("versions are negotiated again with the broker that was asked, wherever the leader is by now", () => {
  const { host, partition, send, flush } = setUp();
  void send("a");
  const [entry] = flush();
  partition.setLeader(2, 1);
  partition.result(entry!, result(35));
  assert.deepEqual(host.calls, ["renegotiate 1"]);
});

test("when it was sent first is told with the batch, for the stage metrics", () => {
  const { partition, flush } = setUp();
  const batch = batchOf("t", 0, ["a"]);
  const settlements = new Settlements();
  void settlements.send({ send: (each, settler) => partition.enqueue(each, settler) }, batch);
  const [entry] = flush();
  const { sentAtMs } = batch;
  assert.equal(typeof sentAtMs, "number");
  partition.lost(entry!);
  partition.unblock();
  flush();
  assert.equal(batch.sentAtMs, sentAtMs);
});

test("a result for a batch that is not in flight is our bug", () => {
  const { send, flush, ok } = setUp();
  void send("a");
  const [entry] = flush();
  ok(entry!);
  assert.throws(() => ok(entry!), /assertion failed/);
});
