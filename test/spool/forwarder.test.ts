import assert from "node:assert/strict";
import test from "node:test";
import pino from "pino";
import { Reason } from "../../src/errors.ts";
import { type SealedBatch, UNASSIGNED_PARTITION } from "../../src/ingest/producer.ts";
import { readDeadLetters } from "../../src/spool/dead-letter-reader.ts";
import { DeadLetters } from "../../src/spool/dead-letters.ts";
import { Forwarder, type ForwarderOptions } from "../../src/spool/forwarder.ts";
import type { DeadLetter } from "../../src/spool/letter.ts";
import { type Attribution, type Labels, noAttribution } from "../../src/telemetry/attribution.ts";
import { type Logger, silentLogger } from "../../src/telemetry/log.ts";
import { batchOf as recordBatchOf, valuesOf } from "../kafka/support/batches.ts";
import { DIR, settle, type SpoolFixture, startSpool, stopSpool } from "./support/fixtures.ts";
import { FakeProducer, refusal, retryable } from "./support/fake-producer.ts";
import { MemoryFileSystem } from "./support/memory-file-system.ts";

const LETTERS = "/data/dead-letters/worker-0";

interface ForwarderFixture extends SpoolFixture {
  readonly producer: FakeProducer;
  readonly forwarder: Forwarder;
  readonly deadLetters: DeadLetters;
}

/** Splits "p1:a,p0:b" into the batches "a" for partition 1 and "b" for partition 0. */
function repartition(batch: SealedBatch, partitions: number): SealedBatch[] {
  const parts = batch.bytes.toString().split(",");
  return parts.map((part) => {
    const [partition, text] = part.slice(1).split(":") as [string, string];
    assert.ok(Number(partition) < partitions);
    return {
      topic: batch.topic,
      partition: Number(partition),
      count: batch.count / parts.length,
      bytes: Buffer.from(text),
    };
  });
}

async function startForwarder(
  spool: SpoolFixture,
  producer = new FakeProducer(),
  options: ForwarderOptions = {},
  log: Logger = silentLogger(),
  attribution: Attribution = noAttribution,
): Promise<ForwarderFixture> {
  const { fs, clock, metrics } = spool;
  const dependencies = { log, metrics, clock, fs };
  const deadLetters = new DeadLetters(dependencies, { dir: LETTERS, segmentBytes: 1e6 });
  await deadLetters.start();
  const forwarder = new Forwarder(
    { ...dependencies, spool: spool.spool, producer, deadLetters, repartition, attribution },
    options,
  );
  await forwarder.start();
  await settle();
  return { ...spool, producer, forwarder, deadLetters };
}

async function stop(fixture: ForwarderFixture): Promise<void> {
  await fixture.forwarder.drain(fixture.clock.now() + 1000);
  await fixture.forwarder.dispose();
  await stopSpool(fixture);
  await fixture.deadLetters.drain();
  await fixture.deadLetters.dispose();
}

function producerWith(...topics: string[]): FakeProducer {
  const producer = new FakeProducer();
  for (const topic of topics) producer.addTopic(topic);
  return producer;
}

async function letters(fs: MemoryFileSystem): Promise<DeadLetter[]> {
  const all: DeadLetter[] = [];
  for await (const letter of readDeadLetters(fs, LETTERS)) all.push(letter);
  return all;
}

test("what is spooled goes to Kafka in order, and what is stored is not sent again after a restart", async () => {
  const producer = producerWith("clicks");
  producer.decide = () => "stored";
  const spool = await startSpool(new MemoryFileSystem());
  const texts = Array.from({ length: 50 }, (_, i) => `batch ${i}`);
  for (const text of texts) spool.append(text);
  await settle();
  const fixture = await startForwarder(spool, producer);
  await settle(50);
  assert.deepEqual(producer.log.get("clicks 0"), texts);
  assert.equal(spool.spool.backlog("clicks", 0), 0);
  assert.equal(spool.metrics.eventsForwarded.with("clicks").value, 50);
  spool.append("late");
  await settle();
  assert.equal(producer.log.get("clicks 0")?.at(-1), "late");
  await stop(fixture);
  const again = await startSpool(spool.fs.kill());
  assert.deepEqual(again.open(), []);
});

