// The direct producer on three real brokers of which one is killed and comes back, and another one hangs: Java's consumer
// finds what was acknowledged, once, in order.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

import { Code, type IngestError, Reason } from "../../src/errors.ts";
import type { BatchSettler, SealedBatch } from "../../src/ingest/producer.ts";
import { askMetadata } from "../../scripts/kafka/topics.ts";
import { javaConsumeEach, kafkaTest, type KafkaCluster, type KafkaNode, startKafka } from "../support/kafka.ts";
import { batchOf } from "./support/batches.ts";
import { direct, value } from "./support/harness.ts";

const TOPIC = "failover";
const PARTITIONS = 6;
const RECORDS = 200_000;
const BATCH_RECORDS = 100;
/** For a leader's session (5 s) to end and another one to be elected; a busy machine takes many times that. */
const ELECTION_TIMEOUT_MS = 60_000;
/** Batches that wait for their outcome: what a byte budget does for the service. */
const OPEN_BATCHES_MAX = 200;

class Ledger implements BatchSettler {
  stored_ = 0;
  open = 0;
  readonly failures: string[] = [];

  stored(_batch: SealedBatch, _first: number, count: number): void {
    this.stored_ += count;
    this.#settle(count);
  }

  failed(batch: SealedBatch, first: number, count: number, error: IngestError): void {
    this.failures.push(`${batch.partition}: ${first} + ${count}: ${error.message}`);
    this.#settle(count);
  }

  #settle(count: number): void {
    this.open -= count;
  }
}

/**
 * Waits until one of the brokers, asked in turn, knows one of them as the leader of partition 0. How long an election takes
 * depends on how busy the machine is and on whether the controller is away, too; so a fault ends when it sees another
 * leader, not after a while. A broker that hangs must not be the one that is asked.
 */
async function electedLeader(asked: readonly KafkaNode[]): Promise<KafkaNode> {
  const deadline = performance.now() + ELECTION_TIMEOUT_MS;
  for (let tries = 0; ; tries++) {
    // It is an error as long as the broker knows no leader.
    const metadata = await askMetadata(`127.0.0.1:${asked[tries % asked.length]!.port}`, [TOPIC]).catch(
      () => undefined,
    );
    const leaderId = metadata?.topics[0]?.partitions.find(({ partitionIndex }) => partitionIndex === 0)?.leaderId;
    const leader = asked.find(({ id }) => id === leaderId);
    if (leader !== undefined) return leader;
    assert.ok(performance.now() < deadline, `no leader within ${ELECTION_TIMEOUT_MS} ms`);
    await sleep(100);
  }
}

/** Sends `records` records in all, evenly, while `fault` happens to the leader of partition 0 and another one is elected. */
async function sendInSpiteOf(
  cluster: KafkaCluster,
  records: number,
  first: number,
  fault: (leader: KafkaNode, elected: () => Promise<KafkaNode>) => Promise<void>,
): Promise<Ledger> {
  const { producer, metrics } = direct(cluster.bootstrap, { requestTimeoutMs: 6_000, metadataMaxAgeMs: 5_000 });
  await producer.start();
  const ledger = new Ledger();
  let faulty: Promise<void> | undefined;
  try {
    await producer.lookup(TOPIC);
    const batches = records / BATCH_RECORDS;
    for (let batch = 0; batch < batches; batch++) {
      if (batch === Math.floor(batches / 4)) {
        const leader = await electedLeader(cluster.nodes);
        const others = cluster.nodes.filter((node) => node !== leader);
        faulty = fault(leader, () => electedLeader(others));
        // It is awaited below, which may be after it failed.
        faulty.catch(() => {});
      }
      const partition = batch % PARTITIONS;
      const from = first + Math.floor(batch / PARTITIONS) * BATCH_RECORDS;
      const values = Array.from({ length: BATCH_RECORDS }, (_, index) => `${partition}:${from + index}`);
      ledger.open += BATCH_RECORDS;
      producer.send(batchOf(TOPIC, partition, values), ledger);
      while (ledger.open > OPEN_BATCHES_MAX * BATCH_RECORDS) await sleep(5);
    }
    await faulty;
    await producer.drain(Date.now() + 60_000);
  } finally {
    await producer.dispose();
  }
  assert.deepEqual(ledger.failures, []);
  assert.equal(ledger.open, 0);
  assert.equal(ledger.stored_, records);
  assert.ok(value(metrics, "sluice_kafka_retries_total") > 0, "something had to be sent again");
  assert.ok(value(metrics, "sluice_kafka_leader_moves_total") > 0, "leaders moved");
  assert.equal(value(metrics, "sluice_kafka_possible_duplicates_total"), 0);
  assert.equal(value(metrics, "sluice_kafka_queued_bytes"), 0);
  return ledger;
}

kafkaTest(
  "200,000 records are stored once, in order, while one leader is killed and restarted and another one hangs",
  async () => {
    await using cluster = await startKafka({ brokers: 3 });
    await cluster.createTopic(TOPIC, { partitions: PARTITIONS });
    const killed = await sendInSpiteOf(cluster, RECORDS / 2, 0, async (leader, elected) => {
      await leader.kill("SIGKILL");
      await elected();
      await leader.restart();
    });
    const hung = await sendInSpiteOf(cluster, RECORDS / 2, RECORDS, async (leader, elected) => {
      await leader.kill("SIGSTOP");
      await elected();
      await leader.kill("SIGCONT");
    });

    const next = Array.from({ length: PARTITIONS }, () => ({ offset: 0, number: 0 }));
    const wrong: string[] = [];
    const options = { bootstrap: cluster.bootstrap, topic: TOPIC, count: RECORDS, timeoutMs: 60_000, extraMs: 500 };
    const read = await javaConsumeEach(options, ({ partition, value: text }) => {
      const expected = next[partition]!;
      const number = Number(text!.slice(text!.indexOf(":") + 1));
      // The second half begins at RECORDS.
      const isNext = number === expected.number || (number === RECORDS && expected.number < RECORDS);
      if (!isNext && wrong.length < 10) wrong.push(`${text} where ${partition}:${expected.number} was expected`);
      expected.number = number + 1;
    });
    assert.deepEqual(wrong, []);
    assert.equal(read, killed.stored_ + hung.stored_);
  },
  { timeout: 240_000 },
);

kafkaTest("Kafka's own topics are not written to", async (kafka) => {
  const topic = await kafka.createTopic("own");
  const { producer } = direct(kafka.bootstrap);
  await producer.start();
  await producer.lookup(topic);
  // A consumer with a group makes Kafka create the topic that it keeps offsets in.
  await javaConsumeEach({ bootstrap: kafka.bootstrap, topic, count: 1, timeoutMs: 4_000 }, () => undefined);
  const failure = await producer.lookup("__consumer_offsets").then(
    () => assert.fail("it was expected to reject"),
    (thrown: IngestError) => thrown,
  );
  assert.deepEqual(
    [failure.code, failure.reason, failure.retryable],
    [Code.INVALID_ARGUMENT, Reason.INVALID_TOPIC, false],
  );
  await producer.dispose();
});
