// How the direct producer sends: what is in flight, what shares a request, and what happens when answers do not come.

import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Code, IngestError } from "../../src/errors.ts";
import type { SealedBatch } from "../../src/ingest/producer.ts";
import { RECORD_BATCH_HEADER_BYTES, stampCrc, writeBatchHeader } from "../../src/wire/record-batch.ts";
import { sequences, watch } from "./support/attempts.ts";
import { batchOf, brief, Settlements } from "./support/batches.ts";
import { direct, type Harness, start, storedValues, until, value } from "./support/harness.ts";

const IN_FLIGHT = "sluice_kafka_requests_in_flight";

function sendEach({ producer }: Harness, settlements: Settlements, values: readonly string[], partition = 0) {
  return Promise.all(values.map((each) => settlements.send(producer, batchOf("t", partition, [each]))));
}

const VALUES = Array.from({ length: 12 }, (_, index) => `v${index}`);

test("one batch is in flight until the first acknowledgement, then five", async () => {
  await using harness = await start();
  const settlements = new Settlements();
  const attempts = watch(harness.cluster, [{ delayMs: 1_000 }, { delayMs: 1_000 }]);
  const sending = sendEach(harness, settlements, VALUES);
  await until(() => attempts.length === 1, "the first is sent");
  await sleep(30);
  assert.equal(value(harness.metrics, IN_FLIGHT), 1);
  await until(() => attempts.length === 2, "the first is acknowledged");
  await until(() => value(harness.metrics, IN_FLIGHT) === 5, "five are in flight");
  await sleep(30);
  assert.equal(value(harness.metrics, IN_FLIGHT), 5);
  await sending;
  assert.deepEqual(storedValues(harness.cluster, "t", 0), VALUES);
  assert.deepEqual(
    sequences(attempts),
    VALUES.map((_, index) => `0:${index}+1`),
  );
});

test("two requests are sent at once; further ones wait for an answer, and a while at most", async () => {
  await using harness = await start();
  const settlements = new Settlements();
  await sendEach(harness, settlements, ["warm"]);
  const attempts = watch(harness.cluster, [{ delayMs: 1_000 }]);
  const started = performance.now();
  const sending = sendEach(harness, settlements, VALUES);
  await until(() => attempts.length === 1, "the first is read");
  await until(() => value(harness.metrics, IN_FLIGHT) === 5, "five are in flight");
  const elapsedMs = performance.now() - started;
  assert.ok(elapsedMs >= 55, `three further ones, 20 ms after one another, came after ${elapsedMs} ms`);
  await sending;
  assert.deepEqual(storedValues(harness.cluster, "t", 0), ["warm", ...VALUES]);
});

test("what becomes ready while two requests have no answer goes in one with the next", async () => {
  await using harness = await start({ topics: { t: 4 } });
  const settlements = new Settlements();
  for (const partition of [0, 1, 2, 3]) await sendEach(harness, settlements, ["warm"], partition);
  const requests = () => value(harness.metrics, "sluice_kafka_requests_total", "Produce");
  const before = requests();
  const sending: Promise<unknown>[] = [];
  for (const partition of [0, 1, 2, 3]) {
    sending.push(sendEach(harness, settlements, ["a"], partition));
    // The broker's microtask runs, so nothing but the rule puts two into one request; no timer and no answer comes between.
    await Promise.resolve();
  }
  assert.equal(requests() - before, 2);
  await Promise.all(sending);
  assert.equal(requests() - before, 3);
});

test("after a leader change one batch is in flight again, until the new leader has acknowledged it", async () => {
  await using harness = await start({ brokers: 2 });
  const settlements = new Settlements();
  await sendEach(harness, settlements, ["a", "b"]);
  const attempts = watch(harness.cluster, ([first]) =>
    first!.nodeId === 2 && !attempts.slice(0, -1).some(({ nodeId }) => nodeId === 2) ? { delayMs: 1_000 } : undefined,
  );
  harness.cluster.moveLeader("t", 0, 2);
  const sending = sendEach(harness, settlements, VALUES);
  await until(() => attempts.some(({ nodeId }) => nodeId === 2), "the new leader is asked");
  await sleep(20);
  assert.equal(value(harness.metrics, IN_FLIGHT), 1);
  await sending;
  assert.deepEqual(storedValues(harness.cluster, "t", 0), ["a", "b", ...VALUES]);
  assert.equal(value(harness.metrics, "sluice_kafka_leader_moves_total"), 1);
});

