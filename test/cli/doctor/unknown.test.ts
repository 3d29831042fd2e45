// What the doctor says of a Kafka that does not tell everything, or nothing in time.

import assert from "node:assert/strict";
import test from "node:test";
import { checkKafka } from "../../../src/cli/doctor/kafka.ts";
import type { NamedFinding } from "../../../src/cli/doctor/finding.ts";
import { loadConfig } from "../../../src/config.ts";
import { FakeCluster } from "../../support/fake-broker.ts";

async function check(cluster: FakeCluster, timeMaxMs = 60_000): Promise<NamedFinding[]> {
  const loaded = loadConfig({ KAFKA_BROKERS: cluster.bootstrap });
  assert.ok(loaded.ok);
  const { signal } = new AbortController();
  return await checkKafka(loaded.config, { topics: ["t", "no-such-topic"], lookMs: 100, signal, timeMaxMs });
}

const of = (findings: readonly NamedFinding[], level: string) =>
  findings.filter((finding) => finding.level === level).map(({ subject }) => subject);

test("what cannot be looked at is unknown, and the rest is looked at all the same", async () => {
  // The fake cluster knows neither groups nor a controller with a clock.
  await using cluster = await FakeCluster.start({ topics: { t: 2 } });
  const findings = await check(cluster);
  assert.deepEqual(of(findings, "unknown"), ["clock", "groups"]);
  assert.deepEqual(of(findings, "error"), ["topic no-such-topic"]);
  assert.match(findings.find(({ subject }) => subject === "topic t")!.message, /^2 partitions, replication factor 1/);
  for (const { level, remedy } of findings) assert.equal(remedy === undefined, level === "ok");
});

test("a broker that stops to answer is not waited for, and what was found until then is told", async () => {
  await using cluster = await FakeCluster.start({ topics: { t: 2 } });
  cluster.onRequest = ({ api }) => (api === "DescribeConfigs" ? { action: "drop-response" } : undefined);
  const findings = await check(cluster, 500);
  assert.deepEqual(of(findings, "unknown"), ["Kafka"]);
  assert.ok(of(findings, "ok").includes("acknowledgements"));
});
