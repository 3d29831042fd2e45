// What every producer behind the port has to do, whatever it is made of: the suite that each one is put through.
//
//   producerConformance(subject, ["leader moves"], (name, body) => test(name, async () => { … await body(cluster); }));
//
// A cluster brings the faults that it can be made to have; cases of others are left out.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

import type { Clock } from "../../src/clock.ts";
import { Code, IngestError, Reason } from "../../src/errors.ts";
import type { Producer, SealedBatch } from "../../src/ingest/producer.ts";
import type { KafkaOptions } from "../../src/kafka/options.ts";
import { type Metrics, snapshot } from "../../src/telemetry/metrics.ts";
import { encodeRecordBatch } from "../../src/wire/encode-records.ts";
import type { Record } from "../../src/wire/record-batch.ts";
import { batchOf, brief, type Outcomes, Settlements } from "./support/batches.ts";
import { fastClock } from "./support/harness.ts";

/** A producer that is put through the suite. */
export interface Subject {
  readonly name: string;
  readonly create: (
    bootstrap: string,
    overrides?: Partial<KafkaOptions>,
    clock?: Clock,
  ) => { readonly producer: Producer; readonly metrics: Metrics };
  /** False where it is documented that a batch may be stored twice. */
  readonly exactlyOnce: boolean;
  /** False where it is documented that headers of one name are put together. */
  readonly keepsHeaderOrder: boolean;
}

/** A stored record, as text. */
export interface StoredRecord {
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: readonly (readonly [name: string, value: string | null])[];
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
}

export interface ConformanceCluster {
  /** "host:port,host:port" */
  readonly bootstrap: string;
  /** Creates a topic of its own for the case; resolves with its name. */
  createTopic(partitions: number, configs?: Readonly<{ [name: string]: string }>): Promise<string>;
  /** What is in each partition, in order, once there are `count` records in all. */
  stored(topic: string, partitions: number, count: number): Promise<StoredRecord[][]>;
  /** Makes the fault happen, once. */
  fail(fault: ClusterFault, topic: string, partition: number): Promise<void>;
}

export type ClusterFault =
  /** The partition's leader stops and starts again. */
  | "leader restarts"
  /** Another broker becomes the partition's leader. */
  | "leader moves"
  /** The answer to the next Produce request is lost, and its connection with it. */
  | "answer lost";

export type Define = (name: string, body: (cluster: ConformanceCluster) => Promise<void>) => void;

