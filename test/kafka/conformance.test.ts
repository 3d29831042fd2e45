// Every producer through the conformance suite, on fake brokers that fail on demand.

import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { decodeRecords, type Record } from "../../src/wire/record-batch.ts";
import { FakeCluster, once, type ProduceHook, type ProduceRequest, type RecordError } from "../support/fake-broker.ts";
import { type ConformanceCluster, producerConformance, type StoredRecord } from "./conformance.ts";
import { SUBJECTS } from "./support/subjects.ts";

function conformanceCluster(cluster: FakeCluster): ConformanceCluster {
  let topics = 0;
  /** Those that are compacted, and so take no record without a key. */
  const compacted = new Set<string>();
  const hooks: ProduceHook[] = [(request) => refuseKeyless(request, compacted)];
  cluster.onProduce = (request) => {
    for (const hook of hooks) {
      const fault = hook(request);
      if (fault !== undefined) return fault;
    }
    return undefined;
  };
  return {
    bootstrap: cluster.bootstrap,
    createTopic: (partitions, configs = {}) => {
      const name = `topic-${topics++}`;
      if (configs["cleanup.policy"] === "compact") compacted.add(name);
      cluster.createTopic(name, { partitions, configs });
      return Promise.resolve(name);
    },
    stored: (topic, partitions) =>
      Promise.resolve(
        Array.from({ length: partitions }, (_, partition) =>
          cluster.log(topic, partition).flatMap(({ bytes }) => Array.from(decodeRecords(bytes), asText)),
        ),
      ),
    fail: async (fault, topic, partition) => {
      const leader = cluster.leader(topic, partition);
      switch (fault) {
        case "leader restarts":
          await cluster.broker(leader).stop();
          await sleep(50);
          await cluster.broker(leader).start();
          break;
        case "leader moves":
          cluster.moveLeader(topic, partition, (leader % cluster.brokers.length) + 1);
          break;
        case "answer lost":
          hooks.push(once({ action: "disconnect", when: "after" }));
          break;
        default:
          fault satisfies never;
      }
    },
  };
}

function refuseKeyless({ partitions }: ProduceRequest, compacted: ReadonlySet<string>) {
  const recordErrors = partitions.flatMap(({ topic, bytes }): RecordError[] =>
    compacted.has(topic)
      ? Array.from(decodeRecords(bytes!)).flatMap(({ key }, index) =>
          key === null ? { index, message: "no key" } : [],
        )
      : [],
  );
  return recordErrors.length === 0 ? undefined : ({ action: "error", code: 87, recordErrors } as const);
}

function asText({ key, value, headers, timestamp }: Record): StoredRecord {
  return {
    timestamp,
    key: key?.toString() ?? null,
    value: value?.toString() ?? null,
    headers: headers.map((header) => [header.key, header.value?.toString() ?? null]),
  };
}

for (const subject of SUBJECTS) {
  producerConformance(subject, ["leader restarts", "leader moves", "answer lost"], (name, body) => {
    void test(name, { timeout: 60_000 }, async () => {
      await using cluster = await FakeCluster.start({ brokers: 3 });
      await body(conformanceCluster(cluster));
    });
  });
}
