import assert from "node:assert/strict";
import test from "node:test";
import { Code, IngestError, Reason } from "../../src/errors.ts";
import type { SealedBatch } from "../../src/ingest/producer.ts";
import { repartition } from "../../src/ingest/repartition.ts";
import { Burials } from "../../src/spool/burials.ts";
import { DeadLetterTopic } from "../../src/spool/dead-letter-topic.ts";
import type { DeadLetter } from "../../src/spool/letter.ts";
import type { LaneEntry } from "../../src/spool/lane.ts";
import { SegmentState } from "../../src/spool/segment-state.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { encodeRecordBatch } from "../../src/wire/encode-records.ts";
import { decodeRecords, type Record } from "../../src/wire/record-batch.ts";
import { FakeProducer, refusal, retryable } from "./support/fake-producer.ts";
import { settle } from "./support/fixtures.ts";
import { ManualClock } from "./support/manual-clock.ts";

const TOPIC = "dead";

function recordOf(n: number): Record {
  return {
    timestamp: 1_700_000_000_000 + n,
    key: n % 2 === 0 ? Buffer.from(`key ${n}`) : null,
    value: n % 3 === 0 ? null : Buffer.from(`value ${n}`),
    headers: [{ key: "h", value: Buffer.from(String(n)) }],
  };
}

function letterOf(options: Partial<DeadLetter> = {}): DeadLetter {
  return {
    atMs: 1_700_000_000_000,
    persistedAtMs: Date.UTC(2026, 0, 2, 3, 4, 5),
    spoolId: Buffer.alloc(16, 0xab),
    batch: 5,
    topic: "clicks",
    partition: 2,
    ranges: [{ first: 1, count: 3 }],
    events: 3,
    count: 5,
    reason: Reason.MISSING_KEY,
    message: "no key",
    bytes: encodeRecordBatch(Array.from({ length: 5 }, (_, n) => recordOf(n))),
    ...options,
  };
}

function fixture(partitions = 1) {
  const producer = new FakeProducer();
  producer.addTopic(TOPIC, partitions);
  const logged: DeadLetter[] = [];
  const metrics = createMetrics();
  const fallback = { append: async (letter: DeadLetter) => void logged.push(letter) };
  const dependencies = {
    log: silentLogger(),
    metrics,
    producer,
    fallback,
    repartition,
    random: () => 0,
  };
  return { producer, logged, metrics, sink: new DeadLetterTopic(dependencies, TOPIC) };
}

/** A spooled batch of five records. */
function refused(): { readonly batch: SealedBatch; readonly entry: LaneEntry } {
  const { topic, partition, count, bytes } = letterOf();
  const segment = new SegmentState("/spool", 1, 1, 0);
  return {
    batch: { topic, partition, count, bytes },
    entry: { order: 1, sequence: 1, persistedAtMs: 1, segment, position: 64, bytes: 100, count },
  };
}

