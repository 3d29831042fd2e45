// The rules by which kafkajs is safe to use, and what they cost: at least once.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import test from "node:test";
import pino from "pino";

import { type Clock, systemClock } from "../../src/clock.ts";
import { Code, IngestError, Reason } from "../../src/errors.ts";
import { KafkajsProducer } from "../../src/kafka/kafkajs.ts";
import { Client } from "../../src/kafka/kafkajs/client.ts";
import type { KafkaOptions } from "../../src/kafka/options.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { encodeRecordBatch } from "../../src/wire/encode-records.ts";
import { FakeCluster, type FakeClusterOptions, type Fault } from "../support/fake-broker.ts";
import { watch } from "./support/attempts.ts";
import { batchOf, type Outcomes, Settlements } from "./support/batches.ts";
import { fastClock, kafkaOptions, storedValues, until, value } from "./support/harness.ts";
import { saslServer } from "./support/sasl-server.ts";

async function start(
  options: FakeClusterOptions = {},
  overrides: Partial<KafkaOptions> = {},
  clock: Clock = systemClock,
) {
  const cluster = await FakeCluster.start({ topics: { t: 1 }, ...options });
  const metrics = createMetrics();
  const dependencies = { log: silentLogger(), metrics, clock, random: Math.random };
  const producer = new KafkajsProducer(dependencies, kafkaOptions(cluster.bootstrap, overrides));
  await producer.start();
  const settlements = new Settlements();
  const send = (values: readonly string[], partition = 0): Promise<Outcomes> =>
    settlements.send(producer, batchOf("t", partition, values));
  return {
    cluster,
    producer,
    metrics,
    settlements,
    send,
    [Symbol.asyncDispose]: async () => {
      await producer.dispose();
      await cluster.stop();
      assert.deepEqual(cluster.violations, []);
      assert.equal(value(metrics, "sluice_kafka_queued_bytes"), 0);
    },
  };
}

const before = (code: number): Fault => ({ action: "error", code, when: "before" });
const after = (code: number): Fault => ({ action: "error", code, when: "after" });

function failure(outcomes: Outcomes, record = 0): IngestError {
  const outcome = outcomes[record];
  assert.ok(outcome instanceof IngestError, `record ${record}: ${String(outcome)}`);
  return outcome;
}

test("a request carries one partition, without idempotence, and a partition has one request under way", async () => {
  await using harness = await start({ brokers: 2, topics: { t: 4 } });
  const attempts = watch(harness.cluster, () => ({ delayMs: 5 }));
  let partitionsInRequest = 0;
  const { onProduce } = harness.cluster;
  harness.cluster.onProduce = (request) => {
    partitionsInRequest = Math.max(partitionsInRequest, request.partitions.length);
    assert.equal(request.acks, -1);
    return onProduce!(request);
  };
  const sending: Promise<Outcomes>[] = [];
  for (let batch = 0; batch < 40; batch++) sending.push(harness.send([`${batch}`], batch % 4));
  const requests = (): number => value(harness.metrics, "sluice_kafka_requests_in_flight");
  await until(() => attempts.length > 0, "it sends");
  assert.ok(requests() <= 4);
  await Promise.all(sending);
  assert.equal(partitionsInRequest, 1);
  assert.deepEqual(new Set(attempts.map(({ producerId }) => producerId)), new Set([-1n]));
  assert.equal(harness.cluster.count("InitProducerId"), 0);
});

