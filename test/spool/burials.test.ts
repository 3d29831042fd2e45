// What Kafka refused for good, and crashes between its letter and the marker in the spool.

import assert from "node:assert/strict";
import test from "node:test";
import { listDeadLetters, readDeadLetters } from "../../src/spool/dead-letter-reader.ts";
import { DeadLetters } from "../../src/spool/dead-letters.ts";
import { Forwarder } from "../../src/spool/forwarder.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { FakeProducer, refusal } from "./support/fake-producer.ts";
import { seeded, settle, slowly, type SpoolFixture, startSpool } from "./support/fixtures.ts";
import type { MemoryFileSystem } from "./support/memory-file-system.ts";
import { MemoryFileSystem as Disk } from "./support/memory-file-system.ts";

const LETTERS = "/data/dead-letters/worker-0";

/** Everything that begins with "poison" is refused for good. */
async function startForwarder(spool: SpoolFixture): Promise<{ producer: FakeProducer; deadLetters: DeadLetters }> {
  const { fs, clock, metrics } = spool;
  const dependencies = { log: silentLogger(), metrics, clock, fs };
  const deadLetters = new DeadLetters(dependencies, { dir: LETTERS, segmentBytes: 1e6 });
  await deadLetters.start();
  const producer = new FakeProducer();
  producer.addTopic("clicks");
  producer.decide = ({ text }) => (text.startsWith("poison") ? refusal() : "stored");
  const forwarder = new Forwarder({
    ...dependencies,
    spool: spool.spool,
    producer,
    deadLetters,
    repartition: () => [],
  });
  await forwarder.start();
  return { producer, deadLetters };
}

async function letters(fs: MemoryFileSystem): Promise<string[]> {
  const all: string[] = [];
  for await (const { bytes } of readDeadLetters(fs, LETTERS)) all.push(bytes.toString());
  return all;
}

test("a kill between a letter's sync and the marker of its batch loses nothing, and leaves at most one letter too many", async () => {
  const spool = await startSpool(new Disk());
  spool.append("poison");
  await settle();
  // The letter's sync goes through; whatever is written to the spool after it does not.
  spool.fs.fail("write", /\/spool\//, "EIO", 1e9);
  await startForwarder(spool);
  await settle(50);
  assert.deepEqual(await letters(spool.fs), ["poison"]);
  const again = await startSpool(spool.fs.kill());
  assert.deepEqual(again.open(), ["poison"], "its batch is not marked");
  const { deadLetters } = await startForwarder(again);
  await settle(50);
  await again.clock.advance(1000);
  assert.deepEqual(await letters(again.fs), ["poison", "poison"]);
  assert.equal(again.metrics.eventsDeadLettered.with("clicks").value, 1);
  assert.equal(again.metrics.eventsSpooled.with("clicks").value, 0);
  // Both tell the same origin, so that who looks at them sees that they are one.
  const { letters: two, logId } = await listDeadLetters(again.fs, LETTERS);
  assert.equal(new Set(two.map(({ spoolId, batch }) => `${spoolId.toString("hex")} ${batch}`)).size, 1);
  const ids = two.map(({ sequence }) => `0-${sequence}`);
  await deadLetters.drop({ letters: ids, logs: { 0: logId.toString("hex") }, why: "dropped", by: "test" });
  const third = await startSpool(again.fs.kill());
  assert.deepEqual(third.open(), []);
  assert.deepEqual(await letters(third.fs), []);
});

test("with the power going at any moment every batch ends in Kafka or in a letter", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = seeded(seed);
    let fs = new Disk();
    const appended = new Set<string>();
    const stored = new Set<string>();
    for (let life = 0; life < 4; life++) {
      fs.before = slowly(random);
      const spool = await startSpool(fs, { segmentBytes: 1000 });
      const { producer } = await startForwarder(spool);
      for (let i = 0; i < 6; i++) {
        spool.append(`${random() < 0.5 ? "poison" : "good"} ${life}.${i}`);
        await settle(Math.floor(random() * 20));
        if (random() < 0.2) await spool.clock.advance(600);
      }
      for (const text of spool.outcomes.stored_) appended.add(text);
      for (const texts of producer.log.values()) for (const text of texts) stored.add(text);
      fs = random() < 0.5 ? fs.cutPower(random) : fs.kill();
    }
    fs.before = undefined;
    const last = await startSpool(fs);
    const { producer } = await startForwarder(last);
    await settle(100);
    await last.clock.advance(1000);
    for (const texts of producer.log.values()) for (const text of texts) stored.add(text);
    const buried = new Set(await letters(last.fs));
    for (const text of appended)
      assert.ok(text.startsWith("poison") ? buried.has(text) : stored.has(text), `seed ${seed}: ${text} is lost`);
    assert.deepEqual(last.open(), [], `seed ${seed}`);
  }
});
