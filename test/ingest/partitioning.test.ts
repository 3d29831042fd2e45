// Which partition an event goes to.

import assert from "node:assert/strict";
import test from "node:test";
import { Reason } from "../../src/errors.ts";
import { partitionOfKey } from "../../src/wire/murmur2.ts";
import { JAVA_VECTORS } from "../wire/java-vectors.ts";
import { Harness, seededRandom } from "./harness.ts";

/** The partition of each value that was sent. */
function partitionsOf(harness: Harness): Map<string, number> {
  harness.turn();
  return new Map(harness.replicated.all.flatMap(({ partition, values }) => values.map((value) => [value, partition])));
}

test("a key's partition is the one that the Java client gives it", () => {
  for (const partitions of [1, 3, 12, 100]) {
    const harness = new Harness({ topics: { t: { partitions } } });
    const events = JAVA_VECTORS.map(([key]) => ({ key: Buffer.from(key), value: Buffer.from(key) }));
    harness.publish({ topic: "t", events });
    const found = partitionsOf(harness);
    for (const [key, hash] of JAVA_VECTORS) assert.equal(found.get(key), (hash & 0x7fff_ffff) % partitions, key);
  }
});

test("an empty key is a key", () => {
  const harness = new Harness({ topics: { t: { partitions: 1_000 } } });
  for (let i = 0; i < 20; i++)
    harness.publish({ topic: "t", events: [{ key: Buffer.alloc(0), value: Buffer.from(String(i)) }] });
  const partition = partitionOfKey(Buffer.alloc(0), 0, 0, 1_000);
  assert.deepEqual([...partitionsOf(harness).values()], Array<number>(20).fill(partition));
});

test("a partition that is named wins over the key's", () => {
  const harness = new Harness({ topics: { t: { partitions: 12 } } });
  const events = [0, 5, 11].map((partition) => ({
    key: Buffer.from("21"),
    partition,
    value: Buffer.from(`v${partition}`),
  }));
  harness.publish({ topic: "t", events });
  assert.deepEqual(
    partitionsOf(harness),
    new Map([
      ["v0", 0],
      ["v5", 5],
      ["v11", 11],
    ]),
  );
});

test("a partition out of range fails its event, and its neighbours are stored", () => {
  const harness = new Harness({ topics: { t: { partitions: 4 } } });
  const partitions = [0, 4, 1, -1, 2 ** 31 - 1, -(2 ** 31), 3];
  const outcome = harness.publish({ topic: "t", events: partitions.map((partition) => ({ partition })) });
  harness.turn();
  harness.replicated.storeAll();
  const { stored, failures } = outcome.answer;
  assert.equal(stored, 3);
  assert.deepEqual(
    failures,
    [
      [1, 4],
      [3, -1],
      [4, 2 ** 31 - 1],
      [5, -1],
    ].map(([index, partition]) => ({
      index,
      reason: Reason.INVALID_PARTITION,
      message: `partition ${partition} does not exist: topic t has partitions 0 to 3`,
      retryable: false,
    })),
  );
  harness.assertIdle();
});

test("events without a key stay on one partition until it got its share, then move on", () => {
  const harness = new Harness({ topics: { t: { partitions: 50 } }, bytesMax: 16 << 20 });
  const value = Buffer.alloc(1_000, 1);
  harness.publish({ topic: "t", events: Array.from({ length: 200 }, () => ({ value })) });
  harness.turn();
  const runs = harness.replicated.all.map(({ count }) => count);
  // 32 KiB of events of 1,000 bytes and a little: 33 of each, if no partition is drawn twice.
  assert.ok(
    runs.every((count) => count % 33 === 0 || count === 200 % 33),
    String(runs),
  );
});

test("partitions get equal bytes of events without a key in the long run", () => {
  const partitions = 8;
  const harness = new Harness({ topics: { t: { partitions } }, bytesMax: 64 << 20, random: seededRandom(7) });
  const random = seededRandom(3);
  for (let batch = 0; batch < 400; batch++) {
    const events = Array.from({ length: 40 }, () => ({ value: Buffer.alloc(Math.floor(random() * 5_000), 1) }));
    harness.publish({ topic: "t", events });
    harness.turn();
    harness.replicated.storeAll();
  }
  const bytes = Array<number>(partitions).fill(0);
  for (const { partition, length } of harness.replicated.all) bytes[partition]! += length;
  const mean = bytes.reduce((a, b) => a + b) / partitions;
  for (const share of bytes) assert.ok(Math.abs(share / mean - 1) < 0.2, `${share} of ${mean}`);
});

test("a topic that loses partitions, as one that is created anew may, is not sent to those that are gone", () => {
  const harness = new Harness({ topics: { t: { partitions: 50 } }, random: () => 0.99 });
  harness.publish({ topic: "t", events: [{}] });
  harness.turn();
  harness.topics.set("t", { partitions: 2 });
  harness.publish({ topic: "t", events: [{}] });
  harness.turn();
  assert.deepEqual(
    harness.replicated.all.map(({ partition }) => partition),
    [49, 1],
  );
});

test("without brokers events stay unassigned, but a named partition is kept", () => {
  const harness = new Harness({ brokers: false, topics: { t: { partitions: 0 } } });
  const outcome = harness.publish({
    topic: "t",
    events: [
      { key: Buffer.from("k") },
      {},
      { partition: 0 },
      { partition: 999 },
      { partition: 1_000 },
      { partition: -7 },
    ],
  });
  harness.turn();
  assert.deepEqual(
    harness.persisted.all.map(({ partition, count }) => [partition, count]),
    [
      [-1, 2],
      [0, 1],
      [999, 1],
    ],
  );
  harness.persisted.storeAll();
  assert.deepEqual(
    outcome.answer.failures.map(({ index, message }) => [index, message]),
    [
      [4, "partition 1000 does not exist: without brokers partitions 0 to 999 can be named"],
      [5, "partition -7 does not exist: without brokers partitions 0 to 999 can be named"],
    ],
  );
  harness.assertIdle();
});