export function producerConformance(subject: Subject, faults: readonly ClusterFault[], define: Define): void {
  const aCase = (name: string, body: (context: Context) => Promise<void>): void => {
    define(`${subject.name}: ${name}`, async (cluster) => {
      const { producer, metrics } = subject.create(cluster.bootstrap);
      await producer.start();
      try {
        await body({ cluster, producer, metrics, settlements: new Settlements() });
      } finally {
        await producer.dispose();
      }
      for (const what of ["bytes", "events", "oldest_age_seconds"])
        assert.equal(total(metrics, `sluice_kafka_queued_${what}`), 0, "what is settled is not counted as queued");
    });
  };

  aCase("lookup tells a topic's partitions and limits, and topic() knows them afterwards", async (context) => {
    const { cluster, producer } = context;
    const topic = await cluster.createTopic(3, { "max.message.bytes": "5000", "cleanup.policy": "compact" });
    assert.equal(producer.topic(topic), undefined);
    const info = await producer.lookup(topic);
    assert.deepEqual([info.name, info.partitions, info.maxBatchBytes, info.keyRequired], [topic, 3, 5_000, true]);
    assert.equal(producer.topic(topic), info);
    assert.equal(await producer.lookup(topic), info, "the same object while nothing changes");
  });

  aCase("a topic that does not exist is UNKNOWN_TOPIC, at once and for good", async ({ producer }) => {
    const error = await rejection(producer.lookup("does-not-exist"));
    assert.deepEqual([error.code, error.reason, error.retryable], [Code.NOT_FOUND, Reason.UNKNOWN_TOPIC, false]);
  });

  aCase("a topic that does not exist is created where the setting says so", async ({ cluster }) => {
    const { producer } = subject.create(cluster.bootstrap, { autoCreateTopics: true });
    await producer.start();
    const topic = `created-${process.pid}-${Date.now()}`;
    assert.ok((await producer.lookup(topic)).partitions >= 1);
    assert.deepEqual(await new Settlements().send(producer, batchOf(topic, 0, ["a"])), [0]);
    await producer.dispose();
  });

  aCase("every record is stored where it is said to be, in the order of its partition", async (context) => {
    const { cluster, producer, settlements } = context;
    const topics = [await cluster.createTopic(4), await cluster.createTopic(1)];
    const counts = [4, 1];
    const sending: Promise<void>[] = [];
    const told = topics.map((_, index) => Array.from({ length: counts[index]! }, (): string[] => []));
    let sent = 0;
    for (let batch = 0; batch < 80; batch++) {
      const which = batch % 5 === 0 ? 1 : 0;
      const partition = which === 1 ? 0 : batch % 4;
      const values = Array.from({ length: 1 + (batch % 7) }, (_, index) => `${batch}.${index}`);
      sent += values.length;
      sending.push(
        settlements.send(producer, batchOf(topics[which]!, partition, values)).then((outcomes) => {
          for (const [index, value] of values.entries()) told[which]![partition]![outcomes[index] as number] = value;
        }),
      );
    }
    await Promise.all(sending);
    const stored: string[][][] = [];
    for (const [index, topic] of topics.entries()) {
      const records = await cluster.stored(topic, counts[index]!, told[index]!.flat().length);
      stored.push(records.map((partition) => partition.map(({ value }) => value ?? "null")));
    }
    assert.deepEqual(stored, told);
    assert.equal(stored.flat(2).length, sent);
    for (const partition of stored.flat()) {
      const batches = partition.map(Number.parseFloat);
      assert.deepEqual(
        partition,
        partition.toSorted((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10)),
        `in order: ${batches.join(" ")}`,
      );
    }
  });

  aCase("nulls, empty bytes, headers and timestamps stay what they are", async (context) => {
    const { cluster, producer, settlements } = context;
    const topic = await cluster.createTopic(1);
    const header = (key: string, value: string) => ({ key, value: Buffer.from(value) });
    const now = Date.now();
    const records: Record[] = [
      { timestamp: now, key: null, value: Buffer.from("no key"), headers: [] },
      { timestamp: now - 1_234_567, key: Buffer.alloc(0), value: Buffer.alloc(0), headers: [header("empty", "")] },
      { timestamp: now + 1_000, key: Buffer.from("a tombstone"), value: null, headers: [] },
      {
        timestamp: now,
        key: Buffer.from("k\u20ac\u{1f600}"),
        value: Buffer.from("x".repeat(10_000)),
        headers: subject.keepsHeaderOrder
          ? [header("b", "1"), header("a", "2"), header("b", "3"), header("7", "4"), header("__proto__", "5")]
          : [header("b", "1"), header("b", "3"), header("a", "2"), header("__proto__", "5")],
      },
    ];
    const batch: SealedBatch = { topic, partition: 0, count: records.length, bytes: encodeRecordBatch(records) };
    assert.deepEqual(await settlements.send(producer, batch), [0, 1, 2, 3]);
    const [stored] = await cluster.stored(topic, 1, records.length);
    assert.deepEqual(
      stored,
      records.map(({ timestamp, key, value, headers }) => ({
        timestamp,
        key: key?.toString() ?? null,
        value: value?.toString() ?? null,
        headers: headers.map((each) => [each.key, each.value?.toString() ?? null]),
      })),
    );
  });

  aCase(
    "a batch that is too large for its topic is stored in parts, and a record that is fails alone",
    async (context) => {
      const { cluster, producer, settlements } = context;
      const topic = await cluster.createTopic(1, { "max.message.bytes": "1000" });
      const values = Array.from({ length: 20 }, (_, index) => `${index}`.padEnd(index === 13 ? 2_000 : 90, "."));
      const large = settlements.send(producer, batchOf(topic, 0, values));
      const behind = settlements.send(producer, batchOf(topic, 0, ["behind"]));
      const outcomes = await large;
      const error = outcomes[13];
      assert.ok(
        error instanceof IngestError && !error.retryable && error.reason === Reason.TOO_LARGE,
        brief(outcomes)[13] + "",
      );
      const expected = [...values.slice(0, 13), ...values.slice(14), "behind"];
      assert.deepEqual(
        outcomes.filter((_, index) => index !== 13),
        expected.slice(0, -1).map((_, offset) => offset),
      );
      assert.deepEqual(await behind, [19]);
      assert.deepEqual(valuesOf(await cluster.stored(topic, 1, expected.length)), [expected]);
    },
  );

  aCase("records that the topic refuses fail, and their neighbours are stored", async (context) => {
    const { cluster, producer, settlements } = context;
    const topic = await cluster.createTopic(1, { "cleanup.policy": "compact" });
    const timestamp = Date.now();
    const records = Array.from({ length: 9 }, (_, index): Record => {
      const key = index === 2 || index === 7 ? null : Buffer.from(`k${index}`);
      return { timestamp, key, value: Buffer.from(`v${index}`), headers: [] };
    });
    const batch: SealedBatch = { topic, partition: 0, count: 9, bytes: encodeRecordBatch(records) };
    const outcomes = await settlements.send(producer, batch);
    const refused = outcomes.flatMap((outcome, index) => (outcome instanceof IngestError ? index : []));
    assert.deepEqual(refused, [2, 7], brief(outcomes).join());
    const { reason, retryable } = outcomes[2] as IngestError;
    assert.deepEqual([reason, retryable], [Reason.REJECTED, false]);
    assert.deepEqual(valuesOf(await cluster.stored(topic, 1, 7)), [["v0", "v1", "v3", "v4", "v5", "v6", "v8"]]);
  });

  aCase("drain takes nothing new, and resolves when everything is settled", async (context) => {
    const { cluster, producer, settlements } = context;
    const topic = await cluster.createTopic(2);
    const sending = sendNumbered(context, topic, 2, 20);
    await producer.drain(Date.now() + 20_000);
    assert.equal(settlements.open, 0);
    const [late] = await settlements.send(producer, batchOf(topic, 0, ["late"]));
    assert.ok(late instanceof IngestError && late.retryable && late.code === Code.UNAVAILABLE);
    assert.deepEqual(valuesOf(await cluster.stored(topic, 2, 20)), await sending);
  });

  aCase("metrics tell connections, requests, bytes and time by the same names", async (context) => {
    const { cluster, producer, metrics } = context;
    const topic = await cluster.createTopic(1);
    await producer.lookup(topic);
    const sending = sendNumbered(context, topic, 1, 5);
    await sleep(1);
    assert.ok(total(metrics, "sluice_kafka_queued_events") > 0);
    assert.ok(total(metrics, "sluice_kafka_queued_oldest_age_seconds") > 0);
    await sending;
    assert.equal(total(metrics, "sluice_kafka_queued_oldest_age_seconds"), 0);
    assert.ok(total(metrics, "sluice_kafka_connections") >= 1);
    assert.ok(total(metrics, "sluice_kafka_requests_total", "Produce") >= 1);
    assert.ok(total(metrics, "sluice_kafka_sent_bytes_total") > 300);
    assert.ok(total(metrics, "sluice_kafka_received_bytes_total") > 100);
    for (const { name, series } of snapshot(metrics)) {
      if (!name.startsWith("sluice_kafka_")) continue;
      for (const [[broker]] of series) if (broker !== undefined) assert.match(broker, /^[^:]+:\d+$/, name);
    }
    const [[, buckets] = []] = snapshot(metrics).find(({ name }) => name === "sluice_kafka_request_seconds")!.series;
    assert.ok(
      (buckets as number[]).slice(0, -1).some((count) => count > 0),
      "the time of requests",
    );
    assert.equal(total(metrics, "sluice_kafka_requests_in_flight"), 0);
    assert.deepEqual(producer.health(), { ready: true, problems: [] });
    await producer.dispose();
    await producer.dispose();
    for (let tries = 0; tries < 100 && total(metrics, "sluice_kafka_connections") > 0; tries++) await sleep(10);
    assert.equal(total(metrics, "sluice_kafka_connections"), 0);
  });

  aCase("without a broker it says so, and dispose fails what waits", async () => {
    const { producer, metrics } = subject.create("127.0.0.1:1", { connectTimeoutMs: 200 });
    await producer.drain(Date.now() + 1_000);
    const { producer: started } = subject.create("127.0.0.1:1", { connectTimeoutMs: 200 }, fastClock(10));
    await started.start();
    const settlements = new Settlements();
    const waiting = settlements.send(started, batchOf("t", 0, ["a", "b"]));
    const error = await rejection(started.lookup("t"));
    assert.deepEqual([error.code, error.retryable], [Code.UNAVAILABLE, true]);
    assert.equal(started.health().ready, false);
    assert.match(started.health().problems.join(), /ECONNREFUSED|no broker/);
    await started.drain(Date.now() + 50);
    await started.dispose();
    const outcomes = await waiting;
    assert.ok(outcomes.every((outcome) => outcome instanceof IngestError && outcome.retryable));
    await producer.dispose();
    assert.equal(total(metrics, "sluice_kafka_queued_bytes"), 0);
  });

  for (const fault of faults) {
    aCase(`nothing is lost in the case of: ${fault}`, async (context) => {
      await storedInSpiteOf(context, fault);
    });
  }

  /** Batches go on while the fault happens; afterwards all of them are stored, in order. */
  async function storedInSpiteOf(context: Context, fault: ClusterFault): Promise<void> {
    const { cluster, producer, settlements } = context;
    const topic = await cluster.createTopic(2);
    const sent: string[][] = [[], []];
    const sending: Promise<Outcomes>[] = [];
    const stop = new AbortController();
    const faulty = sleep(50)
      .then(() => cluster.fail(fault, topic, 0))
      .then(() => sleep(100))
      .finally(() => stop.abort());
    for (let batch = 0; !stop.signal.aborted; batch++) {
      const values = [`${batch}.0`, `${batch}.1`];
      sent[batch % 2]!.push(...values);
      sending.push(settlements.send(producer, batchOf(topic, batch % 2, values)));
      await sleep(5);
    }
    await faulty;
    const outcomes = (await Promise.all(sending)).flat();
    assert.ok(
      outcomes.every((outcome) => typeof outcome === "number"),
      brief(outcomes).join(),
    );
    const stored = valuesOf(await cluster.stored(topic, 2, sent.flat().length));
    assert.deepEqual(subject.exactlyOnce ? stored : stored.map((partition) => [...new Set(partition)]), sent);
  }
}

