// Batches that outlive their process: their numbers are kept before they are sent, and used again afterwards.

import assert from "node:assert/strict";
import test from "node:test";

import { systemClock } from "../../src/clock.ts";
import type { ProducerStamp, SealedBatch, StampKeeper } from "../../src/ingest/producer.ts";
import type { Entry } from "../../src/kafka/direct/entry.ts";
import { PartitionProducer } from "../../src/kafka/direct/partition.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { hasValidCrc, readBatchHeader } from "../../src/wire/record-batch.ts";
import { batchOf, Settlements } from "./support/batches.ts";
import { value } from "./support/harness.ts";
import { result } from "./support/partition-world.ts";

/** A spool that keeps what it is told when the test says so. */
class Keeper implements StampKeeper {
  readonly stamp: ProducerStamp | undefined;
  readonly kept: ProducerStamp[] = [];
  #waiting: (() => void)[] = [];

  constructor(stamp?: ProducerStamp) {
    this.stamp = stamp;
  }

  keep(stamp: ProducerStamp, kept: () => void): void {
    this.kept.push(stamp);
    this.#waiting.push(kept);
  }

  sync(): void {
    for (const kept of this.#waiting.splice(0)) kept();
  }
}

function stampOf(producerId: bigint, producerEpoch: number, baseSequence: number): ProducerStamp {
  return { producerId, producerEpoch, baseSequence };
}

function setUp() {
  const metrics = createMetrics();
  let ids = 100n;
  const needs: PartitionProducer[] = [];
  const host = {
    ready: () => {},
    unready: () => {},
    needProducerId: (partition: PartitionProducer) => void needs.push(partition),
    leaderSuspect: () => {},
    limitsSuspect: () => {},
    renegotiate: () => {},
    unblockAfter: () => {},
  };
  const dependencies = { log: silentLogger(), metrics, clock: systemClock, random: () => 0.5, host };
  const partition = new PartitionProducer("t", 0, dependencies);
  partition.setLeader(1, 0);
  const settlements = new Settlements();
  const send = (values: readonly string[], stamps?: StampKeeper): SealedBatch => {
    const batch = batchOf("t", 0, values);
    const sealed = stamps === undefined ? batch : { ...batch, stamps };
    void settlements.send({ send: (each, settler) => partition.enqueue(each, settler) }, sealed);
    return sealed;
  };
  /** Sends what may be sent now; a producer id is there at once. */
  const flush = (): Entry[] => {
    const entries: Entry[] = [];
    for (;;) {
      const entry = partition.take();
      if (entry !== undefined) entries.push(entry);
      else if (needs.length === 0) return entries;
      else for (const each of needs.splice(0)) each.setProducerId(ids++, 0);
    }
  };
  const ok = (entries: readonly Entry[]): void => {
    for (const entry of entries) partition.result(entry, result(0, { baseOffset: 0 }));
  };
  return { metrics, partition, settlements, send, flush, ok };
}

function numbers(entries: readonly Entry[]): string[] {
  return entries.map(({ bytes }) => {
    assert.ok(hasValidCrc(bytes));
    const { producerId, producerEpoch, baseSequence } = readBatchHeader(bytes);
    return `${producerId}:${producerEpoch}:${baseSequence}`;
  });
}

test("a spooled batch is sent when its numbers are kept, and not before", () => {
  const { send, flush } = setUp();
  const keeper = new Keeper();
  send(["a", "b"], keeper);
  assert.deepEqual(flush(), []);
  assert.deepEqual(keeper.kept, [stampOf(100n, 0, 0)]);
  assert.deepEqual(flush(), []);
  assert.equal(keeper.kept.length, 1);
  keeper.sync();
  assert.deepEqual(numbers(flush()), ["100:0:0"]);
});

test("of five spooled batches the numbers are kept at once, of the sixth when the first is acknowledged", () => {
  const { send, flush, ok } = setUp();
  const keepers = Array.from({ length: 7 }, () => new Keeper());
  for (const [i, keeper] of keepers.entries()) send([String(i)], keeper);
  const kept = () => keepers.filter((keeper) => keeper.kept.length > 0).length;
  flush();
  assert.equal(kept(), 5);
  for (const keeper of keepers) keeper.sync();
  const first = flush();
  assert.deepEqual(numbers(first), ["100:0:0"]);
  assert.equal(kept(), 5);
  ok(first);
  const more = flush();
  assert.deepEqual(numbers(more), ["100:0:1", "100:0:2", "100:0:3", "100:0:4"]);
  assert.equal(kept(), 6);
});

test("live batches and spooled ones go under ids of their own, one kind at a time", () => {
  const { send, flush, ok } = setUp();
  const keepers = [new Keeper(), new Keeper()] as const;
  send(["live 0"]);
  send(["spooled 0"], keepers[0]);
  send(["live 1"]);
  send(["spooled 1"], keepers[1]);
  const live = flush();
  assert.deepEqual(numbers(live), ["100:0:0"]);
  assert.deepEqual(keepers[0].kept, []);
  ok(live);
  assert.deepEqual(flush(), []);
  keepers[0].sync();
  const spooled = flush();
  assert.deepEqual(numbers(spooled), ["101:0:0"]);
  ok(spooled);
  const liveAgain = flush();
  assert.deepEqual(numbers(liveAgain), ["100:0:1"]);
  ok(liveAgain);
  assert.deepEqual(flush(), []);
  keepers[1].sync();
  assert.deepEqual(numbers(flush()), ["101:0:1"]);
});

test("what an earlier process sent goes again under its numbers, and what follows under a new id", () => {
  const { metrics, send, flush, ok } = setUp();
  const old = [new Keeper(stampOf(7n, 3, 40)), new Keeper(stampOf(7n, 3, 42))] as const;
  const fresh = new Keeper();
  send(["a", "b"], old[0]);
  send(["c"], old[1]);
  send(["d"], fresh);
  const first = flush();
  assert.deepEqual(numbers(first), ["7:3:40"]);
  ok(first);
  const second = flush();
  assert.deepEqual(numbers(second), ["7:3:42"]);
  assert.deepEqual(fresh.kept, []);
  ok(second);
  assert.deepEqual(flush(), []);
  assert.deepEqual(fresh.kept, [stampOf(100n, 0, 0)]);
  fresh.sync();
  assert.deepEqual(numbers(flush()), ["100:0:0"]);
  assert.deepEqual([...old[0].kept, ...old[1].kept], []);
  assert.equal(value(metrics, "sluice_kafka_possible_duplicates_total"), 0);
});

test("a broker that forgot the numbers of an earlier process gets the batch under a new id, and that is counted", () => {
  const { metrics, partition, send, flush, ok } = setUp();
  const keeper = new Keeper(stampOf(7n, 3, 40));
  send(["a"], keeper);
  const [sent] = flush();
  partition.result(sent!, result(45));
  partition.unblock();
  assert.deepEqual(flush(), []);
  assert.deepEqual(keeper.kept, [stampOf(100n, 0, 0)]);
  assert.equal(value(metrics, "sluice_kafka_possible_duplicates_total"), 1);
  keeper.sync();
  const again = flush();
  assert.deepEqual(numbers(again), ["100:0:0"]);
  ok(again);
});

test("numbers that are kept too late, for an epoch that is over, do not let the batch go", () => {
  const { partition, send, flush, ok } = setUp();
  const bad = new Keeper();
  const good = new Keeper();
  send(["bad"], bad);
  flush();
  bad.sync();
  const [sent] = flush();
  ok([sent!]);
  const worse = new Keeper();
  send(["worse"], worse);
  send(["good"], good);
  flush();
  worse.sync();
  const [refused] = flush();
  assert.deepEqual(good.kept, [stampOf(100n, 0, 2)]);
  partition.result(refused!, result(87));
  flush();
  assert.deepEqual(good.kept, [stampOf(100n, 0, 2), stampOf(100n, 1, 0)]);
  good.sync();
  assert.deepEqual(numbers(flush()), ["100:1:0"]);
});

test("a batch that comes back in the same process goes again under the numbers it had", () => {
  const { partition, settlements, send, flush, ok } = setUp();
  const keeper = new Keeper();
  send(["a"], keeper);
  flush();
  keeper.sync();
  const [sent] = flush();
  partition.lost(sent!);
  partition.deny(29);
  assert.equal(settlements.open, 0);
  partition.unblock();
  const again = new Keeper(keeper.kept[0]);
  send(["a"], again);
  const resent = flush();
  assert.deepEqual(numbers(resent), ["100:0:0"]);
  assert.deepEqual(again.kept, []);
  ok(resent);
});

test("numbers of an epoch that is over are not used again, and the batch that had them counts as a possible duplicate", () => {
  const { metrics, partition, send, flush, ok } = setUp();
  const [poison, next] = [new Keeper(), new Keeper()] as const;
  send(["poison"], poison);
  send(["next"], next);
  flush();
  poison.sync();
  const [refused] = flush();
  partition.result(refused!, result(87));
  flush();
  next.sync();
  ok(flush());
  const stale = new Keeper(stampOf(100n, 0, 1));
  send(["stale"], stale);
  assert.deepEqual(flush(), []);
  assert.deepEqual(stale.kept, [stampOf(100n, 1, 1)]);
  assert.equal(value(metrics, "sluice_kafka_possible_duplicates_total"), 1);
});
