// Kafka's own Java code as the judge: its consumer reads, with checksums checked, what the wire code wrote, and its producer
// says where keys belong.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fc from "fast-check";
import { kafkaClassPath } from "../../scripts/kafka/jars.ts";
import { endedWithParent, forgetProcess, reapProcess } from "../../scripts/kafka/reaper.ts";
import { systemClock } from "../../src/clock.ts";
import type { Batch } from "../../src/ingest/batch.ts";
import { Pipeline } from "../../src/ingest/pipeline.ts";
import { Session } from "../../src/ingest/session.ts";
import { partitionOfKey } from "../../src/wire/murmur2.ts";
import { direct } from "../kafka/support/harness.ts";
import { javaConsume, type JavaRecord, kafkaTest } from "../support/kafka.ts";
import { placementRows } from "../support/placements.ts";
import { JAVA_VECTORS } from "./java-vectors.ts";
import { encodeRequest, type TestEvent } from "./requests.ts";

const PARTITIONS = 6;

/** Publishes the batches on one stream and resolves when each has its answer. */
async function publish(bootstrap: string, topic: string, batches: readonly (readonly TestEvent[])[]): Promise<Batch[]> {
  const { producer, metrics } = direct(bootstrap);
  await producer.start();
  try {
    const pipeline = new Pipeline(
      {
        topics: producer,
        replicated: producer,
        persisted: producer,
        metrics,
        clock: systemClock,
        random: Math.random,
      },
      { bytesMax: 64 << 20, timeoutMs: 30_000, recordBatchBytesMax: 64 << 10, lingerMs: 5, eventsMax: 10_000 },
    );
    const answers: Batch[] = [];
    const all = Promise.withResolvers<void>();
    const responder = {
      answered: (batch: Batch) => {
        if (answers.push(batch) === batches.length) all.resolve();
      },
      refused: (_: Batch, error: Error) => all.reject(error),
    };
    const session = new Session(
      pipeline,
      responder,
      { pause: () => {}, resume: () => {} },
      systemClock,
      metrics.publishBytes.with(),
    );
    for (const [sequence, events] of batches.entries()) {
      session.publish(encodeRequest({ sequence: BigInt(sequence), topic, durability: 1, events }));
    }
    await all.promise;
    return answers;
  } finally {
    await producer.dispose();
  }
}

/** The console tools' own separators, and what lines cannot hold, are not part of what is tested here. */
const SEPARATORS = ["\x1a", "\x1d", "\x1e", "\x1f"];
const isPrintable = (text: string): boolean => !SEPARATORS.some((separator) => text.includes(separator));
const text = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc
    .string({ unit: "binary", maxLength })
    .filter(isPrintable)
    .map((text) => Buffer.from(text));

const nowMs = Date.now();
const timestamps = fc
  .oneof(fc.integer({ min: 0, max: nowMs }), fc.integer({ min: nowMs - 10_000, max: nowMs }))
  .map((ms) => ({
    seconds: BigInt(Math.floor(ms / 1_000)),
    nanos: (ms % 1_000) * 1_000_000 + 999_999,
  }));

/** Each has a key or names its partition, so that where it has to lie is known. */
const events: fc.Arbitrary<TestEvent> = fc
  .record({
    place: fc.oneof(
      text(30).map((key) => ({ key })),
      fc.nat(PARTITIONS - 1).map((partition) => ({ partition })),
    ),
    rest: fc.record(
      {
        value: fc.oneof(text(60), text(4_000)),
        headers: fc.array(
          fc.tuple(
            fc.string({ unit: "binary", maxLength: 12 }).filter((name) => isPrintable(name) && !name.includes(":")),
            text(12),
          ),
          { maxLength: 5 },
        ),
      },
      { requiredKeys: ["headers"] },
    ),
    timestamp: timestamps,
  })
  .map(({ place, rest, timestamp }) => ({ ...place, ...rest, timestamp }));

type Content = Omit<JavaRecord, "offset">;

function withoutOffset({ partition, timestamp, headers, key, value }: JavaRecord): Content {
  return { partition, timestamp, headers, key, value };
}

function expected(event: TestEvent): Content {
  const { key, value, headers = [], timestamp, partition } = event;
  return {
    partition: partition ?? partitionOfKey(key!, 0, key!.length, PARTITIONS),
    timestamp: Number(timestamp!.seconds) * 1_000 + Math.floor(timestamp!.nanos / 1e6),
    headers: headers.map(([name, value]) => [name, value.toString()] as const),
    key: key?.toString() ?? null,
    value: value?.toString() ?? null,
  };
}

