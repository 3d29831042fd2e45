// The direct producer and a cluster that is old, late, partly dead, in the middle of an election, or no Kafka at all.

import assert from "node:assert/strict";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Code, IngestError, Reason } from "../../src/errors.ts";
import { FakeCluster, once } from "../support/fake-broker.ts";
import { watch } from "./support/attempts.ts";
import { batchOf, Settlements } from "./support/batches.ts";
import { direct, fastClock, start, storedValues, until, value } from "./support/harness.ts";

/** A port that refuses. */
const NOBODY = "127.0.0.1:1";

function rejection(promise: Promise<unknown>): Promise<IngestError> {
  return promise.then(
    () => assert.fail("it was expected to reject"),
    (thrown: unknown) => {
      assert.ok(thrown instanceof IngestError);
      return thrown;
    },
  );
}

// --- Versions -----------------------------------------------------------------------------------------------------------

for (const [profile, produce, metadata] of [
  ["2.8", 9, 11],
  ["4.1", 11, 12],
] as const) {
  test(`a cluster that looks like Kafka ${profile} is spoken to with Produce v${produce} and Metadata v${metadata}`, async () => {
    await using harness = await start({ profile, brokers: 2, topics: { t: 2 } });
    const settlements = new Settlements();
    const outcomes = await Promise.all(
      [0, 1].map((partition) => settlements.send(harness.producer, batchOf("t", partition, ["a"]))),
    );
    assert.deepEqual(outcomes, [[0], [0]]);
    const versions = (api: string) =>
      new Set(harness.cluster.requests.flatMap((request) => (request.api === api ? request.version : [])));
    assert.deepEqual([versions("Produce"), versions("Metadata")], [new Set([produce]), new Set([metadata])]);
  });
}

test("a broker that knows no flexible ApiVersions is asked in the oldest way", async () => {
  await using harness = await start({ versions: { ApiVersions: [0, 2] } });
  assert.deepEqual(await new Settlements().send(harness.producer, batchOf("t", 0, ["a"])), [0]);
});

test("a broker that is too old is a problem that says so, and a lookup fails with it", async () => {
  await using harness = await start({ versions: { Produce: [0, 8] } }, {}, fastClock(10));
  const error = await rejection(harness.producer.lookup("t"));
  assert.deepEqual([error.code, error.retryable], [Code.UNAVAILABLE, true]);
  const { ready, problems } = harness.producer.health();
  assert.equal(ready, false);
  for (const text of [error.message, ...problems]) {
    assert.match(text, /broker 127\.0\.0\.1:\d+ offers Produce 0 to 8, needed is 9 to 11: use Kafka 2\.8 or later/);
  }
});

// --- Bootstrap ----------------------------------------------------------------------------------------------------------

test("one bootstrap address that answers is enough", async () => {
  await using cluster = await FakeCluster.start({ topics: { t: 1 } });
  const { producer } = direct(`${NOBODY},${cluster.bootstrap}`);
  await producer.start();
  assert.equal((await producer.lookup("t")).partitions, 1);
  assert.deepEqual(await new Settlements().send(producer, batchOf("t", 0, ["a"])), [0]);
  assert.deepEqual(producer.health(), { ready: true, problems: [] });
  await producer.dispose();
});

test("a cluster that comes up late is found, and gets what has waited for it, in order", async () => {
  const cluster = await FakeCluster.start({ brokers: 2, topics: { t: 1 } });
  await cluster.stop();
  const { producer } = direct(cluster.bootstrap);
  await producer.start();
  const settlements = new Settlements();
  const values = Array.from({ length: 20 }, (_, index) => `v${index}`);
  const sending = values.map((each) => settlements.send(producer, batchOf("t", 0, [each])));
  await sleep(200);
  const { ready, problems } = producer.health();
  assert.equal(ready, false);
  assert.match(problems.join(), /connection to 127\.0\.0\.1:\d+ failed: connect ECONNREFUSED/);
  await cluster.start();
  await Promise.all(sending);
  assert.deepEqual(storedValues(cluster, "t", 0), values);
  assert.deepEqual(producer.health(), { ready: true, problems: [] });
  await producer.dispose();
  await cluster.stop();
});

