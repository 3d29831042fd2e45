// The judges themselves: brokers that start, die and come back, and a consumer whose output says what is in a topic.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";

import kafkajs from "kafkajs";

import { javaConsume, javaConsumeEach, kafkaTest, startKafka } from "./kafka.ts";

async function withProducer(
  bootstrap: string,
  body: (send: (topic: string, messages: kafkajs.Message[]) => Promise<unknown>) => Promise<void>,
  retries = 10,
): Promise<void> {
  const client = new kafkajs.Kafka({ brokers: bootstrap.split(","), logLevel: kafkajs.logLevel.NOTHING });
  const producer = client.producer({ maxInFlightRequests: 1, retry: { retries } });
  await producer.connect();
  try {
    await body((topic, messages) => producer.send({ topic, messages, acks: -1 }));
  } finally {
    await producer.disconnect();
  }
}

kafkaTest("the console consumer tells nulls, empty, headers and any text apart", async (kafka) => {
  const topic = await kafka.createTopic("shapes", { partitions: 2 });
  const timestamp = "1700000000123";
  await withProducer(kafka.bootstrap, async (send) => {
    await send(topic, [
      { partition: 0, timestamp, key: null, value: "no key" },
      { partition: 0, timestamp, key: "", value: "", headers: { b: "2", a: "x:y", empty: "" } },
      { partition: 0, timestamp, key: "k\u20ac\u{1f600}", value: null, headers: { "\u00fc": "\u20ac" } },
      { partition: 1, timestamp, key: "NULL", value: "line\nbreak\ttab" },
    ]);
  });
  const records = await javaConsume({ bootstrap: kafka.bootstrap, topic, count: 4 });
  const at = { timestamp: 1_700_000_000_123 };
  assert.deepEqual(
    records.sort((a, b) => a.partition - b.partition),
    [
      { ...at, partition: 0, offset: 0, headers: [], key: null, value: "no key" },
      {
        ...at,
        partition: 0,
        offset: 1,
        headers: [
          ["b", "2"],
          ["a", "x:y"],
          ["empty", ""],
        ],
        key: "",
        value: "",
      },
      { ...at, partition: 0, offset: 2, headers: [["\u00fc", "\u20ac"]], key: "k\u20ac\u{1f600}", value: null },
      { ...at, partition: 1, offset: 0, headers: [], key: "NULL", value: "line\nbreak\ttab" },
    ],
  );
});

kafkaTest("many records stream by, and those that should not be there are seen", async (kafka) => {
  const topic = await kafka.createTopic("many");
  await withProducer(kafka.bootstrap, async (send) => {
    for (let batch = 0; batch < 10; batch++) {
      await send(
        topic,
        Array.from({ length: 1_000 }, (_, index) => ({ value: String(batch * 1_000 + index) })),
      );
    }
  });
  let sum = 0;
  const options = { bootstrap: kafka.bootstrap, topic };
  const read = await javaConsumeEach({ ...options, count: 9_999 }, ({ value }) => (sum += Number(value)));
  assert.deepEqual([read, sum], [9_999, (9_998 * 9_999) / 2]);
  assert.equal(await javaConsumeEach({ ...options, count: 9_999, extraMs: 500 }, () => undefined), 10_000);
  // However far it came: it ends when its time is up.
  assert.ok((await javaConsumeEach({ ...options, count: 10_001, timeoutMs: 3_000 }, () => undefined)) <= 10_000);
});

kafkaTest("topics are made with their settings, once, and brokers make none by themselves", async (kafka) => {
  await assert.rejects(kafka.createTopic("few", { partitions: 1, replicationFactor: 2 }), /Replication factor/);
  const topic = await kafka.createTopic("limited", { configs: { "max.message.bytes": "1000" } });
  const produce = async (send: (topic: string, messages: kafkajs.Message[]) => Promise<unknown>): Promise<void> => {
    await send(topic, [{ value: "x".repeat(500) }]);
    await assert.rejects(send(topic, [{ value: "x".repeat(2_000) }]), /larger than the max/);
    await assert.rejects(send(`${topic}-missing`, [{ value: "x" }]));
  };
  await withProducer(kafka.bootstrap, produce, 0);
});

kafkaTest(
  "of three brokers one may be killed and come back with its data",
  async () => {
    await using cluster = await startKafka({ brokers: 3 });
    await cluster.createTopic("t", { partitions: 3 });
    const [victim] = cluster.nodes;
    const { pid } = victim!;
    await withProducer(cluster.bootstrap, async (send) => {
      // One partition a call: kafkajs can lose one of two when a leader moves, and says that both are stored.
      const all = async (value: string): Promise<void> => {
        for (const partition of [0, 1, 2]) await send("t", [{ partition, value }]);
      };
      await all("before");
      await victim!.kill("SIGKILL");
      assert.equal(victim!.pid, undefined);
      assert.throws(() => process.kill(pid!, 0), { code: "ESRCH" });
      await victim!.restart();
      await all("after");
    });
    const records = await javaConsume({ bootstrap: cluster.bootstrap, topic: "t", count: 6, timeoutMs: 60_000 });
    assert.deepEqual(records.map(({ partition, offset }) => `${partition}:${offset}`).sort(), [
      "0:0",
      "0:1",
      "1:0",
      "1:1",
      "2:0",
      "2:1",
    ]);
  },
  { timeout: 180_000 },
);

kafkaTest("a stopped cluster leaves no process behind", async () => {
  const cluster = await startKafka();
  const { pid } = cluster.nodes[0]!;
  assert.ok(existsSync(`/proc/${pid}`) || process.platform !== "linux");
  await cluster.stop();
  await cluster.stop();
  assert.throws(() => process.kill(pid!, 0), { code: "ESRCH" });
});
