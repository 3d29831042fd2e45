import assert from "node:assert/strict";
import test from "node:test";
import { acknowledgements, type BrokerSettings, judgeBrokers } from "../../../src/cli/doctor/broker-settings.ts";
import type { Finding } from "../../../src/cli/doctor/finding.ts";
import { judgeTopic, type PartitionFacts, type TopicSettings } from "../../../src/cli/doctor/topics.ts";

const BATCH_BYTES = 262_144;
const SETTINGS: TopicSettings = {
  minInSyncReplicas: 2,
  maxMessageBytes: 1_048_588,
  compacted: false,
  uncleanElection: false,
  timestampAfterMaxMs: 3_600_000,
};

const levels = (findings: readonly Finding[]) => findings.map(({ level }) => level);
/** What is not ok. */
const checks = (findings: readonly Finding[]) =>
  findings.filter(({ level }) => level !== "ok").map(({ level, check }) => [level, check]);

function judge(partitions: readonly PartitionFacts[], settings: Partial<TopicSettings> = {}): Finding[] {
  return judgeTopic({ name: "t", partitions, settings: { ...SETTINGS, ...settings } }, BATCH_BYTES);
}

test("a topic is judged by whether it takes events now, and when a broker is lost", () => {
  const one = (replicas: number, inSync: number, minInSyncReplicas: number, leader = 0) =>
    levels(judge([{ leader, replicas, inSync }], { minInSyncReplicas })).slice(1);
  assert.deepEqual(one(3, 3, 2), []);
  assert.deepEqual(one(1, 1, 1), ["warning"]);
  assert.deepEqual(one(3, 3, 1), ["warning"]);
  assert.deepEqual(one(3, 3, 3), ["warning"]);
  assert.deepEqual(one(3, 1, 2), ["error"]);
  assert.deepEqual(one(1, 1, 2), ["error"]);
  assert.deepEqual(one(3, 2, 2, -1), ["error"]);
});

test("partitions that are behind, and those that nobody leads, are told by their numbers", () => {
  const whole = { leader: 1, replicas: 3, inSync: 3 };
  const findings = judge([whole, { ...whole, inSync: 2 }, { ...whole, leader: -1 }, { ...whole, inSync: 2 }]);
  assert.deepEqual(checks(findings), [
    ["error", "no-leader"],
    ["warning", "under-replicated"],
  ]);
  assert.match(findings[1]!.message, /^1 of 4 partitions \(2\) have no leader/);
  assert.match(findings[2]!.message, /^2 of 4 partitions \(1, 3\) are under-replicated/);
});

test("a replica that is behind may not become leader, and a record batch has to fit", () => {
  const partitions = [{ leader: 0, replicas: 3, inSync: 3 }];
  const findings = judge(partitions, { uncleanElection: true, maxMessageBytes: 100_000 });
  assert.deepEqual(checks(findings), [
    ["warning", "unclean-election"],
    ["warning", "message-bytes"],
  ]);
  assert.match(findings[2]!.message, /^max\.message\.bytes is 97\.7 KiB, below the 256\.0 KiB of a record batch/);
  for (const { level, why, remedy } of findings)
    if (level !== "ok") assert.ok(why !== undefined && remedy !== undefined);
});

test("a topic whose settings may not be seen is judged by its partitions, and it is said what is not known", () => {
  const partitions = [{ leader: -1, replicas: 3, inSync: 3 }];
  assert.deepEqual(checks(judgeTopic({ name: "t", partitions, settings: undefined }, BATCH_BYTES)), [
    ["error", "no-leader"],
    ["unknown", "topic-settings"],
  ]);
});

const BROKER: BrokerSettings = {
  broker: "a:9092",
  defaultReplicationFactor: 1,
  minInSyncReplicas: 1,
  uncleanElection: false,
  messageMaxBytes: 1_048_588,
};

test("brokers' defaults matter where the service creates topics, and brokers that agree are one finding", () => {
  const options = { autoCreate: false, brokers: 2, recordBatchBytesMax: BATCH_BYTES };
  const two = [BROKER, { ...BROKER, broker: "b:9092" }];
  assert.deepEqual(
    judgeBrokers(two, options).map(({ level, subject }) => [level, subject]),
    [["ok", "broker a:9092, b:9092"]],
  );
  const [of2] = judgeBrokers(two, { ...options, autoCreate: true });
  assert.deepEqual([of2!.level, of2!.check], ["warning", "replication-factor"]);
  assert.match(of2!.remedy!, /^set default\.replication\.factor to 2/);
  // Where there is one broker, a factor of 3 would make no topic at all.
  const [of1] = judgeBrokers([BROKER], { ...options, brokers: 1, autoCreate: true });
  assert.match(of1!.message, /, with 1 broker, /);
  assert.match(of1!.remedy!, /^in production use three brokers/);
  const replicated = { ...BROKER, defaultReplicationFactor: 3 };
  assert.deepEqual(checks(judgeBrokers([replicated], { ...options, autoCreate: true })), [
    ["warning", "min-insync-replicas"],
  ]);
  const bad = { ...replicated, uncleanElection: true, messageMaxBytes: 1000 };
  assert.deepEqual(checks(judgeBrokers([replicated, bad], options)), [
    ["warning", "unclean-election"],
    ["warning", "message-bytes"],
  ]);
});

test("the service asks for acks=all with either client", () => {
  for (const client of ["direct", "kafkajs"]) assert.match(acknowledgements(client).message, /acks=all/);
});
