// The spool, the forwarder and the direct producer through crashes: what is spooled reaches Kafka once, however often the
// process dies on the way. Batches that were taken without brokers, and live ones in between, take part.

import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { systemClock } from "../../src/clock.ts";
import { type BatchSettler, type SealedBatch, UNASSIGNED_PARTITION } from "../../src/ingest/producer.ts";
import { repartition } from "../../src/ingest/repartition.ts";
import { BehindSpool } from "../../src/spool/behind-spool.ts";
import { DeadLetters } from "../../src/spool/dead-letters.ts";
import { Forwarder } from "../../src/spool/forwarder.ts";
import { Spool } from "../../src/spool/spool.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { FakeCluster } from "../support/fake-broker.ts";
import { batchOf, valuesOf } from "../kafka/support/batches.ts";
import { direct, storedValues, until, value } from "../kafka/support/harness.ts";
import { chance } from "../kafka/support/random.ts";
import { DIR } from "./support/fixtures.ts";
import { MemoryFileSystem } from "./support/memory-file-system.ts";

const PARTITIONS = 2;

/** What was told to be stored; what failed is of no interest here. */
class Acknowledged implements BatchSettler {
  readonly values = new Set<string>();
  readonly failed = (): void => {};
  /** Told by a process that is dead, it was told to nobody. */
  alive = true;

  stored(batch: SealedBatch, first: number, count: number): void {
    if (!this.alive) return;
    for (const each of valuesOf(batch.bytes).slice(first, first + count)) this.values.add(each);
  }
}

async function startProcess(fs: MemoryFileSystem, bootstrap: string) {
  const { producer, metrics } = direct(bootstrap, { requestTimeoutMs: 2_000, connectTimeoutMs: 500 });
  const dependencies = { log: silentLogger(), metrics, clock: systemClock, fs };
  const spool = new Spool(dependencies, { dir: DIR, bytesMax: 1e9, segmentBytes: 4_000 });
  const deadLetters = new DeadLetters(dependencies, { dir: "/data/dead-letters/worker-0", segmentBytes: 1e6 });
  const forwarder = new Forwarder({ ...dependencies, spool, producer, deadLetters, repartition });
  for (const part of [spool, producer, deadLetters, forwarder]) await part.start();
  /** Its timers and sockets end. What it waits for of its disk never comes. */
  const end = (): void => {
    for (const part of [forwarder, deadLetters, producer, spool]) void part.dispose();
  };
  return { spool, metrics, behind: new BehindSpool(spool, producer), end };
}

/** @returns how often numbers of an earlier process were used again. */
async function run(seed: number): Promise<number> {
  const dice = chance(seed);
  let fs = new MemoryFileSystem();
  const cluster = await FakeCluster.start({ topics: { t: PARTITIONS } });
  const persisted = new Set<string>();
  const replicated = new Set<string>();
  let batches = 0;
  let possibleDuplicates = 0;
  let replays = 0;
  try {
    for (let life = 0; life < 6; life++) {
      const slow = dice.hit(0.5);
      cluster.onProduce = () => ({ delayMs: dice.below(4), ...(dice.hit(0.02) ? { action: "drop-response" } : {}) });
      fs.before = slow ? async (operation) => (operation === "sync" ? sleep(dice.below(3)) : undefined) : undefined;
      const service = await startProcess(fs, cluster.bootstrap);
      for (const topic of service.spool.backlogs.topics())
        for (const lane of [topic.unassigned, ...topic.lanes.values()])
          for (const entry of lane.entries()) replays += service.spool.stampsOf(entry).length;
      const settlers = [new Acknowledged(), new Acknowledged()] as const;
      const endsAt = performance.now() + dice.below(120);
      while (performance.now() < endsAt) {
        const values = Array.from({ length: 1 + dice.below(3) }, (_, i) => `${batches}.${i}`);
        batches++;
        const isLive = life > 0 && dice.hit(0.2);
        const unassigned = !isLive && life === 0 && dice.hit(0.5);
        const batch = batchOf("t", unassigned ? UNASSIGNED_PARTITION : dice.below(PARTITIONS), values);
        if (isLive) service.behind.replicated.send(batch, settlers[1]);
        else service.behind.persisted.send(batch, settlers[0]);
        if (dice.hit(0.3)) await sleep(dice.below(4));
      }
      const isLast = life === 5;
      if (isLast) {
        cluster.onProduce = undefined;
        const backlog = () => Math.max(...[0, 1].map((partition) => service.spool.backlog("t", partition)));
        await until(() => backlog() === 0, "the spool is empty");
        await until(() => value(service.metrics, "sluice_kafka_queued_bytes") === 0, "nothing is queued");
      }
      for (const settler of settlers) settler.alive = isLast;
      for (const each of settlers[0].values) persisted.add(each);
      for (const each of settlers[1].values) replicated.add(each);
      possibleDuplicates += value(service.metrics, "sluice_kafka_possible_duplicates_total");
      // The dead process sees its disk no more, whatever it still does; its sockets close.
      const disk = fs;
      fs = dice.hit(0.5) ? disk.kill() : disk.cutPower(() => dice.next());
      service.end();
    }
    const stored = Array.from({ length: PARTITIONS }, (_, partition) => storedValues(cluster, "t", partition));
    const all = stored.flat();
    assert.deepEqual(
      [...persisted, ...replicated].filter((each) => !all.includes(each)),
      [],
      "nothing acknowledged is missing",
    );
    const twice = all.filter((each, i) => all.indexOf(each) !== i);
    assert.equal(possibleDuplicates, 0);
    assert.deepEqual(twice, [], "nothing is stored twice");
    for (const values of stored) {
      const order = values.filter((each) => persisted.has(each)).map((each) => Number(each.split(".")[0]));
      assert.deepEqual(
        order,
        order.toSorted((a, b) => a - b),
        "in order",
      );
    }
    return replays;
  } finally {
    await cluster.stop();
  }
}

function seeds(count: number): number[] {
  const given = process.env["SEED"];
  if (given !== undefined) return [Number(given)];
  const first = Math.floor(Math.random() * 1e9);
  return Array.from({ length: count }, (_, i) => first + i);
}

test("what is spooled is stored once, in order, through crashes and power cuts", { timeout: 60_000 }, async () => {
  let replays = 0;
  for (const seed of seeds(2)) {
    replays += await run(seed).catch((cause: unknown) => {
      throw new Error(`SEED=${seed}: ${String(cause)}`, { cause });
    });
  }
  assert.ok(replays > 0, "something was sent under the numbers of an earlier process");
});
