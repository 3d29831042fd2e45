// An hour without Kafka, on a clock that the test owns: PERSISTED goes on, and what it left goes to Kafka beside live traffic.

import assert from "node:assert/strict";
import test from "node:test";
import { BehindSpool } from "../../src/spool/behind-spool.ts";
import { DeadLetters } from "../../src/spool/dead-letters.ts";
import { Forwarder } from "../../src/spool/forwarder.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { FakeProducer } from "./support/fake-producer.ts";
import { batchOf, Outcomes, settle, startSpool, stopSpool } from "./support/fixtures.ts";
import { MemoryFileSystem } from "./support/memory-file-system.ts";

const PARTITIONS = 4;
const SECONDS = 3_600;

test("after an hour without Kafka nothing is lost, the backlog drains without a pause, and live traffic is not starved", async () => {
  const fs = new MemoryFileSystem();
  const spool = await startSpool(fs, { segmentBytes: 64 * 1024 });
  const { clock, metrics } = spool;
  const dependencies = { log: silentLogger(), metrics, clock, fs };
  const deadLetters = new DeadLetters(dependencies, { dir: "/data/dead-letters/worker-0", segmentBytes: 1e6 });
  await deadLetters.start();
  const producer = new FakeProducer();
  producer.addTopic("clicks", PARTITIONS + 1);
  // Little at a time, so that it takes a while.
  const options = { bytesInFlightMax: 1_500 };
  const forwarder = new Forwarder(
    {
      ...dependencies,
      spool: spool.spool,
      producer,
      deadLetters,
      repartition: () => [],
    },
    options,
  );
  await forwarder.start();
  const behind = new BehindSpool(spool.spool, producer);
  const persisted = new Outcomes();
  const replicated = new Outcomes();

  // Kafka takes what it is given and says nothing, as the direct producer does while brokers are away.
  const sent: string[][] = Array.from({ length: PARTITIONS }, () => []);
  for (let second = 0; second < SECONDS; second++) {
    const partition = second % PARTITIONS;
    const text = `p${partition}-${second}`;
    sent[partition]!.push(text);
    behind.persisted.send(batchOf(text, { partition, calls: [sent] }), persisted);
    await clock.advance(1_000);
  }
  const all = sent.flat();
  assert.deepEqual(persisted.stored_.toSorted(), all.toSorted(), "everything was acknowledged while Kafka was away");
  assert.equal(metrics.eventsSpooled.with("clicks").value, SECONDS);
  assert.equal(metrics.spoolOldest.with().value, SECONDS);

  // It is back. From now on the clock stands still: whatever waited for time would not go on.
  for (const text of producer.texts) producer.settle(text, "stored");
  producer.decide = () => "stored";
  const live = (name: string, partition: number): void =>
    behind.replicated.send(batchOf(name, { partition, calls: [{}] }), replicated);
  let turns = 0;
  while (spool.spool.backlog("clicks", 0) > 0) {
    assert.ok(turns < SECONDS * 4, "it comes to an end");
    if (turns % 3 === 0) {
      live(`other ${turns}`, PARTITIONS);
      behind.persisted.send(batchOf(`late ${turns}`, { partition: 1, calls: [{}] }), persisted);
      if (turns === 6) live("same", 0);
    }
    await settle(1);
    turns++;
    assert.ok(replicated.all.size >= Math.floor(turns / 3) - 1, "a live batch of another partition is through at once");
    assert.ok(persisted.all.size >= SECONDS + Math.floor(turns / 3) - 1, "and so is a persisted one");
  }
  assert.ok(turns > 20, "there was time for live traffic");
  await settle(50);
  assert.equal(replicated.all.get("same"), "stored");
  assert.equal(metrics.eventsSpooled.with("clicks").value, 0);
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const log = (producer.log.get(`clicks ${partition}`) ?? []).filter((text) => text.startsWith("p"));
    assert.deepEqual(log, sent[partition], "once each, in order");
  }
  assert.equal(metrics.eventsForwarded.with("clicks").value, persisted.all.size);
  await forwarder.dispose();
  await stopSpool(spool);
  await deadLetters.dispose();
});