test("what forwarding costs has its topic's label, and nothing keeps it", async () => {
  let current: Labels = {};
  const sentAs: string[] = [];
  const attribution: Attribution = {
    ...noAttribution,
    ofTopic: (stage, topic) => ({ stage, topic }),
    mark: (labels) => (current = labels),
    enter: (labels) => {
      const previous = current;
      current = labels;
      return previous;
    },
    leave: (previous) => (current = previous),
  };
  const spool = await startSpool(new MemoryFileSystem());
  for (const text of ["a", "b", "c"]) spool.append(text);
  await settle();
  const producer = producerWith("clicks");
  producer.decide = ({ text }) => {
    sentAs.push(`${text} ${current["stage"]} ${current["topic"]}`);
    return text === "a" ? "stored" : undefined;
  };
  const fixture = await startForwarder(spool, producer, {}, silentLogger(), attribution);
  assert.deepEqual(sentAs, ["a forward clicks", "b forward clicks", "c forward clicks"]);
  current = {};
  producer.settle("b", "stored");
  assert.deepEqual(current, {});
  producer.settle("c", "stored");
  await settle();
  await stop(fixture);
});

test("one batch of a partition goes until it is stored, then more and more at a time", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  for (let i = 0; i < 20; i++) spool.append(String(i));
  await settle();
  const { producer } = await startForwarder(spool, producerWith("clicks"));
  assert.deepEqual(producer.texts, ["0"]);
  producer.settle("0", "stored");
  await settle();
  assert.deepEqual(producer.texts, ["1", "2"]);
  producer.settle("1", "stored");
  await settle();
  assert.deepEqual(producer.texts, ["2", "3", "4", "5"]);
});

test("outcomes in any order are all counted, and the backlog ends with the last one", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  for (let i = 0; i < 5; i++) spool.append(String(i));
  await settle();
  const { producer } = await startForwarder(spool, producerWith("clicks"));
  const caughtUp: number[] = [];
  spool.spool.onDone((topic, partition) => {
    if (spool.spool.backlog(topic, partition) === 0) caughtUp.push(partition);
  });
  producer.settle("0", "stored");
  await settle();
  producer.settle("2", "stored");
  await settle();
  assert.deepEqual(producer.texts, ["1", "3", "4"]);
  producer.settle("4", "stored");
  producer.settle("3", "stored");
  assert.deepEqual(caughtUp, []);
  producer.settle("1", "stored");
  assert.deepEqual(caughtUp, [0]);
  await settle();
  await spool.clock.advance(1000);
  const again = await startSpool(spool.fs.kill());
  assert.deepEqual(again.open(), []);
});

test("a batch that fails and may be retried stays, and nothing of its partition overtakes it", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  for (let i = 0; i < 8; i++) spool.append(String(i));
  await settle();
  const { producer, clock, forwarder } = await startForwarder(spool, producerWith("clicks"));
  producer.settle("0", "stored");
  await settle();
  producer.settle("1", "stored");
  await settle();
  assert.deepEqual(producer.texts, ["2", "3", "4", "5"]);
  producer.settle("2", retryable());
  producer.settle("3", "stored");
  await settle();
  assert.deepEqual(producer.texts, ["4", "5"], "nothing goes while something is with the producer");
  producer.settle("4", retryable());
  await clock.advance(60_000);
  assert.deepEqual(producer.texts, ["5"]);
  producer.settle("5", "stored");
  await settle();
  assert.deepEqual(producer.texts, [], "a pause comes first");
  assert.match(forwarder.health().problems.join(), /clicks.*no leader/);
  await clock.advance(100);
  assert.deepEqual(producer.texts, ["2"], "the oldest alone");
  producer.settle("2", retryable());
  await clock.advance(199);
  assert.deepEqual(producer.texts, []);
  await clock.advance(1);
  assert.deepEqual(producer.texts, ["2"], "the pause doubles");
  producer.settle("2", "stored");
  await settle();
  assert.deepEqual(producer.texts, ["4", "6"]);
  assert.deepEqual(forwarder.health().problems, []);
  producer.settle("4", "stored");
  await settle();
  assert.deepEqual(producer.texts, ["6", "7"]);
});