/** Whether it is settled already. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const open = Symbol("open");
  await settle();
  return (
    (await Promise.race([
      promise.then(
        () => undefined,
        () => undefined,
      ),
      Promise.resolve(open),
    ])) !== open
  );
}

test("the refused records go to the topic as they were, with headers that say why and from where", async () => {
  const { producer, sink, logged, metrics } = fixture();
  const done = sink.append(letterOf());
  await settle();
  const [sent] = producer.inFlight;
  assert.equal(sent!.batch.topic, TOPIC);
  const records = [...decodeRecords(sent!.batch.bytes)];
  const own = (record: Record) => ({ ...record, headers: record.headers.filter(({ key }) => key === "h") });
  assert.deepEqual(records.map(own), [1, 2, 3].map(recordOf));
  assert.deepEqual(
    records.map(({ headers }) => headers.slice(1).map(({ key, value }) => [key, value?.toString()])),
    [1, 2, 3].map((n) => [
      ["sluice.reason", "missing_key"],
      ["sluice.message", "no key"],
      ["sluice.topic", "clicks"],
      ["sluice.partition", "2"],
      ["sluice.persisted-at", "2026-01-02T03:04:05.000Z"],
      ["sluice.spool", `${"ab".repeat(16)}/5/${n}`],
    ]),
  );
  assert.equal(await isSettled(done), false, "not before Kafka has acknowledged it");
  producer.settle(sent!.text, "stored");
  await done;
  assert.deepEqual(logged, []);
  assert.equal(metrics.deadLettersProduced.with("clicks").value, 3);
});

const refusals: { readonly [what: string]: IngestError } = {
  "is too small for them": refusal("too large"),
  "is not allowed": new IngestError(Code.PERMISSION_DENIED, "no", { retryable: true, reason: Reason.NOT_AUTHORIZED }),
  "was deleted": new IngestError(Code.NOT_FOUND, "gone", { reason: Reason.UNKNOWN_TOPIC }),
};

for (const [what, error] of Object.entries(refusals))
  test(`what is to go to a dead-letter topic that ${what} goes to the log, whole and once`, async () => {
    const { producer, sink, logged } = fixture();
    producer.decide = () => error;
    const letter = letterOf();
    await sink.append(letter);
    assert.deepEqual(logged, [letter]);
    assert.equal(producer.inFlight.length, 0);
  });

test("a dead-letter topic that does not exist leaves everything to the log", async () => {
  const { producer, sink, logged } = fixture();
  producer.topics.clear();
  await sink.append(letterOf());
  await sink.append(letterOf());
  assert.equal(logged.length, 2);
});

test("what the dead-letter topic itself refused, and what cannot be read, goes to the log and round no circle", async () => {
  const { producer, sink, logged } = fixture();
  const whole = letterOf();
  const letters = [
    letterOf({ topic: TOPIC }),
    letterOf({ bytes: Buffer.alloc(0) }),
    letterOf({ bytes: whole.bytes.subarray(0, whole.bytes.length - 3) }),
    letterOf({ events: 9 }),
  ];
  for (const letter of letters) await sink.append(letter);
  assert.deepEqual(logged, letters);
  assert.equal(producer.inFlight.length, 0);
});

test("a letter that is refused in part is in the log as a whole", async () => {
  const { producer, sink, logged } = fixture();
  const letter = letterOf();
  const done = sink.append(letter);
  await settle();
  const { text } = producer.inFlight[0]!;
  producer.settle(text, "stored", 0, 1);
  producer.settle(text, refusal(), 1, 2);
  await done;
  assert.deepEqual(logged, [letter]);
});

test("a topic that cannot be reached is waited for, and the next try sends only what is not stored", async () => {
  const { producer, sink, logged, metrics } = fixture(8);
  const letter = letterOf({ ranges: [{ first: 0, count: 5 }], events: 5 });
  const first = sink.append(letter);
  await settle();
  const all = producer.inFlight.map(({ batch, text }) => ({ text, partition: batch.partition }));
  assert.ok(all.length >= 2, "keys spread over partitions");
  producer.settle(all[0]!.text, "stored");
  for (const { text } of all.slice(1)) producer.settle(text, retryable());
  await assert.rejects(first, (error: IngestError) => error.retryable);
  const second = sink.append(letter);
  await settle();
  assert.deepEqual(
    producer.inFlight.map(({ batch }) => batch.partition),
    all.slice(1).map(({ partition }) => partition),
  );
  for (const { text } of all.slice(1)) producer.settle(text, "stored");
  await second;
  assert.deepEqual(logged, []);
  assert.equal(metrics.deadLettersProduced.with("clicks").value, 5);
});

test("what is refused of a batch for one kind of reason is one letter, and the topic gets those records alone", async () => {
  const clock = new ManualClock();
  const { producer, sink } = fixture();
  producer.decide = () => "stored";
  const seen: DeadLetter[] = [];
  const deadLetters = {
    append: async (letter: DeadLetter) => {
      seen.push(letter);
      await sink.append(letter);
    },
  };
  const burials = new Burials({ log: silentLogger(), clock, deadLetters });
  const { batch, entry } = refused();
  const large = (first: number, bytes: number) => ({
    batch,
    first,
    count: 1,
    error: refusal(`${bytes} bytes, too many`),
  });
  const other = { batch, first: 4, count: 1, error: refusal("no key") };
  assert.equal(await burials.bury(entry, Buffer.alloc(16), [large(3, 77), large(0, 5), other, large(1, 6)]), true);
  assert.deepEqual(
    seen.map(({ ranges, events, message }) => ({ ranges, events, message })),
    [
      {
        ranges: [
          { first: 0, count: 2 },
          { first: 3, count: 1 },
        ],
        events: 3,
        message: "77 bytes, too many",
      },
      { ranges: [{ first: 4, count: 1 }], events: 1, message: "no key" },
    ],
  );
  assert.equal(producer.log.get(`${TOPIC} 0`)?.length, 2);
});

test("a burial hands the same letter over until it is taken", async () => {
  const clock = new ManualClock();
  const seen: DeadLetter[] = [];
  const deadLetters = {
    append: async (letter: DeadLetter) => {
      seen.push(letter);
      if (seen.length < 3) throw retryable();
    },
  };
  const burials = new Burials({ log: silentLogger(), clock, deadLetters });
  const { batch, entry } = refused();
  const buried = burials.bury(entry, Buffer.alloc(16), [{ batch, first: 0, count: 5, error: refusal() }]);
  await settle();
  await clock.advance(10_000);
  assert.equal(await buried, true);
  assert.equal(seen.length, 3);
  assert.equal(new Set(seen).size, 1);
});
