// A service that starts while its cluster is away, over a fake one: PERSISTED streams go on, and everything gets there.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, Durability, type PublishResponse, type SluiceClient } from "../../src/client/index.ts";
import { partitionOfKey } from "../../src/wire/murmur2.ts";
import { decodeRecords } from "../../src/wire/record-batch.ts";
import { FakeCluster } from "../support/fake-broker.ts";
import { startInProcess } from "../support/in-process.ts";
import { eventually } from "../support/service.ts";

const PARTITIONS = 4;
const STREAMS = 4;
const EVENTS_PER_BATCH = 7;

/** Sends batches on one stream for as long as it is told to; every event has a key, and a number that tells its place. */
async function sendStream(
  client: SluiceClient,
  name: number,
  topic: string,
  goOn: () => boolean,
  durabilityOf: () => Durability,
) {
  const stream = client.openStream({ batchesMax: 8 });
  const answers: Promise<PublishResponse>[] = [];
  let sent = 0;
  while (goOn()) {
    await stream.ready();
    const events = Array.from({ length: EVENTS_PER_BATCH }, () => ({
      key: `key-${name}-${sent % 3}`,
      value: `${name}/${sent++}`,
    }));
    answers.push(stream.publish({ topic, durability: durabilityOf(), events }));
  }
  for (const { stored, failures } of await Promise.all(answers))
    assert.equal(stored, EVENTS_PER_BATCH, failures[0]?.message);
  await stream.close();
  return sent;
}

function valuesByPartition(cluster: FakeCluster, topic: string): { readonly key: string; readonly value: string }[][] {
  return Array.from({ length: PARTITIONS }, (_, partition) =>
    cluster
      .log(topic, partition)
      .flatMap(({ bytes }) =>
        Array.from(decodeRecords(bytes), ({ key, value }) => ({ key: key!.toString(), value: value!.toString() })),
      ),
  );
}

test(
  "PERSISTED streams are acknowledged while the cluster is away, and all of it gets there once, in order by key",
  { timeout: 120_000 },
  async () => {
    await using cluster = await FakeCluster.start({ topics: { a: PARTITIONS, b: PARTITIONS } });
    const { bootstrap } = cluster;
    await cluster.stop();
    await using running = await startInProcess({ KAFKA_BROKERS: bootstrap });
    const { metrics } = running.service;
    const spooled = () => metrics.eventsSpooled.snapshot().series.reduce((sum, [, count]) => sum + Number(count), 0);
    const persisted = (topic: string) => metrics.eventsStored.with(topic, "persisted").value;
    let sending = true;
    let durability: Durability = Durability.PERSISTED;
    const clients = Array.from({ length: STREAMS }, () => connect(`127.0.0.1:${running.address.port}`));
    const senders = clients.map((client, name) =>
      sendStream(
        client,
        name,
        name % 2 === 0 ? "a" : "b",
        () => sending,
        () => durability,
      ),
    );
    await eventually("both topics are taken", () => persisted("a") > 500 && persisted("b") > 500, 60_000);
    assert.equal(running.service.health().ready, false);
    await cluster.start();
    for (const topic of ["a", "b"]) for (let p = 0; p < PARTITIONS; p++) cluster.moveLeader(topic, p, 1);
    const atReturn = persisted("a");
    await eventually("it goes on with the cluster there", () => persisted("a") > atReturn + 500, 60_000);
    const forwarded = (topic: string) => metrics.eventsForwarded.with(topic).value;
    await eventually("what is spooled is on its way", () => forwarded("a") > 0 && forwarded("b") > 0, 60_000);
    // The same streams, straight to Kafka, behind what is spooled.
    durability = Durability.REPLICATED;
    await eventually("some are replicated", () => metrics.eventsStored.with("b", "replicated").value > 200, 60_000);
    sending = false;
    const sent = await Promise.all(senders);
    await Promise.all(clients.map((client) => client.close()));
    await eventually("the spool is empty", () => spooled() === 0, 60_000);

    for (const [which, topic] of ["a", "b"].entries()) {
      const partitions = valuesByPartition(cluster, topic);
      const values = partitions.flat().map(({ value }) => value);
      const expected = sent.flatMap((count, name) =>
        name % 2 === which ? Array.from({ length: count }, (_, n) => `${name}/${n}`) : [],
      );
      assert.equal(values.length, expected.length, "once each");
      assert.deepEqual(new Set(values), new Set(expected));
      const last = new Map<string, number>();
      for (const [partition, records] of partitions.entries()) {
        for (const { key, value } of records) {
          assert.equal(partitionOfKey(Buffer.from(key), 0, Buffer.byteLength(key), PARTITIONS), partition);
          const n = Number(value.split("/")[1]);
          assert.ok((last.get(key) ?? -1) < n, `${key}: ${value} is behind its place`);
          last.set(key, n);
        }
      }
    }
    await running.service.drain(Date.now() + 5_000);
    assert.deepEqual(cluster.violations, []);
  },
);

for (const client of ["direct", "kafkajs"]) {
  test(`without a cluster REPLICATED batches fail for now beside PERSISTED ones that are stored, with ${client}`, async () => {
    // Nobody listens there.
    await using running = await startInProcess({ KAFKA_BROKERS: "127.0.0.1:1", KAFKA_CLIENT: client });
    await using sender = connect(`127.0.0.1:${running.address.port}`);
    const send = (durability: Durability) => sender.publish({ topic: "a", durability, events: [{ value: "v" }] });
    const [replicated, persisted] = await Promise.all([send(Durability.REPLICATED), send(Durability.PERSISTED)]);
    assert.equal(replicated.failures[0]?.retryable, true);
    assert.equal(persisted.stored, 1);
    assert.equal(persisted.durability, Durability.PERSISTED);
  });
}