for (const [what, fault, copies] of [
  ["an error before it is stored", before(7), 1],
  ["an error after it is stored", after(7), 2],
  ["a connection that ends before it is stored", { action: "disconnect", when: "before" }, 1],
  ["a connection that ends after it is stored", { action: "disconnect", when: "after" }, 2],
  ["an answer that never comes", { action: "drop-response" }, 2],
  ["a leader that is not one", before(6), 1],
  ["too few replicas", before(19), 1],
] as const) {
  test(`after ${what}, a new kafkajs producer stores it, at least once and in order`, async () => {
    await using harness = await start({}, { requestTimeoutMs: 300 });
    await harness.send(["warm"]);
    const attempts = watch(harness.cluster, [fault]);
    const outcomes = await Promise.all(["a", "b", "c"].map((each) => harness.send([each])));
    const stored = storedValues(harness.cluster, "t", 0);
    assert.deepEqual(stored, ["warm", ...Array.from({ length: copies }, () => "a"), "b", "c"]);
    assert.deepEqual(
      outcomes.flat().map((offset) => stored[Number(offset)]),
      ["a", "b", "c"],
    );
    assert.notEqual(attempts[1]!.connection, attempts[0]!.connection);
    assert.equal(value(harness.metrics, "sluice_kafka_retries_total"), 1);
    if (copies > 1) assert.equal(value(harness.metrics, "sluice_kafka_possible_duplicates_total"), 1);
  });
}

test("the rejection of one partition does not take away what another has under way", async () => {
  await using harness = await start({ brokers: 2, topics: { t: 2 } });
  await Promise.all([harness.send(["warm"], 0), harness.send(["warm"], 1)]);
  watch(harness.cluster, ([first]) =>
    first!.partition === 1
      ? { delayMs: 150 }
      : first!.values[0] === "a" && first!.connection < 6
        ? before(6)
        : undefined,
  );
  const slow = harness.send(["slow"], 1);
  assert.deepEqual(await harness.send(["a"], 0), [1]);
  assert.deepEqual(await slow, [1]);
  assert.deepEqual(storedValues(harness.cluster, "t", 1), ["warm", "slow"]);
});

test("kafkajs producers that are replaced leave no connection behind", async () => {
  await using harness = await start({}, {}, fastClock(10));
  let left = 12;
  watch(harness.cluster, () => (left-- > 0 ? before(left % 2 === 0 ? 6 : 7) : undefined));
  const sending = harness.send(["a"]);
  await sending;
  // That of the admin client, and that of the producer.
  await until(() => harness.cluster.broker(1).connections <= 2, "they are closed");
  assert.ok(value(harness.metrics, "sluice_kafka_connections") <= 2);
});

test("a corrupt batch is tried three times, then it fails; what follows is stored", async () => {
  await using harness = await start();
  const attempts = watch(harness.cluster, ([first]) => (first!.values[0] === "a" ? before(2) : undefined));
  const corrupt = harness.send(["a"]);
  const behind = harness.send(["b"]);
  assert.equal(failure(await corrupt).code, Code.INTERNAL);
  assert.deepEqual(await behind, [0]);
  assert.equal(attempts.length, 4);
});

test("a topic that is denied fails what is queued, retryable, and works once it may", async () => {
  await using harness = await start();
  await harness.send(["warm"]);
  watch(harness.cluster, ([first]) => (first!.values[0] === "z" ? undefined : before(29)));
  const outcomes = await Promise.all(["a", "b", "c"].map((each) => harness.send([each])));
  for (const each of outcomes) {
    assert.deepEqual([failure(each).reason, failure(each).retryable], [Reason.NOT_AUTHORIZED, true]);
  }
  assert.match(harness.producer.health().problems.join(), /Kafka refuses topic t.*grant WRITE/);
  assert.deepEqual(await harness.send(["z"]), [1]);
  assert.deepEqual(harness.producer.health().problems, []);
});

test("a topic that stays gone fails what waits for it, retryable", async () => {
  await using harness = await start({}, {}, fastClock(40));
  await harness.producer.lookup("t");
  await harness.send(["warm"]);
  harness.cluster.deleteTopic("t");
  const error = failure(await harness.send(["a"]));
  assert.deepEqual([error.reason, error.retryable], [Reason.UNKNOWN_TOPIC, true]);
  await until(() => harness.producer.topic("t") === undefined, "it is forgotten");
});

test("a partition that kafkajs does not know is not taken for stored", async () => {
  await using harness = await start({}, {}, fastClock(40));
  const error = failure(await harness.send(["a"], 7));
  assert.deepEqual([error.reason, error.retryable], [Reason.UNKNOWN_TOPIC, true]);
});

