// Every producer through the conformance suite, on real Kafka, with Java's consumer as the judge.

import { javaConsume, kafkaTest, type TestKafka } from "../support/kafka.ts";
import { type ConformanceCluster, producerConformance, type StoredRecord } from "./conformance.ts";
import { SUBJECTS } from "./support/subjects.ts";

function conformanceCluster(kafka: TestKafka): ConformanceCluster {
  const { bootstrap } = kafka;
  return {
    bootstrap,
    createTopic: (partitions, configs = {}) => kafka.createTopic("conformance", { partitions, configs }),
    stored: async (topic, partitions, count) => {
      const stored = Array.from({ length: partitions }, (): StoredRecord[] => []);
      for (const { partition, key, value, headers, timestamp } of await javaConsume({
        bootstrap,
        topic,
        count,
        extraMs: 200,
      })) {
        stored[partition]!.push({ key, value, headers, timestamp });
      }
      return stored;
    },
    // One broker that others share: faults are for failover.kafka.test.ts, which has three of its own.
    fail: () => Promise.reject(new Error("this cluster cannot be made to fail")),
  };
}

for (const subject of SUBJECTS) {
  producerConformance(subject, [], (name, body) => {
    kafkaTest(name, async (kafka) => {
      await body(conformanceCluster(kafka));
    });
  });
}