interface Context {
  readonly cluster: ConformanceCluster;
  readonly producer: Producer;
  readonly metrics: Metrics;
  readonly settlements: Settlements;
}

/** One record a batch, round the partitions. Resolves with the values by partition. */
async function sendNumbered(
  { producer, settlements }: Context,
  topic: string,
  partitions: number,
  count: number,
): Promise<string[][]> {
  const numbers = Array.from({ length: count }, (_, index) => index);
  await Promise.all(
    numbers.map((each) =>
      settlements.send(producer, batchOf(topic, each % partitions, [`value ${each}`.padEnd(60, ".")])),
    ),
  );
  return Array.from({ length: partitions }, (_, partition) =>
    numbers.filter((each) => each % partitions === partition).map((each) => `value ${each}`.padEnd(60, ".")),
  );
}

function valuesOf(partitions: readonly (readonly StoredRecord[])[]): string[][] {
  return partitions.map((records) => records.map(({ value }) => value ?? "null"));
}

function total(metrics: Metrics, name: string, label?: string): number {
  const { series } = snapshot(metrics).find((metric) => metric.name === name)!;
  const chosen = label === undefined ? series : series.filter(([labels]) => labels.includes(label));
  return chosen.reduce((sum, [, each]) => sum + (typeof each === "number" ? each : 0), 0);
}

async function rejection(promise: Promise<unknown>): Promise<IngestError> {
  try {
    await promise;
  } catch (thrown) {
    assert.ok(thrown instanceof IngestError, String(thrown));
    return thrown;
  }
  return assert.fail("it was expected to reject");
}