for (const [what, fault] of [
  ["a batch whose response is lost", { action: "drop-response" }],
  ["a batch whose connection ends after it was stored", { action: "disconnect", when: "after" }],
  ["a batch whose connection ends before it was stored", { action: "disconnect", when: "before" }],
] as const) {
  test(`${what} is stored once, and so is everything behind it`, async () => {
    await using harness = await start({}, { requestTimeoutMs: 250 });
    const settlements = new Settlements();
    await sendEach(harness, settlements, ["warm"]);
    const attempts = watch(harness.cluster, [undefined, fault]);
    const outcomes = await sendEach(harness, settlements, VALUES);
    assert.deepEqual(
      outcomes.flat(),
      VALUES.map((_, index) => index + 1),
    );
    assert.deepEqual(storedValues(harness.cluster, "t", 0), ["warm", ...VALUES]);
    const digests = new Map<number, string>();
    for (const { sequence, digest } of attempts) {
      assert.equal(digests.get(sequence) ?? digest, digest, "a sequence is bound to its bytes");
      digests.set(sequence, digest);
    }
    assert.equal(value(harness.metrics, "sluice_kafka_disconnects_total"), 1);
    assert.equal(value(harness.metrics, "sluice_kafka_connections"), harness.cluster.broker(1).connections);
  });
}

test("a broker that takes requests and says nothing is given up after the request time-out, and asked again", async () => {
  await using harness = await start({}, { requestTimeoutMs: 200, connectTimeoutMs: 60_000 });
  const settlements = new Settlements();
  await sendEach(harness, settlements, ["warm"]);
  harness.cluster.broker(1).pause();
  const sending = sendEach(harness, settlements, VALUES);
  await until(() => harness.producer.health().problems.length > 0, "it is noticed");
  assert.match(harness.producer.health().problems.join(), /no answer from 127\.0\.0\.1:\d+ within 200 ms/);
  harness.cluster.broker(1).resume();
  await sending;
  assert.deepEqual(storedValues(harness.cluster, "t", 0), ["warm", ...VALUES]);
  assert.deepEqual(harness.producer.health(), { ready: true, problems: [] });
});

test("a throttled connection gets nothing for as long as the broker asked", async () => {
  await using harness = await start();
  const settlements = new Settlements();
  const attempts = watch(harness.cluster, [{ throttleMs: 250 }]);
  await sendEach(harness, settlements, ["a"]);
  const sending = sendEach(harness, settlements, ["b", "c"]);
  const requests = value(harness.metrics, "sluice_kafka_requests_total", "Produce");
  await sleep(100);
  assert.equal(value(harness.metrics, "sluice_kafka_requests_total", "Produce"), requests, "it holds still");
  await sending;
  assert.ok(attempts[1]!.atMs - attempts[0]!.atMs >= 250);
  assert.equal(value(harness.metrics, "sluice_kafka_throttle_seconds_total"), 0.25);
});

test("a broker is busy while it has a request to answer, for the partitions that it leads", async () => {
  await using harness = await start({ brokers: 2, topics: { t: 4 } });
  const settlements = new Settlements();
  await sendEach(harness, settlements, ["warm"], 0);
  await sendEach(harness, settlements, ["warm"], 1);
  const { producer } = harness;
  const busy = () => [0, 1, 3].map((partition) => producer.busy("t", partition));
  watch(harness.cluster, ({ length }) => (length > 0 ? { delayMs: 300 } : undefined));
  assert.deepEqual(busy(), [false, false, false]);
  const sending = sendEach(harness, settlements, ["a"], 0);
  await until(() => value(harness.metrics, IN_FLIGHT) === 1, "it is in flight");
  assert.deepEqual(busy(), [true, false, false], "nothing is known of a partition without batches");
  await sending;
  assert.deepEqual(busy(), [false, false, false]);
});

test("partitions of several topics share one request to their leader", async () => {
  const topics = { t: 4, u: 4, v: 4 };
  await using harness = await start({ topics });
  const settlements = new Settlements();
  const names = Object.keys(topics).flatMap((topic) => [0, 1, 2, 3].map((partition) => ({ topic, partition })));
  const sendAll = (value: string) =>
    Promise.all(
      names.map(({ topic, partition }) =>
        settlements.send(harness.producer, batchOf(topic, partition, [`${topic}${partition}${value}`])),
      ),
    );
  await sendAll("-0");
  const requests = harness.cluster.count("Produce");
  assert.deepEqual(
    (await sendAll("-1")).flat(),
    Array.from({ length: 12 }, () => 1),
  );
  assert.equal(harness.cluster.count("Produce"), requests + 1);
  for (const { topic, partition } of names) {
    assert.deepEqual(
      storedValues(harness.cluster, topic, partition),
      ["-0", "-1"].map((each) => `${topic}${partition}${each}`),
    );
  }
});

test("an error of one partition leaves the others of its request alone", async () => {
  await using harness = await start({ topics: { t: 3 } });
  const settlements = new Settlements();
  const sendAll = (value: string) =>
    Promise.all([0, 1, 2].map((partition) => settlements.send(harness.producer, batchOf("t", partition, [value]))));
  await sendAll("a");
  const attempts = watch(harness.cluster, [
    { action: "error", code: 6, when: "before", only: ({ partition }) => partition === 1 },
  ]);
  assert.deepEqual(await sendAll("b"), [[1], [1], [1]]);
  assert.deepEqual(
    attempts.map(({ partition }) => partition),
    [0, 1, 2, 1],
  );
});