test("a batch that is being read while an earlier one fails does not overtake it", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  const { producer, clock } = await startForwarder(spool, producerWith("clicks"));
  spool.append("0");
  await settle();
  producer.settle("0", "stored");
  spool.append("a");
  await settle();
  let release = (): void => {};
  spool.fs.before = (operation) =>
    operation === "read"
      ? new Promise((resolve) => {
          release = resolve;
        })
      : undefined;
  spool.append("b");
  await settle();
  assert.deepEqual(producer.texts, ["a"]);
  producer.settle("a", retryable());
  spool.fs.before = undefined;
  release();
  await settle();
  assert.deepEqual(producer.texts, []);
  await clock.advance(1000);
  assert.deepEqual(producer.texts, ["a"]);
  producer.settle("a", "stored");
  await settle();
  assert.deepEqual(producer.texts, ["b"]);
});

test("a topic that does not exist waits, is a problem, and holds up no other topic; when it is created, it flows", async () => {
  const producer = producerWith("orders");
  producer.decide = () => "stored";
  const spool = await startSpool(new MemoryFileSystem());
  for (let i = 0; i < 3; i++) {
    spool.append(`c${i}`);
    spool.append(`o${i}`, { topic: "orders" });
  }
  await settle();
  const lines: string[] = [];
  const log = pino({ level: "warn", base: null, timestamp: false }, { write: (line) => void lines.push(line) });
  const { forwarder, clock } = await startForwarder(spool, producer, {}, log);
  await settle();
  assert.deepEqual(producer.log.get("orders 0"), ["o0", "o1", "o2"]);
  assert.deepEqual(
    lines.map((line) => JSON.parse(line) as unknown),
    [
      {
        level: 40,
        topic: "clicks",
        reason: "topic clicks does not exist: create it",
        msg: "spooled batches of a topic wait; they are tried again",
      },
    ],
    "one line, without a stack",
  );
  assert.deepEqual(forwarder.health().problems, [
    "spooled batches of topic clicks wait: topic clicks does not exist: create it",
  ]);
  await clock.advance(300_000);
  assert.ok(producer.lookups < 25, `${producer.lookups} lookups in five minutes`);
  producer.addTopic("clicks");
  await clock.advance(30_000);
  await settle();
  assert.deepEqual(producer.log.get("clicks 0"), ["c0", "c1", "c2"]);
  assert.deepEqual(forwarder.health().problems, []);
});

test("a topic that live traffic finds before the next lookup flows, and is no problem any more", async () => {
  const producer = producerWith("orders");
  producer.decide = () => "stored";
  const spool = await startSpool(new MemoryFileSystem());
  spool.append("before");
  await settle();
  const { forwarder, clock } = await startForwarder(spool, producer);
  await clock.advance(60_000);
  assert.equal(forwarder.health().problems.length, 1);
  producer.addTopic("clicks");
  producer.known.add("clicks");
  spool.append("behind");
  await settle();
  assert.deepEqual(producer.log.get("clicks 0"), ["before", "behind"]);
  assert.deepEqual(forwarder.health().problems, []);
});

test("a lookup that fails after live traffic has found the topic is no problem", async () => {
  const producer = producerWith("clicks");
  producer.decide = () => "stored";
  let fail = (): void => {};
  producer.lookup = () =>
    new Promise((_, reject) => {
      fail = () => reject(retryable("no broker answers in time"));
    });
  const spool = await startSpool(new MemoryFileSystem());
  spool.append("before");
  await settle();
  const { forwarder } = await startForwarder(spool, producer);
  producer.known.add("clicks");
  spool.append("behind");
  await settle();
  fail();
  await settle();
  assert.deepEqual(producer.log.get("clicks 0"), ["before", "behind"]);
  assert.deepEqual(forwarder.health().problems, []);
});

