// The doctor against real brokers, with real consumer groups that have what the doctor is to find.

import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { Consumer as NewConsumer } from "@platformatic/kafka";
import { type Consumer, Kafka, logLevel } from "kafkajs";
import { createTopic, missingForKafka } from "../../../scripts/kafka.ts";
import type { NamedFinding } from "../../../src/cli/doctor/finding.ts";
import { kafkaTest, startKafka, uniqueTopic } from "../../support/kafka.ts";
import { eventually } from "../../support/service.ts";
import { Files, run } from "../support.ts";

interface Diagnosed {
  readonly code: number;
  readonly findings: readonly NamedFinding[];
}

async function diagnose(bootstrap: string, ...args: readonly string[]): Promise<Diagnosed> {
  using files = new Files();
  const env = { KAFKA_BROKERS: bootstrap, DATA_DIR: files.directory, ADMIN_LISTEN: "127.0.0.1:0" };
  const { code, stdout } = await run(["doctor", "--json", "--watch", "1s", ...args], { env });
  return { code, findings: JSON.parse(stdout) as NamedFinding[] };
}

const about = ({ findings }: Diagnosed, subject: string) => findings.filter((finding) => finding.subject === subject);
const notOk = (findings: readonly NamedFinding[]) =>
  findings.filter(({ level }) => level !== "ok").map(({ level, check }) => `${level} ${check}`);

function client(bootstrap: string): Kafka {
  return new Kafka({
    brokers: bootstrap.split(","),
    connectionTimeout: 20_000,
    requestTimeout: 60_000,
    logLevel: logLevel.NOTHING,
  });
}

async function produce(
  t: TestContext,
  bootstrap: string,
  topic: string,
  partition: number,
  count: number,
): Promise<void> {
  const producer = client(bootstrap).producer();
  await producer.connect();
  t.after(() => producer.disconnect());
  await producer.send({ topic, messages: Array.from({ length: count }, (_, i) => ({ partition, value: `${i}` })) });
}

/** Members of one group; resolves when they have their partitions. */
async function join(
  t: TestContext,
  bootstrap: string,
  groupId: string,
  topic: string,
  count: number,
): Promise<Consumer[]> {
  const kafka = client(bootstrap);
  const members: Consumer[] = [];
  for (let i = 0; i < count; i += 1) {
    const member = kafka.consumer({ groupId, sessionTimeout: 60_000 });
    t.after(() => member.disconnect());
    await member.connect();
    await member.subscribe({ topic, fromBeginning: true });
    await member.run({ autoCommitInterval: 100, eachMessage: async () => {} });
    members.push(member);
  }
  const admin = kafka.admin();
  await admin.connect();
  t.after(() => admin.disconnect());
  await eventually(
    `${groupId} is stable`,
    async () => {
      const { groups } = await admin.describeGroups([groupId]);
      return groups[0]?.state === "Stable" && groups[0].members.length === count;
    },
    60_000,
  );
  return members;
}

async function commit(
  t: TestContext,
  bootstrap: string,
  groupId: string,
  topic: string,
  partitions: number,
): Promise<void> {
  const admin = client(bootstrap).admin();
  await admin.connect();
  t.after(() => admin.disconnect());
  await admin.setOffsets({
    groupId,
    topic,
    partitions: Array.from({ length: partitions }, (_, partition) => ({ partition, offset: "0" })),
  });
}

kafkaTest("a group with more members than its topic has partitions is found", async (kafka, t) => {
  const { bootstrap } = kafka;
  const topic = await kafka.createTopic("doctor-members", { partitions: 1 });
  await join(t, bootstrap, topic, topic, 2);
  const [finding] = about(await diagnose(bootstrap, "--topic", topic), `group ${topic}`);
  assert.equal(finding?.check, "fewer-partitions-than-members");
  assert.equal(finding.message, `2 members share the only partition of topic ${topic}; 1 of them has nothing to do`);
});

kafkaTest("a group without members whose events wait is found, with its lag by partition", async (kafka, t) => {
  const { bootstrap } = kafka;
  const topic = await kafka.createTopic("doctor-empty", { partitions: 2 });
  await produce(t, bootstrap, topic, 1, 1500);
  await commit(t, bootstrap, `${topic}-group`, topic, 2);
  const diagnosed = await diagnose(bootstrap, "--topic", topic);
  assert.deepEqual(notOk(about(diagnosed, `group ${topic}-group`)), ["warning group-without-members"]);
  assert.match(
    about(diagnosed, `group ${topic}-group`)[0]!.message,
    new RegExp(`^is Empty: it has no members, and 1,500 events wait for it: ${topic}/1 1,500 \\(0\\)$`),
  );
  // Warnings are for people, unless a script asks for them.
  assert.equal(diagnosed.code, 0);
  assert.equal((await diagnose(bootstrap, "--topic", topic, "--strict")).code, 1);
});

