// The direct producer on three brokers that fail by a seed: answers lost, slow or wrong, connections cut, brokers hanging,
// leaders moving. Nothing that is acknowledged may be missing, nothing stored twice, and the order of each partition kept.

import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import type { FakeCluster, Fault } from "../support/fake-broker.ts";
import { batchOf, Settlements } from "./support/batches.ts";
import { type Chance, chance } from "./support/random.ts";
import { start, storedValues, value } from "./support/harness.ts";

const PARTITIONS = 6;
const BROKERS = 3;
const BATCHES = 300;

/** Codes that a broker tells instead of storing, and those that it may tell although it stores. */
const NOT_STORED = [3, 5, 6, 19, 35, 74] as const;
const UNKNOWN = [7, 20, 56, -1] as const;

function fault(dice: Chance): Fault | undefined {
  const delayMs = dice.hit(0.2) ? dice.below(15) : 0;
  const only = dice.below(PARTITIONS);
  switch (dice.below(60)) {
    case 0:
      return { action: "drop-response", delayMs };
    case 1:
      return { action: "disconnect", when: "before", delayMs };
    case 2:
      return { action: "disconnect", when: "after", delayMs };
    case 3:
    case 4:
      return { action: "error", when: "before", code: dice.pick(NOT_STORED), delayMs };
    case 5:
      return { action: "error", when: "before", code: dice.pick(UNKNOWN), delayMs };
    case 6:
      return { action: "error", when: "after", code: dice.pick(UNKNOWN), only: ({ partition }) => partition === only };
    case 7:
      return { throttleMs: dice.below(30) };
    default:
      return { delayMs };
  }
}

/** Until it is told to stop, and then all is well again. */
async function disturb(cluster: FakeCluster, dice: Chance, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(5 + dice.below(20));
    const broker = cluster.broker(1 + dice.below(BROKERS));
    switch (dice.below(8)) {
      case 0:
        broker.disconnect();
        break;
      case 1:
        broker.pause();
        await sleep(dice.below(120));
        broker.resume();
        break;
      case 2:
        await broker.stop();
        await sleep(dice.below(60));
        await broker.start();
        break;
      default:
        cluster.moveLeader("t", dice.below(PARTITIONS), 1 + dice.below(BROKERS));
    }
  }
}

async function run(seed: number): Promise<void> {
  const dice = chance(seed);
  const timeouts = { requestTimeoutMs: 150, connectTimeoutMs: 150, metadataMaxAgeMs: 300 };
  await using harness = await start({ brokers: BROKERS, topics: { t: PARTITIONS } }, timeouts);
  const { cluster, producer, metrics } = harness;
  const settlements = new Settlements();
  cluster.onProduce = () => fault(dice);
  cluster.onRequest = () => (dice.hit(0.05) ? { action: "disconnect", when: "before" } : { delayMs: dice.below(10) });
  const stop = new AbortController();
  const disturbing = disturb(cluster, dice, stop.signal);

  const sent = Array.from({ length: PARTITIONS }, (): string[] => []);
  const sending: Promise<{ partition: number; values: string[]; offsets: (number | string)[] }>[] = [];
  for (let batch = 0; batch < BATCHES; batch++) {
    const partition = dice.below(PARTITIONS);
    const values = Array.from({ length: 1 + dice.below(4) }, (_, index) => `${batch}.${index}`);
    sent[partition]!.push(...values);
    sending.push(
      settlements.send(producer, batchOf("t", partition, values)).then((outcomes) => ({
        partition,
        values,
        offsets: outcomes.map((each) => (typeof each === "number" ? each : String(each))),
      })),
    );
    if (dice.hit(0.3)) await sleep(dice.below(10));
  }
  stop.abort();
  await disturbing;
  cluster.onProduce = undefined;
  cluster.onRequest = undefined;
  const outcomes = await Promise.all(sending);

  const stored = sent.map((_, partition) => storedValues(cluster, "t", partition));
  assert.deepEqual(stored, sent, "everything is stored, once, in order");
  for (const { partition, values, offsets } of outcomes) {
    assert.deepEqual(
      offsets.map((offset) => stored[partition]![Number(offset)]),
      values,
      "it is where it was said",
    );
  }
  assert.equal(settlements.open, 0);
  assert.equal(value(metrics, "sluice_kafka_queued_bytes"), 0);
  assert.equal(value(metrics, "sluice_kafka_requests_in_flight"), 0);
  assert.equal(value(metrics, "sluice_kafka_possible_duplicates_total"), 0);
}

test(
  "whatever fails, all that is acknowledged is stored once, in order, where it was said",
  { timeout: 100_000 },
  async () => {
    const given = process.env["SEED"];
    const first = Number(given ?? Math.floor(Math.random() * 1e9));
    for (let seed = first; seed < first + (given === undefined ? 4 : 1); seed++) {
      await run(seed).catch((cause: unknown) => {
        throw new Error(`SEED=${seed}: ${String(cause)}`, { cause });
      });
    }
  },
);