test("large batches go into requests of their own, in order", async () => {
  await using harness = await start({ topics: { t: { partitions: 3, configs: { "max.message.bytes": "8000000" } } } });
  const settlements = new Settlements();
  const values = ["a", "b", "c"].map((each) => each.repeat(5_000_000));
  const outcomes = await Promise.all(
    [0, 1, 2].map((partition) =>
      Promise.all(values.map((each) => settlements.send(harness.producer, batchOf("t", partition, [each])))),
    ),
  );
  assert.deepEqual(
    outcomes,
    [0, 1, 2].map(() => [[0], [1], [2]]),
  );
});

test("what finds no room in a request goes first in the next", async () => {
  await using harness = await start({ topics: { t: { partitions: 3, configs: { "max.message.bytes": "8000000" } } } });
  const settlements = new Settlements();
  const send = (values: readonly string[]) =>
    Promise.all([0, 1, 2].map((partition) => sendEach(harness, settlements, values, partition)));
  await send(["warm"]);
  const attempts = watch(harness.cluster);
  await send(["a", "b"].map((each) => each.repeat(5_000_000)));
  assert.deepEqual(
    attempts.map(({ partition }) => partition),
    [0, 1, 2, 0, 1, 2],
  );
});

test("sequences wrap at 2^31", async () => {
  await using harness = await start();
  const sequencesSent: number[] = [];
  harness.cluster.onProduce = ({ partitions: [first] }) => {
    sequencesSent.push(first!.baseSequence);
    return undefined;
  };
  // A broker looks at the header alone, so a batch can claim to have a billion records.
  const claim = (count: number): SealedBatch => {
    const bytes = Buffer.alloc(RECORD_BATCH_HEADER_BYTES);
    writeBatchHeader(bytes, bytes.length, count, 0, 0);
    stampCrc(bytes);
    return { topic: "t", partition: 0, count, bytes };
  };
  const offsets: number[] = [];
  for (const count of [2 ** 30, 2 ** 30 - 2, 5, 3]) {
    await new Promise<void>((resolve, reject) => {
      harness.producer.send(claim(count), {
        stored: (_batch, _first, _count, baseOffset) => resolve(void offsets.push(baseOffset)),
        failed: (_batch, _first, _count, error) => reject(error),
      });
    });
  }
  assert.deepEqual(sequencesSent, [0, 2 ** 30, 2 ** 31 - 2, 3]);
  assert.deepEqual(offsets, [0, 2 ** 30, 2 ** 31 - 2, 2 ** 31 + 3]);
});

test("drain takes no new batches and resolves when all are settled", async () => {
  await using harness = await start();
  const settlements = new Settlements();
  watch(harness.cluster, [{ delayMs: 80 }]);
  const sending = sendEach(harness, settlements, VALUES);
  const drained = Promise.all([
    harness.producer.drain(Date.now() + 5_000),
    harness.producer.drain(Date.now() + 5_000),
  ]).then(() => settlements.open);
  const [outcome] = await settlements.send(harness.producer, batchOf("t", 0, ["late"]));
  assert.ok(outcome instanceof IngestError && outcome.retryable && outcome.code === Code.UNAVAILABLE);
  assert.equal(await drained, 0);
  await sending;
  await harness.producer.drain(Date.now() + 5_000);
  assert.deepEqual(storedValues(harness.cluster, "t", 0), VALUES);
});

test("drain ends at its deadline, and dispose fails what is left as UNAVAILABLE", async () => {
  await using harness = await start();
  const settlements = new Settlements();
  await sendEach(harness, settlements, ["warm"]);
  harness.cluster.broker(1).pause();
  const sending = sendEach(harness, settlements, VALUES);
  await harness.producer.drain(Date.now() + 50);
  assert.equal(settlements.open, VALUES.length);
  await harness.producer.dispose();
  await harness.producer.dispose();
  for (const [outcome] of await sending) {
    assert.ok(outcome instanceof IngestError && outcome.retryable, brief([outcome]).join());
  }
  assert.equal(value(harness.metrics, IN_FLIGHT), 0);
  assert.equal(value(harness.metrics, "sluice_kafka_connections"), 0);
  await until(() => harness.cluster.broker(1).connections === 0, "sockets are released");
});

test("drain and dispose are safe without start, and what is sent afterwards fails", async () => {
  const { producer } = direct("127.0.0.1:1");
  await producer.drain(Date.now() + 1_000);
  await producer.dispose();
  const [outcome] = await new Settlements().send(producer, batchOf("t", 0, ["a"]));
  assert.ok(outcome instanceof IngestError);
  await producer.dispose();
});

test("dispose while a connection is being opened leaves none behind", async () => {
  await using harness = await start();
  harness.cluster.broker(1).pause();
  const sending = new Settlements().send(harness.producer, batchOf("t", 0, ["a"]));
  await until(() => harness.cluster.broker(1).connections > 0, "it connects");
  await harness.producer.dispose();
  const [outcome] = await sending;
  assert.ok(outcome instanceof IngestError && outcome.retryable);
  await until(() => harness.cluster.broker(1).connections === 0, "sockets are released");
});