kafkaTest("Java's consumer reads random events as they were sent, in order", async (kafka, context) => {
  const topic = await kafka.createTopic("wire", {
    partitions: PARTITIONS,
    configs: { "retention.ms": "-1", "segment.ms": String(Number.MAX_SAFE_INTEGER) },
  });
  const seed = Date.now() & 0x7fff_ffff;
  context.diagnostic(`seed ${seed}`);
  const batches = fc.sample(fc.array(events, { minLength: 1, maxLength: 60, size: "max" }), { numRuns: 60, seed });
  const all = batches.flat();
  const answers = await publish(kafka.bootstrap, topic, batches);
  assert.deepEqual(
    answers.flatMap(({ failures }) => failures),
    [],
  );
  const records = await javaConsume({
    bootstrap: kafka.bootstrap,
    topic,
    count: all.length,
    extraMs: 300,
    timeoutMs: 60_000,
  });
  assert.equal(records.length, all.length);
  const sent = all.map(expected);
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const read = records.filter((record) => record.partition === partition);
    assert.deepEqual(
      read.map(({ offset }) => offset),
      read.map((_, offset) => offset),
    );
    assert.deepEqual(
      read.map(withoutOffset),
      sent.filter((record) => record.partition === partition),
    );
  }
  // The placements say the same as the log.
  const counts = Array<number>(PARTITIONS).fill(0);
  for (const { placements } of answers) {
    for (const [, partition, , count] of placementRows(placements)) counts[partition]! += count;
  }
  assert.deepEqual(
    counts,
    Array.from(counts, (_, partition) => sent.filter((record) => record.partition === partition).length),
  );
});

kafkaTest("nulls, empty bytes, empty headers and long values come through", async (kafka) => {
  const topic = await kafka.createTopic("wire-edges", { partitions: PARTITIONS });
  const timestamp = { seconds: BigInt(Math.floor(nowMs / 1_000)), nanos: 1_999_999 };
  const empty = Buffer.alloc(0);
  const contents: TestEvent[] = [
    {},
    { value: empty },
    { key: empty, value: empty },
    { key: empty },
    { headers: [["", empty]] },
    {
      headers: [
        ["b", Buffer.from("1")],
        ["a", Buffer.from("2")],
        ["b", Buffer.from("3")],
      ],
    },
    { value: Buffer.alloc(500_000, "x") },
    { key: Buffer.alloc(100_000, "k") },
  ];
  const edges = contents.map((event) => ({ ...event, partition: 3, timestamp }));
  const [answer] = await publish(kafka.bootstrap, topic, [edges]);
  assert.equal(answer!.stored, edges.length);
  const records = await javaConsume({ bootstrap: kafka.bootstrap, topic, count: edges.length });
  assert.deepEqual(records.map(withoutOffset), edges.map(expected));
});

/** Sends each key with Java's console producer, as key and as value, and resolves when all are acknowledged. */
async function javaProduce(bootstrap: string, topic: string, keys: readonly string[]): Promise<void> {
  const [command, args] = endedWithParent("java", [
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dfile.encoding=UTF-8",
    "-cp",
    await kafkaClassPath(),
    "org.apache.kafka.tools.ConsoleProducer",
    "--bootstrap-server",
    bootstrap,
    "--topic",
    topic,
    "--property",
    "parse.key=true",
    "--property",
    "key.separator=\t",
  ]);
  const child = spawn(command, args, { stdio: ["pipe", "ignore", "pipe"] });
  const { pid } = child;
  if (pid !== undefined) reapProcess(pid);
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    complaints = (complaints + chunk).slice(-4_000);
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
  child.stdin.end(keys.map((key) => `${key}\t${key}\n`).join(""));
  const [code] = (await once(child, "close")) as [code: number | null];
  clearTimeout(timer);
  if (pid !== undefined) forgetProcess(pid);
  assert.equal(code, 0, complaints);
}

kafkaTest("keys lie in the partitions where Java's producer puts them", async (kafka) => {
  const word = fc
    .string({ unit: "grapheme", minLength: 1, maxLength: 40 })
    .filter((key) => isPrintable(key) && !/[\t\r\n]/.test(key));
  const keys = [...new Set([...JAVA_VECTORS.map(([key]) => key), ...fc.sample(word, 300)])];
  const [ours, javas] = await Promise.all(
    ["ours", "javas"].map((name) => kafka.createTopic(`wire-${name}`, { partitions: 50 })),
  );
  await Promise.all([
    publish(kafka.bootstrap, ours!, [keys.map((key) => ({ key: Buffer.from(key), value: Buffer.from(key) }))]),
    javaProduce(kafka.bootstrap, javas!, keys),
  ]);
  const partitionsOf = async (topic: string): Promise<Map<string | null, number>> => {
    const records = await javaConsume({ bootstrap: kafka.bootstrap, topic, count: keys.length });
    return new Map(records.map(({ key, partition }) => [key, partition]));
  };
  const expected = await partitionsOf(javas!);
  assert.equal(expected.size, keys.length);
  assert.deepEqual(await partitionsOf(ours!), expected);
  for (const [key, hash] of JAVA_VECTORS) assert.equal(expected.get(key), (hash & 0x7fff_ffff) % 50);
});
