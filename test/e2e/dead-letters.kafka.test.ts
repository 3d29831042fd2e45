// Dead letters from end to end: events that were persisted while there were no brokers, a Kafka that refuses them for good,
// and an operator with the command line.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import kafkajs from "kafkajs";
import { ledgerMistakes, readLedger } from "../../src/cli/ledger.ts";
import { connect, type EventInit } from "../../src/client/index.ts";
import { javaConsume, kafkaTest, uniqueTopic } from "../support/kafka.ts";
import { eventually, logLines, type RunningService, startService } from "../support/service.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");

type Env = Readonly<Record<string, string>>;

/** Runs `sluice dead-letters` as a process of its own. */
async function deadLetters(env: Env, ...args: string[]) {
  const child = spawn(process.execPath, [MAIN, "dead-letters", ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 60_000,
  });
  const [stdout, stderr, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve) => child.once("close", resolve)),
  ]);
  return { code, stdout, stderr };
}

async function alterTopic(bootstrap: string, topic: string, name: string, value: string): Promise<void> {
  const admin = new kafkajs.Kafka({
    brokers: [bootstrap],
    requestTimeout: 60_000,
    logLevel: kafkajs.logLevel.NOTHING,
  }).admin();
  await admin.connect();
  await admin.alterConfigs({
    validateOnly: false,
    resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name, value }] }],
  });
  await admin.disconnect();
}

async function persist(env: Env, batches: Readonly<Record<string, readonly EventInit[]>>): Promise<void> {
  await using service = await startService({ env: { ...env, KAFKA_BROKERS: "" } });
  await using client = connect(service.grpcAddress);
  for (const [topic, events] of Object.entries(batches))
    assert.equal((await client.publish({ topic, events })).stored, events.length);
}

async function metricsOf(service: RunningService): Promise<string> {
  return (await fetch(`${service.adminUrl}/metrics`)).text();
}

/** The letters as `list --json` tells them, once there are so many events in them. */
async function listed(env: Env, events: number) {
  return eventually("the dead letters are there", async () => {
    const { stdout } = await deadLetters(env, "list", "--json");
    const letters = stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as { id: string; topic: string; events: number; reason: string });
    return letters.reduce((sum, letter) => sum + letter.events, 0) === events && letters;
  });
}

function large(n: number): EventInit {
  return {
    key: `k${n}`,
    value: `${n}${"x".repeat(3_000)}`,
    headers: [{ key: "n", value: String(n) }],
    timestamp: 1_700_000_000_000 + n,
  };
}