test("a header without a value, which kafkajs cannot write, fails alone", async () => {
  await using harness = await start();
  const records = ["a", null, "c"].map((header, index) => ({
    timestamp: 1,
    key: null,
    value: Buffer.from(`${index}`),
    headers: [{ key: "h", value: header === null ? null : Buffer.from(header) }],
  }));
  const batch = { topic: "t", partition: 0, count: 3, bytes: encodeRecordBatch(records) };
  const outcomes = await harness.settlements.send(harness.producer, batch);
  assert.deepEqual([outcomes[0], outcomes[2]], [0, 1]);
  assert.match(failure(outcomes, 1).message, /kafkajs cannot write a header without a value: h/);
});

test("bytes that are no record batch fail as our bug, and do not stop the partition", async () => {
  await using harness = await start();
  const batch = { ...batchOf("t", 0, ["a"]) };
  batch.bytes[16] = 0;
  assert.equal(failure(await harness.settlements.send(harness.producer, batch)).code, Code.INTERNAL);
  assert.deepEqual(await harness.send(["b"]), [0]);
});

test("new partitions are seen within the maximum age of metadata", async () => {
  await using harness = await start({}, { metadataMaxAgeMs: 100 });
  await harness.producer.lookup("t");
  harness.cluster.deleteTopic("t");
  harness.cluster.createTopic("t", { partitions: 3 });
  await until(() => harness.producer.topic("t")?.partitions === 3, "they are seen");
});

test("a cluster that comes up late is found", async () => {
  await using harness = await start();
  await harness.cluster.stop();
  const waiting = harness.send(["a"]);
  await until(() => !harness.producer.health().ready, "it is missed");
  await harness.cluster.start();
  assert.deepEqual(await waiting, [0]);
  await until(() => harness.producer.health().ready, "it is found");
});

for (const mechanism of ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] as const) {
  test(`${mechanism} with a wrong password is a problem, and no secret is told`, async () => {
    await using server = await saslServer({ mechanisms: [mechanism], username: "alice", password: "secret" });
    const dependencies = { log: silentLogger(), metrics: createMetrics(), clock: systemClock, random: Math.random };
    const sasl = { mechanism, username: "alice", password: "guess" } as const;
    const producer = new KafkajsProducer(dependencies, kafkaOptions(server.bootstrap, { sasl }));
    await producer.start();
    await until(() => /SASL|[Aa]uthentication/.test(producer.health().problems.join()), "it is said");
    assert.doesNotMatch(producer.health().problems.join(), /guess/);
    assert.equal(server.admitted, 0);
    await producer.dispose();
  });
}

test("a connection that could not be made is none, also before its socket has closed", async () => {
  const seen: boolean[] = [];
  // kafkajs logs while it is told of the error.
  const log = pino({ level: "debug" }, { write: () => seen.push(client.connected) });
  const client = new Client(log, createMetrics(), kafkaOptions("127.0.0.1:1"));
  await assert.rejects(client.kafka.admin().connect(), /ECONNREFUSED/);
  client.close();
  assert.deepEqual(new Set(seen), new Set([false]));
});

test("a broker that cannot do TLS is one that kafkajs could not connect to, not a connection that was lost", async () => {
  const server = createServer((socket) => {
    // It does not understand, and says so as Kafka does: by hanging up.
    socket.on("error", () => {}).once("data", () => socket.end());
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const metrics = createMetrics();
  const at = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new Client(silentLogger(), metrics, kafkaOptions(at, { tls: { ca: undefined } }));
  await assert.rejects(client.kafka.admin().connect());
  client.close();
  server.close();
  await once(server, "close");
  assert.ok(value(metrics, "sluice_kafka_connect_failures_total", at) > 0);
  assert.equal(value(metrics, "sluice_kafka_disconnects_total", at), 0);
  assert.equal(value(metrics, "sluice_kafka_connections", at), 0);
});
