import assert from "node:assert/strict";
import { CompressionTypes, Kafka, logLevel } from "kafkajs";
import { eventually } from "../support/service.ts";
import { kafkaTest, type TestKafka } from "../support/kafka.ts";
import { Files, run } from "./support.ts";

interface Line {
  readonly partition: number;
  readonly offset: number;
  readonly key: unknown;
  readonly value: unknown;
  readonly headers: unknown;
  readonly timestamp: string;
}

const linesOf = (stdout: string) =>
  stdout
    .trimEnd()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);

function client({ bootstrap }: TestKafka): Kafka {
  // A machine that is busy with other tests takes longer than the library's second.
  return new Kafka({
    brokers: [bootstrap],
    connectionTimeout: 20_000,
    requestTimeout: 60_000,
    logLevel: logLevel.NOTHING,
  });
}

async function endOffsets(kafka: TestKafka, topic: string) {
  const admin = client(kafka).admin();
  await admin.connect();
  const offsets = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  return offsets;
}

async function produce(kafka: TestKafka, topic: string, values: readonly string[], compressed = false): Promise<void> {
  const producer = client(kafka).producer();
  await producer.connect();
  await producer.send({
    topic,
    compression: compressed ? CompressionTypes.GZIP : CompressionTypes.None,
    messages: values.map((value, i) => ({
      key: i % 5 === 0 ? null : `key-${i % 5}`,
      value,
      headers: { h: String(i) },
      timestamp: String(Date.now()),
    })),
  });
  await producer.disconnect();
}

kafkaTest("tail prints every event of all partitions, in each partition's order, compressed or not", async (kafka) => {
  const topic = await kafka.createTopic("tail", { partitions: 3 });
  const values = Array.from({ length: 1000 }, (_, i) => `value ${i}`);
  await produce(kafka, topic, values.slice(0, 500));
  await produce(kafka, topic, values.slice(500), true);
  const { code, stdout, stderr } = await run(["tail", "--topic", topic], { env: { KAFKA_BROKERS: kafka.bootstrap } });
  assert.equal(stderr, "");
  assert.equal(code, 0);
  const lines = linesOf(stdout);
  // Kafkajs may write a batch twice when a partition of a new topic is not there yet; the offsets tell what there is.
  const printed = Map.groupBy(lines, ({ partition }) => partition);
  for (const { partition, offset } of await endOffsets(kafka, topic))
    assert.deepEqual(
      (printed.get(partition) ?? []).map((line) => line.offset),
      Array.from({ length: Number(offset) }, (_, i) => i),
    );
  assert.deepEqual(new Set(lines.map(({ value }) => value)), new Set(values));
  assert.ok(lines.some(({ key }) => key === null) && lines.some(({ key }) => key === "key-1"));
  assert.deepEqual(lines.find(({ value }) => value === "value 7")!.headers, [{ key: "h", value: "7" }]);
});

kafkaTest("tail stops at its limit, and follows from the end", async (kafka) => {
  const topic = await kafka.createTopic("follow", { partitions: 2 });
  const env = { KAFKA_BROKERS: kafka.bootstrap };
  await produce(kafka, topic, ["old 1", "old 2", "old 3"]);
  assert.equal(linesOf((await run(["tail", "--topic", topic, "--limit", "2"], { env })).stdout).length, 2);

  const following = run(["tail", "--topic", topic, "-f", "--from", "end", "--limit", "1"], { env });
  let done = false;
  void following.then(() => (done = true));
  // It may take a moment until it has asked for the end; what comes then is seen.
  await eventually("the follower saw an event", async () => {
    await produce(kafka, topic, ["new"]);
    return done;
  });
  assert.deepEqual(
    linesOf((await following).stdout).map(({ value }) => value),
    ["new"],
  );
});

kafkaTest("a topic that does not exist is one line for tail, and an error for the doctor", async (kafka) => {
  const env = { KAFKA_BROKERS: kafka.bootstrap };
  assert.deepEqual(await run(["tail", "--topic", "no-such-topic"], { env }), {
    code: 1,
    stdout: "",
    stderr: 'sluice tail: topic "no-such-topic" does not exist in Kafka; create it, or name another one\n',
  });
});

kafkaTest("the doctor knows brokers and topics", async (kafka) => {
  using files = new Files();
  const topic = await kafka.createTopic("doctor", { partitions: 3 });
  const env = { KAFKA_BROKERS: kafka.bootstrap, DATA_DIR: files.directory, ADMIN_LISTEN: "127.0.0.1:0" };
  const { code, stdout } = await run(["doctor", "--topic", topic, "--topic", "no-such-topic"], { env });
  assert.equal(code, 1);
  assert.match(stdout, new RegExp(`^ok +broker ${kafka.bootstrap.split(",")[0]} +answers, Kafka 4\\.1 or newer$`, "m"));
  assert.match(
    stdout,
    new RegExp(`^ok +topic ${topic} +3 partitions, replication factor \\d, min\\.insync\\.replicas \\d, `, "m"),
  );
  assert.match(stdout, /^error +topic no-such-topic +does not exist: its events fail$/m);
});