test("attempts to connect are counted by broker when they fail, from 0 on; no other counter of trouble moves", async () => {
  await using harness = await start({ topics: { t: 1 } }, {}, fastClock(10));
  const name = harness.cluster.bootstrap;
  const of = (metric: string) => value(harness.metrics, metric, name);
  assert.deepEqual(await new Settlements().send(harness.producer, batchOf("t", 0, ["a"])), [0]);
  assert.equal(of("sluice_kafka_connect_failures_total"), 0);
  await harness.cluster.stop();
  const late = new Settlements().send(harness.producer, batchOf("t", 0, ["b"]));
  await until(() => of("sluice_kafka_connect_failures_total") > 2, "it has tried again and again");
  assert.deepEqual([of("sluice_kafka_disconnects_total"), of("sluice_kafka_throttle_seconds_total")], [1, 0]);
  await harness.cluster.start();
  assert.deepEqual(await late, [1]);
});

test("a broker that failed once and that nobody needs any more is no problem for ever", async () => {
  const clock = fastClock(20);
  await using harness = await start({ brokers: 2, topics: { t: 1 } }, { metadataMaxAgeMs: 1_000 }, clock);
  const { cluster, producer } = harness;
  const settlements = new Settlements();
  cluster.moveLeader("t", 0, 2);
  cluster.broker(2).pause();
  const sending = settlements.send(producer, batchOf("t", 0, ["a"]));
  await until(() => /not ready for use/.test(producer.health().problems.join()), "it is noticed");
  cluster.moveLeader("t", 0, 1);
  await sending;
  cluster.broker(2).resume();
  await until(() => producer.health().problems.length === 0, "it is forgotten");
});

