// The whole way, with nothing in between replaced: the product's client, the service as processes, a real broker, and Java's
// consumer with its checksums on.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BatchInit, connect, type EventInit, type SluiceClient } from "../../src/client/index.ts";
import { murmur2 } from "../../src/wire/murmur2.ts";
import { javaConsume, javaConsumeEach, kafkaTest } from "../support/kafka.ts";
import { startService } from "../support/service.ts";

const PARTITIONS = 6;

/** The partition that the Java client gives a key. */
function javaPartition(key: string): number {
  const bytes = Buffer.from(key);
  return (murmur2(bytes, 0, bytes.length) & 0x7fff_ffff) % PARTITIONS;
}

/** Event number `n` of a sender: every shape in turn, and all of it told by the two numbers. */
function eventOf(
  sender: number,
  n: number,
): EventInit & { readonly key: string | null; readonly value: string | null } {
  const key = n % 5 === 0 ? null : n % 1_000 === 1 ? "" : `key-${sender}-${n % 50}`;
  const value = n % 17 === 3 ? null : n % 19 === 4 ? "" : `${sender}/${n} ${"é🦩x".repeat(n % 60)}`;
  const headers = [{ key: "id", value: `${sender}/${n}` }];
  for (let i = 0; i < n % 4; i++) headers.push({ key: `header-${i % 2}`, value: i === 1 ? "" : `v${n % 7}` });
  return { key, value, headers, ...(n % 3 === 0 ? {} : { timestamp: 1_600_000_000_000 + n }) };
}

/** Batches of 1 to 500 events. */
function* batchesOf(sender: number, events: number, topic: string): Generator<BatchInit> {
  for (let n = 0, size = 1; n < events; n += size) {
    size = Math.min(events - n, 1 + ((sender * 31 + n * 17) % 500));
    yield { topic, events: Array.from({ length: size }, (_, i) => eventOf(sender, n + i)) };
  }
}

async function sendStream(client: SluiceClient, batches: Iterable<BatchInit>): Promise<number> {
  const stream = client.openStream({ batchesMax: 8 });
  const answers: Promise<number>[] = [];
  for (const batch of batches) {
    await stream.ready();
    answers.push(stream.publish(batch).then(({ stored }) => stored));
  }
  const stored = (await Promise.all(answers)).reduce((sum, each) => sum + each, 0);
  await stream.close();
  return stored;
}

async function sendUnary(client: SluiceClient, batches: Iterable<BatchInit>): Promise<number> {
  let stored = 0;
  for (const batch of batches) stored += (await client.publish(batch)).stored;
  return stored;
}

kafkaTest(
  "200,000 events of every shape, over streams and unary, are in Kafka once each, and keep their order by key",
  async (kafka) => {
    const senders = 8;
    const perSender = 25_000;
    const total = senders * perSender;
    const topic = await kafka.createTopic("e2e", { partitions: PARTITIONS });
    await using service = await startService({ env: { KAFKA_BROKERS: kafka.bootstrap, WORKERS: "2" } });
    const clients = Array.from({ length: senders }, () => connect(service.grpcAddress));
    const stored = await Promise.all(
      clients.map((client, sender) => {
        const batches = batchesOf(sender, perSender, topic);
        return sender % 2 === 0 ? sendStream(client, batches) : sendUnary(client, batches);
      }),
    );
    await Promise.all(clients.map((client) => client.close()));
    assert.deepEqual(stored, Array<number>(senders).fill(perSender));

    const seen = new Uint8Array(total);
    const lastOfKey = new Map<string, number>();
    const counts = { twice: 0, wrong: 0, misplaced: 0, reordered: 0 };
    const consumed = await javaConsumeEach(
      { bootstrap: kafka.bootstrap, topic, count: total, timeoutMs: 60_000, extraMs: 1_000 },
      (record) => {
        const [sender, n] = record.headers[0]![1]!.split("/").map(Number) as [number, number];
        const at = sender * perSender + n;
        if (seen[at] !== 0) counts.twice++;
        seen[at] = 1;
        const sent = eventOf(sender, n);
        const same =
          record.key === sent.key &&
          record.value === sent.value &&
          (sent.timestamp === undefined || record.timestamp === sent.timestamp) &&
          JSON.stringify(record.headers) === JSON.stringify(sent.headers!.map(({ key, value }) => [key, value]));
        if (!same) counts.wrong++;
        if (sent.key === null || sent.key === "") return;
        if (record.partition !== javaPartition(sent.key)) counts.misplaced++;
        if ((lastOfKey.get(sent.key) ?? -1) >= n) counts.reordered++;
        lastOfKey.set(sent.key, n);
      },
    );
    assert.equal(consumed, total);
    assert.deepEqual(counts, { twice: 0, wrong: 0, misplaced: 0, reordered: 0 });
    assert.equal((await service.stop()).code, 0);
  },
  { timeout: 180_000 },
);