test("a topic that is deleted, or not allowed, while its batches are sent waits; nothing becomes a dead letter", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  spool.append("a");
  await settle();
  const { producer, clock, fs } = await startForwarder(spool, producerWith("clicks"));
  const gone = Object.assign(refusal("no such topic"), { reason: Reason.UNKNOWN_TOPIC });
  producer.settle("a", gone);
  await clock.advance(1000);
  const forbidden = Object.assign(refusal("not allowed"), { reason: Reason.NOT_AUTHORIZED });
  producer.settle("a", forbidden);
  await clock.advance(1000);
  producer.settle("a", "stored");
  await settle();
  assert.equal(spool.spool.backlog("clicks", 0), 0);
  assert.deepEqual(await letters(fs), []);
});

test("what Kafka refuses for good becomes a dead letter with reason, origin and the untouched bytes, and the rest goes on", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  spool.append("poison", { count: 7, partition: 2 });
  spool.append("good", { partition: 2 });
  await settle();
  const fixture = await startForwarder(spool, producerWith("clicks"));
  const { producer, fs, metrics, clock } = fixture;
  const persistedAtMs = clock.now();
  producer.settle("poison", refusal());
  await settle();
  assert.deepEqual(producer.texts, ["good"]);
  producer.settle("good", "stored");
  await settle();
  const all = await letters(fs);
  assert.deepEqual(all, [
    {
      sequence: 1,
      atMs: clock.now(),
      persistedAtMs,
      spoolId: fs.contents(`${DIR}/0000000001.segment`).subarray(20, 36),
      batch: 1,
      topic: "clicks",
      partition: 2,
      ranges: [{ first: 0, count: 7 }],
      events: 7,
      count: 7,
      reason: Reason.TOO_LARGE,
      message: "too large",
      bytes: Buffer.from("poison"),
    },
  ]);
  assert.equal(metrics.eventsDeadLettered.with("clicks").value, 7);
  assert.equal(metrics.eventsForwarded.with("clicks").value, 1);
  assert.equal(metrics.eventsSpooled.with("clicks").value, 0);
  await stop(fixture);
  const again = await startSpool(fs.kill());
  assert.deepEqual(again.open(), []);
});

test("a batch that is refused in part becomes a letter for that part; the others count as forwarded", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  spool.append("mixed", { count: 10 });
  await settle();
  const { producer, fs, metrics } = await startForwarder(spool, producerWith("clicks"));
  producer.settle("mixed", "stored", 0, 4);
  producer.settle("mixed", refusal(), 4, 2);
  producer.settle("mixed", "stored", 6, 4);
  await settle();
  assert.deepEqual(
    (await letters(fs)).map(({ ranges, events, count }) => ({ ranges, events, count })),
    [{ ranges: [{ first: 4, count: 2 }], events: 2, count: 10 }],
  );
  assert.equal(metrics.eventsDeadLettered.with("clicks").value, 2);
  assert.equal(metrics.eventsForwarded.with("clicks").value, 8);
});

