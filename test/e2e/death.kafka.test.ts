// The end of the service under load with a real Kafka, and without one that was there: what is in Kafka is what clients know.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Durability } from "../../src/gen/sluice/v1/ingest_pb.js";
import { ExitCode } from "../../src/supervisor/exit-codes.ts";
import { javaConsumeEach, kafkaTest, startKafka } from "../support/kafka.ts";
import { keyOf, Load } from "../support/load.ts";
import { eventually, startService } from "../support/service.ts";

const PARTITIONS = 6;

interface Found {
  /** How often each value is there. */
  readonly times: ReadonlyMap<string, number>;
  /** Values that came behind a later one with the same key, where they came first. */
  readonly reordered: readonly string[];
}

/** Reads a topic until `count` different values are there, and a second more. */
async function consume(bootstrap: string, topic: string, count: number): Promise<Found> {
  const times = new Map<string, number>();
  const last = new Map<string, number>();
  const reordered: string[] = [];
  await javaConsumeEach({ bootstrap, topic, count, timeoutMs: 60_000, extraMs: 1_000 }, ({ key, value }) => {
    const before = times.get(value!) ?? 0;
    times.set(value!, before + 1);
    if (before > 0) return;
    const [sender, sequence, i] = value!.split("/").map(Number) as [number, number, number];
    assert.equal(key, keyOf(sender, i));
    const at = sequence * 1_000 + i;
    if ((last.get(key) ?? -1) > at) reordered.push(value!);
    last.set(key, at);
  });
  return { times, reordered };
}

const missingOf = (expected: Iterable<string>, { times }: Found) =>
  [...expected].filter((value) => !times.has(value)).slice(0, 3);

const moreThanOnce = ({ times }: Found) => [...times].filter(([, count]) => count > 1).slice(0, 3);

kafkaTest(
  "SIGTERM under load: each REPLICATED batch has one outcome, what is acknowledged is in Kafka once, and the exit code is 0",
  async (kafka) => {
    const topic = await kafka.createTopic("sigterm", { partitions: PARTITIONS });
    const service = await startService({ env: { KAFKA_BROKERS: kafka.bootstrap, WORKERS: "2" } });
    const load = new Load({
      address: service.grpcAddress,
      topic,
      durability: Durability.REPLICATED,
      streams: ["closes", "stays", "closes", "stays", "closes", "closes"],
      unaryCallers: 12,
    });
    await eventually("the load is under way", () => load.answered > 400, 60_000);
    assert.deepEqual(await service.stop(), { code: ExitCode.OK, signal: null });
    await load.ended;
    load.assertOneOutcomeEach();
    assert.equal(load.drains, 6);
    const stored = load.stored();
    const found = await consume(kafka.bootstrap, topic, stored.size);
    assert.deepEqual(missingOf(stored, found), [], "what was acknowledged is there");
    assert.deepEqual(moreThanOnce(found), []);
    assert.deepEqual(found.reordered, []);
    assert.equal(found.times.size, stored.size, "what has no answer was not taken");
  },
  { timeout: 180_000 },
);

kafkaTest(
  "SIGTERM while Kafka is away, then a start without it: REPLICATED ends as unknown, PERSISTED gets to Kafka when it is back",
  async () => {
    await using kafka = await startKafka();
    for (const topic of ["r", "p", "later"]) await kafka.createTopic(topic, { partitions: PARTITIONS });
    const dataDir = await mkdtemp(join(tmpdir(), "sluice-death-"));
    const env = { DATA_DIR: dataDir, KAFKA_BROKERS: kafka.bootstrap, WORKERS: "2", DRAIN_TIMEOUT: "4s" };
    const streams = ["closes", "stays", "closes"] as const;
    const loadOf = (address: string, topic: string, durability: Durability, eventsPerBatch: number) =>
      new Load({ address, topic, durability, streams, unaryCallers: 4, eventsPerBatch });
    try {
      const first = await startService({ env });
      const replicated = loadOf(first.grpcAddress, "r", Durability.REPLICATED, 20);
      const persisted = loadOf(first.grpcAddress, "p", Durability.PERSISTED, 20);
      await eventually("all is under way", () => replicated.answered > 300 && persisted.answered > 300, 60_000);
      await kafka.nodes[0]!.kill();
      const answered = persisted.answered;
      await eventually("PERSISTED goes on", () => persisted.answered > answered + 100, 60_000);
      assert.deepEqual(await first.stop(), { code: ExitCode.DRAIN_INCOMPLETE, signal: null });
      await Promise.all([replicated.ended, persisted.ended]);
      replicated.assertOneOutcomeEach();
      persisted.assertOneOutcomeEach();
      assert.ok(replicated.unknown().size > 0, "what waited for Kafka is unknown");

      // Kafka is still away: nothing is known of the topic, and PERSISTED is taken all the same.
      const second = await startService({ env });
      await using later = {
        load: new Load({
          address: second.grpcAddress,
          topic: "later",
          durability: Durability.PERSISTED,
          streams,
          unaryCallers: 2,
        }),
        [Symbol.asyncDispose]: async () => {
          await later.load.stop();
        },
      };
      const { load } = later;
      await eventually("PERSISTED is taken without Kafka", () => load.answered > 200, 60_000);
      await kafka.nodes[0]!.restart();
      const atReturn = load.answered;
      await eventually("it goes on with Kafka there", () => load.answered > atReturn + 200, 60_000);
      await load.stop();
      load.assertOneOutcomeEach();
      assert.equal(load.unknown().size, 0);

      const laterFound = await consume(kafka.bootstrap, "later", load.stored().size);
      assert.deepEqual(missingOf(load.stored(), laterFound), []);
      assert.deepEqual(moreThanOnce(laterFound), []);
      assert.deepEqual(laterFound.reordered, []);
      // What was on its way when Kafka was killed may be there twice: the note of it never reached the disk.
      const found = await consume(kafka.bootstrap, "p", persisted.stored().size);
      assert.deepEqual(missingOf(persisted.stored(), found), [], "what was acknowledged from the disk is in Kafka");
      const replicatedFound = await consume(kafka.bootstrap, "r", replicated.stored().size);
      assert.deepEqual(missingOf(replicated.stored(), replicatedFound), [], "what Kafka acknowledged is there");
      assert.deepEqual(moreThanOnce(replicatedFound), []);
      assert.deepEqual(await second.stop(), { code: ExitCode.OK, signal: null });
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  },
  { timeout: 240_000 },
);