kafkaTest("a group that is behind is found, and that its lag lies with one of its members", async (kafka, t) => {
  const { bootstrap } = kafka;
  const topic = await kafka.createTopic("doctor-lag", { partitions: 2 });
  await commit(t, bootstrap, topic, topic, 2);
  const members = await join(t, bootstrap, topic, topic, 2);
  for (const member of members) member.pause([{ topic }]);
  await produce(t, bootstrap, topic, 0, 3000);
  const findings = about(await diagnose(bootstrap, "--topic", topic), `group ${topic}`);
  assert.deepEqual(notOk(findings), ["warning group-lag", "warning group-uneven-lag"]);
  assert.match(findings[0]!.message, new RegExp(`^is [\\d,]+ events behind, .*: ${topic}/0 [\\d,]+ \\(0\\)$`));
  assert.match(findings[1]!.message, /^member .* has 100 % of the lag of 2 members with partitions/);
});

kafkaTest("a group of the newer protocol is looked at like any other", async (kafka, t) => {
  const { bootstrap } = kafka;
  const topic = await kafka.createTopic("doctor-new", { partitions: 2 });
  const [host = "", port = ""] = bootstrap.split(",")[0]!.split(":");
  const consumer = new NewConsumer({
    clientId: "reader",
    groupId: topic,
    groupProtocol: "consumer",
    bootstrapBrokers: [{ host, port: Number(port) }],
    autocommit: false,
  });
  const stream = await consumer.consume({ topics: [topic], mode: "earliest" });
  t.after(async () => {
    await stream.close();
    await consumer.close(true);
  });
  await eventually("the group has its partitions", async () => {
    const [finding] = about(await diagnose(bootstrap, "--topic", topic), `group ${topic}`);
    return finding?.message === "Stable, 1 member, lag 0";
  });
});

kafkaTest("without --topic every topic of the cluster is looked at, and clocks agree", async (kafka) => {
  const { bootstrap } = kafka;
  const topic = await kafka.createTopic("doctor-any", { partitions: 1 });
  const diagnosed = await diagnose(bootstrap);
  assert.equal(about(diagnosed, `topic ${topic}`)[0]?.level, "ok");
  const [clock] = diagnosed.findings.filter(({ check, subject }) => check === "clock-skew" && subject === "clock");
  assert.equal(clock?.level, "ok", clock?.message);
});

kafkaTest("a topic whose newest event is from the future is found", async (kafka, t) => {
  const { bootstrap } = kafka;
  const topic = await kafka.createTopic("doctor-future", { partitions: 2 });
  const producer = client(bootstrap).producer();
  await producer.connect();
  t.after(() => producer.disconnect());
  await producer.send({ topic, messages: [{ value: "1", timestamp: String(Date.now() + 600_000) }] });
  const findings = about(await diagnose(bootstrap, "--topic", topic), `topic ${topic}`);
  assert.match(
    findings.find(({ check }) => check === "clock-skew")!.message,
    /^its newest timestamp is 10 minutes ahead/,
  );
});

void test(
  "settings that lose events, and a broker that is away, are found on three brokers",
  { timeout: 240_000 },
  async (t) => {
    const reason = await missingForKafka();
    if (reason !== undefined) {
      t.skip(reason);
      return;
    }
    const cluster = await startKafka({ brokers: 3 });
    t.after(() => cluster.stop());
    const { bootstrap } = cluster;
    const topic = async (prefix: string, configs: Readonly<Record<string, string>>) => {
      const name = uniqueTopic(prefix);
      await createTopic(bootstrap, name, { partitions: 3, replicationFactor: 3, configs });
      return name;
    };
    const careless = await topic("careless", {
      "min.insync.replicas": "1",
      "unclean.leader.election.enable": "true",
      "max.message.bytes": "100000",
    });
    const careful = await topic("careful", { "min.insync.replicas": "2" });
    const strict = await topic("strict", { "min.insync.replicas": "3" });
    const of = (diagnosed: Diagnosed, name: string) => notOk(about(diagnosed, `topic ${name}`));
    const topics = [careless, careful, strict].flatMap((name) => ["--topic", name]);
    const healthy = await diagnose(bootstrap, ...topics);
    assert.deepEqual(of(healthy, careful), []);
    assert.deepEqual(of(healthy, careless), [
      "warning min-insync-replicas",
      "warning unclean-election",
      "warning message-bytes",
    ]);
    assert.deepEqual(of(healthy, strict), ["warning min-insync-replicas"]);

    await cluster.nodes[2]!.kill();
    await eventually(
      "the topics are under-replicated",
      async () => {
        const diagnosed = await diagnose(bootstrap, ...topics);
        const found = of(diagnosed, careful);
        if (!found.includes("warning under-replicated") || !of(diagnosed, strict).includes("error under-min-isr"))
          return false;
        // The broker that is away is an error, too, and everything else was looked at all the same.
        assert.equal(diagnosed.code, 1);
        assert.deepEqual(found, ["warning under-replicated"]);
        return true;
      },
      90_000,
    );
  },
);