test("of a batch only the records are sent again that have no outcome, and the others keep theirs", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  const values = Array.from({ length: 10 }, (_, i) => `v${i}`);
  const whole = recordBatchOf("clicks", 0, values);
  spool.append("", whole);
  await settle();
  const { producer, fs, metrics, clock } = await startForwarder(spool, producerWith("clicks"));
  const [first] = producer.inFlight.splice(0);
  first!.settler.failed(first!.batch, 0, 3, refusal());
  first!.settler.stored(first!.batch, 5, 3, 0);
  first!.settler.failed(first!.batch, 3, 2, retryable());
  first!.settler.failed(first!.batch, 8, 2, retryable());
  await clock.advance(1000);
  const again = producer.inFlight.splice(0);
  assert.deepEqual(
    again.map(({ batch }) => valuesOf(batch.bytes)),
    [
      ["v3", "v4"],
      ["v8", "v9"],
    ],
  );
  again[0]!.settler.stored(again[0]!.batch, 0, 2, 0);
  again[1]!.settler.failed(again[1]!.batch, 1, 1, refusal("again"));
  again[1]!.settler.stored(again[1]!.batch, 0, 1, 0);
  await settle();
  assert.deepEqual(
    (await letters(fs)).map(({ ranges, message }) => ({ ranges, message })),
    [
      { ranges: [{ first: 0, count: 3 }], message: "too large" },
      { ranges: [{ first: 9, count: 1 }], message: "again" },
    ],
  );
  assert.equal(metrics.eventsDeadLettered.with("clicks").value, 4);
  assert.equal(metrics.eventsForwarded.with("clicks").value, 6);
});

test("a batch is not marked before its dead letter is synced, however long that takes", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  spool.append("poison");
  await settle();
  const { producer, fs, clock, forwarder } = await startForwarder(spool, producerWith("clicks"));
  fs.fail("write", /dead-letters/, "EIO", 4);
  producer.settle("poison", refusal());
  await settle();
  assert.equal(spool.spool.backlog("clicks", 0), 1);
  assert.match(forwarder.health().problems.join(), /dead letters cannot be written/);
  await clock.advance(5000);
  assert.equal(spool.spool.backlog("clicks", 0), 0);
  assert.deepEqual(forwarder.health().problems, []);
  assert.equal((await letters(fs)).length, 1);
});

test("a crash before the dead letter is synced brings the batch back", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  spool.append("poison");
  await settle();
  const { producer, fs } = await startForwarder(spool, producerWith("clicks"));
  fs.fail("sync", /dead-letters/, "EIO", 4);
  producer.settle("poison", refusal());
  await settle();
  const crashed = await startSpool(fs.kill());
  assert.deepEqual(crashed.open(), ["poison"]);
});

test("batches without a partition are split, and done when all their parts are", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  spool.append("p0:a,p1:b,p3:c", { partition: UNASSIGNED_PARTITION, count: 6 });
  spool.append("p1:d", { partition: UNASSIGNED_PARTITION, count: 2 });
  await settle();
  const { producer, metrics } = await startForwarder(spool, producerWith("clicks"));
  assert.deepEqual(producer.texts, ["a", "b", "c"]);
  producer.settle("a", "stored");
  producer.settle("c", "stored");
  await settle();
  assert.equal(spool.spool.backlog("clicks", 0), 2);
  assert.equal(metrics.eventsForwarded.with("clicks").value, 0);
  producer.settle("b", "stored");
  await settle();
  assert.equal(metrics.eventsForwarded.with("clicks").value, 6);
  assert.deepEqual(producer.texts, ["d"]);
  producer.settle("d", "stored");
  await settle();
  assert.deepEqual(producer.log.get("clicks 1"), ["b", "d"]);
  assert.equal(spool.spool.backlog("clicks", 1), 0);
});

test("a part that fails is sent again, without the parts that are stored", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  spool.append("p0:a,p1:b", { partition: UNASSIGNED_PARTITION, count: 2 });
  await settle();
  const { producer, clock } = await startForwarder(spool, producerWith("clicks"));
  producer.settle("a", "stored");
  producer.settle("b", retryable());
  await clock.advance(100);
  assert.deepEqual(producer.texts, ["b"]);
});