kafkaTest(
  "what Kafka refuses for good is listed, shown, retried once the topic takes it, and dropped where it never will",
  async (kafka) => {
    const dataDir = await mkdtemp(join(tmpdir(), "sluice-letters-"));
    try {
      const small = await kafka.createTopic("small", { partitions: 3, configs: { "max.message.bytes": "2000" } });
      const compacted = await kafka.createTopic("compacted", { configs: { "cleanup.policy": "compact" } });
      const env: Env = { DATA_DIR: dataDir, WORKERS: "2", KAFKA_METADATA_MAX_AGE: "500ms", LOG_LEVEL: "info" };
      await persist(env, {
        [small]: [large(0), { key: "fits", value: "fits" }, large(1), large(2)],
        [compacted]: [{ value: "no key" }, { key: "k", value: "a key" }, { value: "no key either" }],
      });
      await using service = await startService({ env: { ...env, KAFKA_BROKERS: kafka.bootstrap } });
      const { host } = new URL(service.adminUrl);
      const cli: Env = { ...env, KAFKA_BROKERS: kafka.bootstrap, ADMIN_LISTEN: host, GRPC_LISTEN: service.grpcAddress };
      const letters = await listed(cli, 5);
      const of = (topic: string) => letters.filter((letter) => letter.topic === topic);
      assert.deepEqual([...new Set(of(small).map(({ reason }) => reason))], ["too_large"]);
      assert.deepEqual([...new Set(of(compacted).map(({ reason }) => reason))], ["rejected"]);
      assert.equal(of(compacted).length, 1, "one letter for the records of a batch that were refused alike");

      const shown = await deadLetters(cli, "show", of(compacted)[0]!.id, "--json");
      assert.deepEqual(
        shown.stdout
          .trim()
          .split("\n")
          .slice(1)
          .map((line) => (JSON.parse(line) as { value: string }).value),
        ["no key", "no key either"],
      );

      const early = await deadLetters(cli, "retry", "--all");
      assert.equal(early.code, 1, early.stdout);
      assert.match(early.stdout, /0 letters stored/);
      assert.equal((await listed(cli, 5)).length, letters.length);

      await alterTopic(kafka.bootstrap, small, "max.message.bytes", "1000000");
      await eventually("the topic's letters are stored", async () => {
        const { code } = await deadLetters(cli, "retry", "--all", "--topic", small);
        return code === 0;
      });
      const consumed = await javaConsume({ bootstrap: kafka.bootstrap, topic: small, count: 4, extraMs: 500 });
      assert.deepEqual(
        consumed
          .map(({ key, value, headers, timestamp }) => ({ key, value, headers, timestamp }))
          .filter(({ key }) => key !== "fits")
          .sort((a, b) => a.timestamp - b.timestamp),
        [0, 1, 2].map((n) => ({
          key: `k${n}`,
          value: `${n}${"x".repeat(3_000)}`,
          headers: [["n", String(n)]],
          timestamp: 1_700_000_000_000 + n,
        })),
      );

      const metrics = await eventually("the gauges follow", async () => {
        const all = await metricsOf(service);
        return new RegExp(`^sluice_dead_letters\\{topic="${small}",worker="\\d"\\} 0$`, "m").test(all) && all;
      });
      assert.deepEqual(ledgerMistakes(readLedger(metrics)), []);
      assert.equal(readLedger(metrics).deadLettered, 5);

      const refused = await deadLetters(cli, "drop", "--all");
      assert.equal(refused.code, 2, "nobody was asked, and --yes is missing");
      const dropped = await deadLetters(cli, "drop", "--all", "--yes");
      assert.deepEqual([dropped.code, dropped.stdout], [0, "dropped 1 letter, 2 events\n"]);
      const line = logLines(service.stderr()).find(({ msg }) => msg === "dead letters were dropped");
      assert.equal(line?.["level"], "warn");
      assert.deepEqual([line["letters"], line["events"], line["ids"]], [1, 2, [of(compacted)[0]!.id]]);
      assert.match(String(line["by"]), /sluice dead-letters drop, pid \d+$/);
      assert.equal((await deadLetters(cli, "list")).stdout, "no dead letters\n");
      // Workers tell their health once a second.
      await eventually("/readyz has nothing to tell", async () => {
        const { problems } = (await (await fetch(`${service.adminUrl}/readyz`)).json()) as { problems: unknown[] };
        return problems.length === 0;
      });
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  },
);

kafkaTest(
  "without a service this command drops itself, and says so on standard error as the service would",
  async (kafka) => {
    const dataDir = await mkdtemp(join(tmpdir(), "sluice-letters-"));
    try {
      const compacted = await kafka.createTopic("compacted", { configs: { "cleanup.policy": "compact" } });
      const env: Env = { DATA_DIR: dataDir, WORKERS: "1", LOG_LEVEL: "info" };
      await persist(env, { [compacted]: [{ value: "no key" }] });
      const service = await startService({ env: { ...env, KAFKA_BROKERS: kafka.bootstrap } });
      const [letter] = await listed(env, 1);
      await service.stop("SIGKILL");
      await eventually("its worker is gone, too", async () => {
        const { code, stderr } = await deadLetters(
          { ...env, ADMIN_LISTEN: "127.0.0.1:0" },
          "drop",
          letter!.id,
          "--yes",
        );
        const [line] = logLines(stderr);
        return code === 0 && line?.["msg"] === "dead letters were dropped" && line["level"] === "warn";
      });
      assert.equal((await deadLetters(env, "list")).stdout, "no dead letters\n");
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  },
);

for (const client of ["direct", "kafkajs"])
  kafkaTest(
    `with DEAD_LETTER_TOPIC, what Kafka refuses goes there (${client}), and to the log if it is refused there as well`,
    async (kafka) => {
      const dataDir = await mkdtemp(join(tmpdir(), "sluice-letters-"));
      try {
        const compacted = await kafka.createTopic("compacted", { configs: { "cleanup.policy": "compact" } });
        const dead = await kafka.createTopic("dead", { partitions: 2 });
        const env: Env = { DATA_DIR: dataDir, WORKERS: "1", KAFKA_CLIENT: client };
        const event = (n: number): EventInit => ({
          value: `no key ${n}`,
          headers: [{ key: "n", value: String(n) }],
          timestamp: 1_700_000_000_000 + n,
        });
        await persist(env, { [compacted]: [event(0), event(1)] });
        {
          await using service = await startService({
            env: { ...env, KAFKA_BROKERS: kafka.bootstrap, DEAD_LETTER_TOPIC: dead },
          });
          const consumed = await javaConsume({ bootstrap: kafka.bootstrap, topic: dead, count: 2, extraMs: 500 });
          assert.deepEqual(
            consumed.map(({ key, value, timestamp }) => ({ key, value, timestamp })),
            [0, 1].map((n) => ({ key: null, value: `no key ${n}`, timestamp: 1_700_000_000_000 + n })),
          );
          const headers = Object.fromEntries(consumed[1]!.headers);
          assert.equal(headers["n"], "1");
          assert.equal(headers["sluice.topic"], compacted);
          assert.equal(headers["sluice.reason"], "rejected");
          assert.match(headers["sluice.spool"]!, /^[0-9a-f]{32}\/1\/1$/);
          await eventually("they are counted", async () => readLedger(await metricsOf(service)).deadLettered === 2);
          assert.deepEqual(ledgerMistakes(readLedger(await metricsOf(service))), []);
        }
        assert.equal((await deadLetters(env, "list")).stdout, "no dead letters\n");

        await persist(env, { [compacted]: [event(2)] });
        const missing = uniqueTopic("missing");
        await using service = await startService({
          env: { ...env, KAFKA_BROKERS: kafka.bootstrap, DEAD_LETTER_TOPIC: missing },
        });
        const [letter] = await listed(env, 1);
        assert.deepEqual([letter!.topic, letter!.reason], [compacted, "rejected"]);
        assert.ok(
          logLines(service.stderr()).some(
            ({ level, deadLetterTopic }) => level === "error" && deadLetterTopic === missing,
          ),
        );
      } finally {
        await rm(dataDir, { recursive: true, force: true });
      }
    },
  );