for (const [what, answer, problem] of [
  [
    "an HTTP server",
    (socket: Socket) => void socket.on("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")),
    /127\.0\.0\.1:\d+ does not speak Kafka's protocol/,
  ],
  [
    "a server that hangs up",
    (socket: Socket) => void socket.destroy(),
    /127\.0\.0\.1:\d+ (closed the connection|failed)/,
  ],
  ["a server that says nothing", () => {}, /broker 127\.0\.0\.1:\d+ was not ready for use within 100 ms/],
  [
    "a server that answers nonsense",
    (socket: Socket) => void socket.on("data", () => socket.write(Buffer.from("0000000a00000000ffffffffffff", "hex"))),
    /127\.0\.0\.1:\d+/,
  ],
] as const) {
  test(`${what} on a broker's port is a problem that says so, and is not asked to death`, async () => {
    let connections = 0;
    const sockets = new Set<Socket>();
    const server: Server = createServer((socket) => {
      connections++;
      sockets.add(socket.on("error", () => {}));
      answer(socket);
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const { producer } = direct(`127.0.0.1:${(server.address() as AddressInfo).port}`, { connectTimeoutMs: 100 });
    await producer.start();
    await until(() => /127/.test(producer.health().problems.join()), "it is noticed");
    await sleep(300);
    assert.match(producer.health().problems.join(), problem);
    assert.equal(producer.health().ready, false);
    assert.ok(connections <= 6, `${connections} connections`);
    await producer.dispose();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
}

// --- Topics -------------------------------------------------------------------------------------------------------------

test("lookup tells a topic's partitions and limits, and topic() knows them afterwards", async () => {
  const configs = {
    "max.message.bytes": "5000",
    "message.timestamp.before.max.ms": "1000",
    "message.timestamp.after.max.ms": "2000",
    "cleanup.policy": "compact,delete",
  };
  await using harness = await start({ topics: { t: { partitions: 3, configs } } });
  assert.equal(harness.producer.topic("t"), undefined);
  const info = await harness.producer.lookup("t");
  assert.deepEqual(info, {
    name: "t",
    partitions: 3,
    maxBatchBytes: 5_000,
    timestampBeforeMaxMs: 1_000,
    timestampAfterMaxMs: 2_000,
    keyRequired: true,
  });
  assert.equal(harness.producer.topic("t"), info);
  assert.equal(await harness.producer.lookup("t"), info, "the same object while nothing changes");
});

test("a topic that overwrites timestamps takes all of them; an old broker has one limit for both sides", async () => {
  const forever = Number.POSITIVE_INFINITY;
  await using modern = await start({ topics: { t: { configs: { "message.timestamp.type": "LogAppendTime" } } } });
  const appendTime = await modern.producer.lookup("t");
  assert.deepEqual([appendTime.timestampBeforeMaxMs, appendTime.timestampAfterMaxMs], [forever, forever]);
  const configs = { "message.timestamp.difference.max.ms": "3000" };
  await using old = await start({ profile: "2.8", topics: { t: { configs } } });
  const difference = await old.producer.lookup("t");
  assert.deepEqual([difference.timestampBeforeMaxMs, difference.timestampAfterMaxMs], [3_000, 3_000]);
});

test("a topic whose settings may not be seen has Kafka's defaults", async () => {
  await using harness = await start({ topics: { t: { configs: { "max.message.bytes": "5000" } } } });
  harness.cluster.onRequest = ({ api }) => (api === "DescribeConfigs" ? { action: "error", code: 29 } : undefined);
  const info = await harness.producer.lookup("t");
  assert.deepEqual([info.maxBatchBytes, info.timestampAfterMaxMs], [1_048_588, Number.POSITIVE_INFINITY]);
});

test("a topic that does not exist, or may not be seen, is an error at once; one that is not ready is waited for", async () => {
  await using harness = await start({ autoCreatePartitions: 3 });
  const unknown = await rejection(harness.producer.lookup("missing"));
  assert.deepEqual([unknown.code, unknown.retryable, unknown.reason], [Code.NOT_FOUND, false, Reason.UNKNOWN_TOPIC]);
  assert.match(unknown.message, /topic missing does not exist: create it, or start .* KAFKA_AUTO_CREATE_TOPICS=true/);
  for (const [code, reason] of [
    [29, Reason.NOT_AUTHORIZED],
    [17, Reason.INVALID_TOPIC],
  ] as const) {
    harness.cluster.onRequest = ({ api }) => (api === "Metadata" ? { action: "error", code } : undefined);
    const refused = await rejection(harness.producer.lookup("t"));
    assert.deepEqual([refused.reason, refused.retryable], [reason, false]);
  }
  harness.cluster.onRequest = once({ action: "error", code: 5 }, ({ api }) => api === "Metadata");
  assert.equal((await harness.producer.lookup("t")).partitions, 1);
});

test("a topic is created only where the setting says so, and never as a side effect of Metadata", async () => {
  await using harness = await start({}, { autoCreateTopics: true });
  assert.equal((await harness.producer.lookup("new")).partitions, 1);
  assert.equal(harness.cluster.count("CreateTopics"), 1);
  assert.deepEqual(await new Settlements().send(harness.producer, batchOf("new", 0, ["a"])), [0]);
  await using strict = await start({ autoCreatePartitions: 3 });
  await rejection(strict.producer.lookup("new"));
  assert.throws(() => strict.cluster.log("new", 0));
  assert.equal(strict.cluster.count("CreateTopics"), 0);
});

test("a topic whose creation is refused says why; a controller that is not one is asked again", async () => {
  await using harness = await start({}, { autoCreateTopics: true });
  harness.cluster.onRequest = ({ api }) => (api === "CreateTopics" ? { action: "error", code: 29 } : undefined);
  assert.equal((await rejection(harness.producer.lookup("new"))).reason, Reason.NOT_AUTHORIZED);
  harness.cluster.onRequest = once({ action: "error", code: 41 }, ({ api }) => api === "CreateTopics");
  assert.equal((await harness.producer.lookup("new")).partitions, 1);
});

test("new partitions and settings are seen within the maximum age of metadata", async () => {
  await using harness = await start({}, { metadataMaxAgeMs: 100 });
  const before = await harness.producer.lookup("t");
  harness.cluster.deleteTopic("t");
  harness.cluster.createTopic("t", { partitions: 5, configs: { "max.message.bytes": "7000" } });
  await until(() => harness.producer.topic("t")?.partitions === 5, "the partitions are seen");
  const info = harness.producer.topic("t")!;
  assert.notEqual(info, before);
  assert.equal(info.maxBatchBytes, 7_000);
  assert.deepEqual(await new Settlements().send(harness.producer, batchOf("t", 4, ["a"])), [0]);
});

test("a topic that is deleted and created again gets what has waited for it", async () => {
  await using harness = await start({ brokers: 2, topics: { t: 2 } });
  const settlements = new Settlements();
  await settlements.send(harness.producer, batchOf("t", 0, ["lost with the topic"]));
  // The new topic's leader epochs begin again, below what was known.
  for (const nodeId of [2, 1, 2]) harness.cluster.moveLeader("t", 0, nodeId);
  await settlements.send(harness.producer, batchOf("t", 0, ["and this"]));
  harness.cluster.deleteTopic("t");
  const values = Array.from({ length: 10 }, (_, index) => `v${index}`);
  const sending = Promise.all(values.map((each) => settlements.send(harness.producer, batchOf("t", 0, [each]))));
  await sleep(150);
  harness.cluster.createTopic("t", { partitions: 2 });
  await sending;
  assert.deepEqual(storedValues(harness.cluster, "t", 0), values);
});

test("a topic that stays gone fails what waits for it, retryable; in an hour it may be there again", async () => {
  await using harness = await start({}, {}, fastClock(40));
  const settlements = new Settlements();
  await harness.producer.lookup("t");
  await settlements.send(harness.producer, batchOf("t", 0, ["a"]));
  harness.cluster.deleteTopic("t");
  const metadata = harness.cluster.count("Metadata");
  const [outcome] = await settlements.send(harness.producer, batchOf("t", 0, ["b"]));
  assert.ok(outcome instanceof IngestError);
  assert.deepEqual([outcome.reason, outcome.retryable], [Reason.UNKNOWN_TOPIC, true]);
  assert.match(outcome.message, /topic t is gone since 1\d s: create it again/);
  assert.equal(harness.producer.topic("t"), undefined);
  // 15 s at one a second, and a few at first.
  assert.ok(
    harness.cluster.count("Metadata") - metadata <= 30,
    `${harness.cluster.count("Metadata") - metadata} requests`,
  );
  harness.cluster.createTopic("t");
  assert.deepEqual(await settlements.send(harness.producer, batchOf("t", 0, ["c"])), [0]);
});

test("a known topic is not forgotten because one broker does not know it for a moment", async () => {
  await using harness = await start({}, { metadataMaxAgeMs: 100 });
  await harness.producer.lookup("t");
  harness.cluster.deleteTopic("t");
  const metadata = harness.cluster.count("Metadata");
  await until(() => harness.cluster.count("Metadata") > metadata, "it is asked for");
  harness.cluster.createTopic("t");
  await sleep(50);
  assert.notEqual(harness.producer.topic("t"), undefined);
  await sleep(1_100);
  assert.notEqual(harness.producer.topic("t"), undefined);
});

test("a partition that is gone from its topic fails what waits for it; other partitions go on", async () => {
  await using harness = await start({ topics: { t: 3 } }, {}, fastClock(40));
  const settlements = new Settlements();
  await settlements.send(harness.producer, batchOf("t", 2, ["a"]));
  harness.cluster.deleteTopic("t");
  harness.cluster.createTopic("t", { partitions: 1 });
  const gone = settlements.send(harness.producer, batchOf("t", 2, ["b"]));
  assert.deepEqual(await settlements.send(harness.producer, batchOf("t", 0, ["c"])), [0]);
  const [outcome] = await gone;
  assert.ok(outcome instanceof IngestError);
  assert.deepEqual([outcome.reason, outcome.retryable], [Reason.INVALID_PARTITION, false]);
  assert.match(outcome.message, /topic t has 1 partitions, not the 3 that there were/);
});

// --- Leaders ------------------------------------------------------------------------------------------------------------

const VALUES = Array.from({ length: 30 }, (_, index) => `v${index}`);

test("a new leader that the old one names is asked at once, without waiting for metadata (KIP-951)", async () => {
  await using harness = await start({ brokers: 3 });
  const settlements = new Settlements();
  await settlements.send(harness.producer, batchOf("t", 0, ["warm"]));
  harness.cluster.onRequest = ({ api }) => (api === "Metadata" ? { delayMs: 3_000 } : undefined);
  const attempts = watch(harness.cluster);
  harness.cluster.moveLeader("t", 0, 3);
  const startedAt = performance.now();
  await Promise.all(VALUES.map((each) => settlements.send(harness.producer, batchOf("t", 0, [each]))));
  assert.ok(performance.now() - startedAt < 2_500, "it did not wait for metadata");
  assert.deepEqual(storedValues(harness.cluster, "t", 0), ["warm", ...VALUES]);
  assert.ok(attempts.filter(({ nodeId }) => nodeId === 1).length <= 5);
});

test("without that, metadata finds the new leader", async () => {
  await using harness = await start({ brokers: 3, profile: "2.8" });
  const settlements = new Settlements();
  await settlements.send(harness.producer, batchOf("t", 0, ["warm"]));
  harness.cluster.moveLeader("t", 0, 2);
  await Promise.all(VALUES.map((each) => settlements.send(harness.producer, batchOf("t", 0, [each]))));
  assert.deepEqual(storedValues(harness.cluster, "t", 0), ["warm", ...VALUES]);
});

test("the new leader is not asked before the old one has answered for everything", async () => {
  await using harness = await start({ brokers: 2 }, { metadataMaxAgeMs: 50 });
  const settlements = new Settlements();
  await settlements.send(harness.producer, batchOf("t", 0, ["warm"]));
  // What the old leader takes, it takes slowly; meanwhile metadata names the new one.
  const attempts = watch(harness.cluster, ([first]) => (first!.nodeId === 1 ? { delayMs: 200 } : undefined));
  const sending = Promise.all(VALUES.map((each) => settlements.send(harness.producer, batchOf("t", 0, [each]))));
  await until(() => attempts.length === 1, "the old leader has the first");
  harness.cluster.moveLeader("t", 0, 2);
  await sending;
  assert.deepEqual(storedValues(harness.cluster, "t", 0), ["warm", ...VALUES]);
  const old = attempts.filter(({ nodeId }) => nodeId === 1);
  const first = attempts.find(({ nodeId }) => nodeId === 2)!;
  assert.ok(
    old.every(({ atMs }) => atMs + 200 <= first.atMs + 5),
    "all answers of the old leader came before",
  );
});

test("a leader that dies with batches in flight: they are stored once by the next one", async () => {
  await using harness = await start({ brokers: 3 });
  const settlements = new Settlements();
  await settlements.send(harness.producer, batchOf("t", 0, ["warm"]));
  const attempts = watch(harness.cluster, [undefined, { action: "drop-response" }]);
  const sending = Promise.all(VALUES.map((each) => settlements.send(harness.producer, batchOf("t", 0, [each]))));
  await until(() => attempts.length >= 5, "the leader has them");
  await harness.cluster.broker(1).stop();
  harness.cluster.moveLeader("t", 0, 2);
  await sending;
  assert.deepEqual(storedValues(harness.cluster, "t", 0), ["warm", ...VALUES]);
  assert.equal(value(harness.metrics, "sluice_kafka_possible_duplicates_total"), 0);
});

test("a partition without a leader waits, says so, and does not ask for metadata in a hot loop", async () => {
  await using harness = await start({ brokers: 3 });
  const settlements = new Settlements();
  await settlements.send(harness.producer, batchOf("t", 0, ["warm"]));
  await harness.cluster.broker(1).stop();
  const metadata = harness.cluster.count("Metadata");
  const produce = harness.cluster.count("Produce");
  const sending = Promise.all(VALUES.map((each) => settlements.send(harness.producer, batchOf("t", 0, [each]))));
  await sleep(1_500);
  assert.match(harness.producer.health().problems.join(), /batches wait for partitions without a leader: t\/0/);
  assert.equal(harness.producer.health().ready, true, "others can be stored");
  // At 0, 100, 200, 400 and 800 ms, and for the lost connection.
  const asked = harness.cluster.count("Metadata") - metadata;
  assert.ok(asked >= 3 && asked <= 9, `${asked} Metadata requests in 1.5 s`);
  assert.equal(harness.cluster.count("Produce"), produce);
  harness.cluster.moveLeader("t", 0, 3);
  await sending;
  assert.deepEqual(storedValues(harness.cluster, "t", 0), ["warm", ...VALUES]);
  assert.deepEqual(harness.producer.health().problems, []);
});

test("a broker that stops and starts again is connected to again", async () => {
  await using harness = await start();
  const settlements = new Settlements();
  await settlements.send(harness.producer, batchOf("t", 0, ["warm"]));
  await harness.cluster.broker(1).stop();
  const sending = Promise.all(VALUES.map((each) => settlements.send(harness.producer, batchOf("t", 0, [each]))));
  await sleep(100);
  await harness.cluster.broker(1).start();
  await sending;
  assert.deepEqual(storedValues(harness.cluster, "t", 0), ["warm", ...VALUES]);
  assert.equal(value(harness.metrics, "sluice_kafka_connections"), 1);
});

test("metadata is not waited for from a broker that does not answer", async () => {
  await using harness = await start({ brokers: 3, topics: { t: 3 } }, {}, fastClock(5));
  const settlements = new Settlements();
  await Promise.all([0, 1, 2].map((partition) => settlements.send(harness.producer, batchOf("t", partition, ["a"]))));
  harness.cluster.broker(1).pause();
  for (let times = 0; times < 4; times++) assert.equal((await harness.producer.lookup("t")).partitions, 3);
  harness.cluster.broker(1).resume();
});