test("no batch overtakes the part of an earlier one that has to be sent again, while other parts are under way", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  const unassigned = { partition: UNASSIGNED_PARTITION, count: 2 };
  spool.append("p0:x,p1:y", unassigned);
  await settle();
  const { producer, clock } = await startForwarder(spool, producerWith("clicks"));
  producer.settle("x", "stored");
  producer.settle("y", "stored");
  await settle();
  spool.append("p0:a,p1:b", unassigned);
  await settle();
  assert.deepEqual(producer.texts, ["a", "b"]);
  producer.settle("b", retryable());
  spool.append("p1:c,p1:d", unassigned);
  await settle();
  assert.deepEqual(producer.texts, ["a"]);
  producer.settle("a", "stored");
  await settle();
  await clock.advance(1000);
  assert.deepEqual(producer.texts, ["b"]);
});

test("a refused part becomes a letter for the partition it was meant for", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  spool.append("p0:a,p1:b", { partition: UNASSIGNED_PARTITION, count: 4 });
  await settle();
  const { producer, fs, metrics } = await startForwarder(spool, producerWith("clicks"));
  producer.settle("a", "stored");
  producer.settle("b", refusal());
  await settle();
  assert.deepEqual(
    (await letters(fs)).map(({ partition, events, bytes }) => ({ partition, events, text: bytes.toString() })),
    [{ partition: 1, events: 2, text: "b" }],
  );
  assert.equal(metrics.eventsForwarded.with("clicks").value, 2);
});

test("a batch that cannot be split becomes a dead letter as a whole", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  spool.append("p9:a", { partition: UNASSIGNED_PARTITION, count: 3 });
  spool.append("p1:b", { partition: UNASSIGNED_PARTITION });
  await settle();
  const { producer, fs } = await startForwarder(spool, producerWith("clicks"));
  await settle();
  assert.deepEqual(producer.texts, ["b"]);
  const [letter] = await letters(fs);
  assert.equal(letter?.events, 3);
  assert.equal(letter?.partition, UNASSIGNED_PARTITION);
  assert.equal(letter?.bytes.toString(), "p9:a");
});

test("batches without a partition and those of the topic's partitions keep their order over restarts with and without brokers", async () => {
  let spool = await startSpool(new MemoryFileSystem());
  spool.append("p0:u1,p1:v1", { partition: UNASSIGNED_PARTITION, count: 2 });
  await settle();
  spool = await startSpool(spool.fs.kill());
  spool.append("a1", { partition: 0 });
  await settle();
  spool = await startSpool(spool.fs.kill());
  spool.append("p0:u2,p1:v2", { partition: UNASSIGNED_PARTITION, count: 2 });
  await settle();
  spool = await startSpool(spool.fs.kill());
  spool.append("a2", { partition: 0 });
  spool.append("b2", { partition: 1 });
  await settle();
  const producer = producerWith("clicks");
  producer.decide = () => "stored";
  await startForwarder(spool, producer);
  await settle(60);
  assert.deepEqual(producer.log.get("clicks 0"), ["u1", "a1", "u2", "a2"]);
  assert.deepEqual(producer.log.get("clicks 1"), ["v1", "v2", "b2"]);
});

test("the bytes under way are bounded, and lanes take turns", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  for (let i = 0; i < 40; i++) {
    for (let partition = 0; partition < 4; partition++) spool.append(`${partition}/${i}`.padEnd(1000), { partition });
  }
  await settle();
  const { producer } = await startForwarder(spool, producerWith("clicks"), { bytesInFlightMax: 20_000 });
  for (let round = 0; round < 100 && producer.inFlight.length > 0; round++) {
    const bytes = producer.inFlight.reduce((sum, { batch }) => sum + batch.bytes.length, 0);
    assert.ok(bytes <= 21_000, `${bytes} bytes`);
    const partitions = new Set(producer.inFlight.map(({ batch }) => batch.partition));
    assert.equal(partitions.size, 4, "every partition has its share");
    for (const text of producer.texts.slice(0, 4)) producer.settle(text, "stored");
    await settle(8);
    if (spool.spool.backlog("clicks", 0) < 12) return;
  }
  assert.fail("it did not come to an end");
});