kafkaTest(
  "what was persisted without brokers is in Kafka once brokers are set, on the Java client's partitions",
  async (kafka) => {
    const topic = await kafka.createTopic("spooled", { partitions: PARTITIONS });
    const dataDir = await mkdtemp(join(tmpdir(), "sluice-test-"));
    const env = { DATA_DIR: dataDir, WORKERS: "2" };
    const events = Array.from({ length: 2_000 }, (_, n) => ({ key: `key-${n % 40}`, value: `value ${n}` }));
    try {
      {
        await using embedded = await startService({ env });
        const client = connect(embedded.grpcAddress);
        for (let n = 0; n < events.length; n += 250) {
          const answer = await client.publish({ topic, events: events.slice(n, n + 250) });
          assert.equal(answer.stored, 250);
        }
        await client.close();
        assert.equal((await embedded.stop()).code, 0);
      }
      // One worker fewer: it has to look after both spools.
      await using service = await startService({ env: { ...env, WORKERS: "1", KAFKA_BROKERS: kafka.bootstrap } });
      const records = await javaConsume({
        bootstrap: kafka.bootstrap,
        topic,
        count: events.length,
        timeoutMs: 40_000,
        extraMs: 1_000,
      });
      assert.equal(records.length, events.length);
      assert.deepEqual(new Set(records.map(({ value }) => value)), new Set(events.map(({ value }) => value)));
      for (const { key, partition } of records) assert.equal(partition, javaPartition(key!));
      for (const key of new Set(events.map((event) => event.key))) {
        const order = records.filter((record) => record.key === key).map(({ value }) => Number(value!.split(" ")[1]));
        assert.deepEqual(
          order,
          order.toSorted((a, b) => a - b),
          `the order of ${key}`,
        );
      }
      assert.equal((await service.stop()).code, 0);
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  },
);

kafkaTest("events that Kafka would refuse fail alone, with the reason, before they get there", async (kafka) => {
  const topic = await kafka.createTopic("limits", { partitions: 3, configs: { "max.message.bytes": "2000" } });
  const compacted = await kafka.createTopic("compacted", { partitions: 1, configs: { "cleanup.policy": "compact" } });
  await using service = await startService({ env: { KAFKA_BROKERS: kafka.bootstrap, WORKERS: "1" } });
  const client = connect(service.grpcAddress);
  const good = { value: "good" };
  const answer = await client.publish({
    topic,
    events: [
      good,
      { value: "x".repeat(2_000) },
      { ...good, partition: 3 },
      { ...good, topic: `${topic}-missing` },
      { ...good, topic: compacted },
      { ...good, timestamp: Date.now() + 2 * 3_600_000 },
      { ...good, topic: compacted, key: "k" },
    ],
  });
  assert.equal(answer.stored, 2);
  const failures = answer.failures.map(({ index, reason, message }) => [index, reason, message] as const);
  assert.deepEqual(
    failures.map(([index, reason]) => [index, reason]),
    [
      [1, 4],
      [2, 3],
      [3, 1],
      [4, 6],
      [5, 5],
    ],
  );
  assert.match(
    failures[0]![2],
    /^the event takes 207\d bytes as a record batch, topic limits-\w+ takes 2000 \(max\.message\.bytes\)$/,
  );
  assert.match(failures[1]![2], /^partition 3 does not exist: topic limits-\w+ has partitions 0 to 2$/);
  assert.match(
    failures[2]![2],
    /^topic limits-\w+-missing does not exist: create it, or start the service with KAFKA_AUTO_CREATE_TOPICS=true$/,
  );
  assert.match(failures[3]![2], /^topic compacted-\w+ is compacted: its events need a key$/);
  assert.match(
    failures[4]![2],
    /lies more than 3600000 ms after now \(message\.timestamp\.after\.max\.ms of topic limits-\w+\)$/,
  );
  const records = await javaConsume({ bootstrap: kafka.bootstrap, topic, count: 1, extraMs: 500 });
  assert.deepEqual(
    records.map(({ value }) => value),
    ["good"],
  );
  await client.close();
  assert.equal((await service.stop()).code, 0);
});