test("a partition whose batches never come back does not hold up the others", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  for (let i = 0; i < 30; i++) {
    for (let partition = 0; partition < 4; partition++) spool.append(`${partition}/${i}`.padEnd(1000), { partition });
  }
  await settle();
  const producer = producerWith("clicks");
  producer.decide = ({ batch }) => (batch.partition === 3 ? "stored" : undefined);
  const { clock } = await startForwarder(spool, producer, { bytesInFlightMax: 3000 });
  await clock.advance(60_000);
  await settle(100);
  assert.equal(producer.log.get("clicks 3")?.length, 30);
  assert.equal(spool.spool.backlog("clicks", 0), 30);
});

test("a batch that the disk does not give back becomes a dead letter, and the ledger still balances", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  for (const text of ["a", "b".repeat(50), "c"]) spool.append(text, { count: 2 });
  await settle();
  spool.fs.damage(`${DIR}/0000000001.segment`, (bytes) => {
    bytes[bytes.indexOf("bbb") + 3] = 0;
    return bytes;
  });
  const producer = producerWith("clicks");
  producer.decide = () => "stored";
  const { fs, metrics } = await startForwarder(spool, producer);
  await settle(50);
  assert.deepEqual(producer.log.get("clicks 0"), ["a", "c"]);
  const [letter] = await letters(fs);
  assert.match(letter!.message, /damaged/);
  assert.ok(letter!.bytes.includes("bbb"));
  assert.equal(metrics.eventsForwarded.with("clicks").value, 4);
  assert.equal(metrics.eventsDeadLettered.with("clicks").value, 2);
  assert.equal(metrics.eventsSpooled.with("clicks").value, 0);
});

test("a read that fails for a moment is tried again", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  spool.append("a");
  await settle();
  spool.fs.fail("open", /segment$/, "EMFILE", 3);
  const producer = producerWith("clicks");
  producer.decide = () => "stored";
  const { clock, fs, forwarder } = await startForwarder(spool, producer);
  assert.match(forwarder.health().problems.join(), /cannot be read \(EMFILE\)/);
  await clock.advance(5000);
  assert.deepEqual(producer.log.get("clicks 0"), ["a"]);
  assert.deepEqual(await letters(fs), []);
});

test("drain sends nothing more, waits for what is under way, and leaves the rest in the spool", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  for (let i = 0; i < 4; i++) spool.append(String(i));
  await settle();
  const fixture = await startForwarder(spool, producerWith("clicks"));
  const { producer, forwarder, clock } = fixture;
  let drained = false;
  const draining = forwarder.drain(clock.now() + 10_000).then(() => (drained = true));
  await settle();
  assert.equal(drained, false);
  producer.settle("0", "stored");
  await draining;
  assert.deepEqual(producer.texts, []);
  await stop(fixture);
  const again = await startSpool(spool.fs.kill());
  assert.deepEqual(again.open(), ["1", "2", "3"]);
});

test("drain ends at its deadline, and what comes back after the end is ignored", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  spool.append("a");
  await settle();
  const fixture = await startForwarder(spool, producerWith("clicks"));
  const draining = fixture.forwarder.drain(fixture.clock.now() + 1000);
  await fixture.clock.advance(1000);
  await draining;
  await fixture.forwarder.dispose();
  fixture.producer.settle("a", "stored");
  await stopSpool(fixture);
  const again = await startSpool(spool.fs.kill());
  assert.deepEqual(again.open(), ["a"]);
});

test("dead letters survive a restart, and new ones come behind them", async () => {
  const spool = await startSpool(new MemoryFileSystem());
  spool.append("one");
  await settle();
  const first = await startForwarder(spool, producerWith("clicks"));
  first.producer.settle("one", refusal());
  await settle();
  await stop(first);
  const next = await startSpool(spool.fs.kill());
  next.append("two");
  await settle();
  const second = await startForwarder(next, producerWith("clicks"));
  second.producer.settle("two", refusal());
  await settle();
  assert.deepEqual(
    (await letters(next.fs)).map(({ bytes }) => bytes.toString()),
    ["one", "two"],
  );
});
