// Random batches over random topics, keys and sizes, with sinks that settle in random order and pieces, against a model.
//
// At every step: the ledger is balanced and the budget is kept. In the end: every batch was answered or refused once, every
// event is stored or failed, nothing is lent or admitted any more, and the record batches that were sent hold exactly the
// accepted events, each partition's in the order of its stream.

import assert from "node:assert/strict";
import fc from "fast-check";
import { Code, IngestError, Reason } from "../../src/errors.ts";
import { type Batch, Durability, type Responder } from "../../src/ingest/batch.ts";
import { type Flow, Session } from "../../src/ingest/session.ts";
import { partitionOfKey } from "../../src/wire/murmur2.ts";
import { placementRows } from "../support/placements.ts";
import { encodeRequest, type TestEvent } from "../wire/requests.ts";
import { Harness, microtasks, type Sent } from "./harness.ts";

const REJECTED = new IngestError(Code.INVALID_ARGUMENT, "refused", { reason: Reason.REJECTED });

/** What "a" to "d" are: four topics, of which c is not known at first and d does not exist. */
const TOPICS = { a: { partitions: 1 }, b: { partitions: 3, maxBatchBytes: 2_000 }, c: { partitions: 2 } } as const;

/** Room for any one batch, and seldom for many. */
const BYTES_MAX = 40_000;

interface Event {
  readonly topic: "a" | "b" | "c" | "d" | "no name" | undefined;
  readonly key: string | undefined;
  readonly partition: number | undefined;
  readonly valueBytes: number;
  readonly timestamp: "now" | "past" | "illegal";
  readonly headers: number;
}

const events: fc.Arbitrary<Event> = fc.record({
  topic: fc.oneof(
    { weight: 6, arbitrary: fc.constant(undefined) },
    {
      weight: 4,
      arbitrary: fc.constantFrom("a" as const, "b" as const, "c" as const, "d" as const, "no name" as const),
    },
  ),
  key: fc.option(fc.constantFrom("", "k1", "k2", "k3", "k4"), { nil: undefined, freq: 3 }),
  partition: fc.option(fc.integer({ min: -1, max: 3 }), { nil: undefined, freq: 8 }),
  valueBytes: fc.oneof(
    { weight: 8, arbitrary: fc.nat(300) },
    { weight: 1, arbitrary: fc.integer({ min: 1_000, max: 1_800 }) },
    { weight: 1, arbitrary: fc.integer({ min: 2_000, max: 3_000 }) },
  ),
  timestamp: fc.oneof(
    { weight: 8, arbitrary: fc.constant("now" as const) },
    { weight: 1, arbitrary: fc.constantFrom("past" as const, "illegal" as const) },
  ),
  headers: fc.nat(2),
});

const actions = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("publish" as const),
      stream: fc.nat(2),
      topic: fc.constantFrom("a" as const, "b" as const, "b" as const, "c" as const, "d" as const),
      durability: fc.constantFrom(0, 1, 1, 1, 2),
      events: fc.array(events, { maxLength: 12 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("garbage" as const), stream: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.constant({ kind: "turn" as const }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(25) }) },
  { weight: 1, arbitrary: fc.constant({ kind: "lookups" as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("busy" as const), busy: fc.boolean() }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("settle" as const),
      which: fc.nat(),
      pieces: fc.integer({ min: 1, max: 3 }),
      backwards: fc.boolean(),
      fail: fc.boolean(),
    }),
  },
);

export const scripts = fc.array(actions, { minLength: 30, maxLength: 150, size: "max" });

/** What an event has to become. */
interface Expected {
  readonly topic: string;
  readonly key: string | null;
  readonly value: string;
  readonly headers: number;
  readonly timestamp: number;
  /** Where it has to lie, if that is not the topic's choice. */
  readonly partition: number | undefined;
}

export class Model {
  readonly harness: Harness;
  readonly #streams: Stream[];
  #baseOffset = 1_000;
  /** Each record batch that is not settled whole, with the pieces of it that are left. */
  readonly #unsettled: { readonly sent: Sent; readonly pieces: (readonly [first: number, count: number])[] }[] = [];

  readonly #recordBatchBytesMax: number;

  constructor(recordBatchBytesMax: number) {
    this.#recordBatchBytesMax = recordBatchBytesMax;
    this.harness = new Harness({
      topics: { a: TOPICS.a, b: TOPICS.b },
      recordBatchBytesMax,
      bytesMax: BYTES_MAX,
      timeoutMs: 40,
      lingerMs: 5,
    });
    this.#streams = [0, 1, 2].map((id) => new Stream(id, this.harness));
  }

  async run(action: typeof actions extends fc.Arbitrary<infer T> ? T : never): Promise<void> {
    const { harness } = this;
    switch (action.kind) {
      case "publish":
        this.#streams[action.stream]!.publish(action.topic, action.durability, action.events);
        break;
      case "garbage":
        this.#streams[action.stream]!.publishGarbage();
        break;
      case "turn":
        harness.turn();
        break;
      case "wait":
        harness.clock.advance(action.ms);
        break;
      case "lookups":
        this.#answerLookups();
        break;
      case "busy":
        harness.replicated.isBusy = action.busy;
        break;
      case "settle":
        this.#settle(action.which, action.pieces, action.backwards, action.fail);
        break;
      default:
        action satisfies never;
    }
    await microtasks();
    this.#check();
  }

  async finish(): Promise<void> {
    for (let round = 0; this.#streams.some(({ session }) => session.outstanding > 0); round++) {
      assert.ok(round < 1_000, "everything settles in the end");
      this.harness.clock.advance(5);
      this.#answerLookups();
      await microtasks();
      while (this.#takeSent() > 0) this.#settle(0, 1, false, false);
      this.#check();
    }
    this.harness.assertIdle();
    for (const stream of this.#streams) stream.assertAnswered();
    this.#assertSent();
  }

  /** What happened on the way. */
  *seen(): Generator<string> {
    yield* Object.keys(this.harness.sealed());
    if (this.#streams.some(({ refusals }) => refusals > 0)) yield "refused";
    if (this.harness.replicated.all.length > 0 && this.harness.persisted.all.length > 0) yield "two durabilities";
  }

  #check(): void {
    this.harness.assertBalanced();
    assert.ok(this.harness.pipeline.admission.admittedBytes <= BYTES_MAX);
  }

  #answerLookups(): void {
    for (const name of this.harness.topics.pending) {
      if (name === "c") this.harness.topics.set("c", TOPICS.c);
      else this.harness.topics.missing(name);
    }
  }

  #takeSent(): number {
    const { replicated, persisted } = this.harness;
    for (const sink of [replicated, persisted]) {
      for (const sent of sink.sent.splice(0)) this.#unsettled.push({ sent, pieces: [[0, sent.count]] });
    }
    return this.#unsettled.length;
  }

  /** Settles one piece of one record batch. */
  #settle(which: number, pieces: number, backwards: boolean, fail: boolean): void {
    if (this.#takeSent() === 0) return;
    const at = which % this.#unsettled.length;
    const { sent, pieces: left } = this.#unsettled[at]!;
    const [first, count] = left.shift()!;
    const part = Math.min(count, Math.max(1, Math.floor(count / pieces)));
    const [settled, rest] = backwards
      ? [[first + count - part, part] as const, [first, count - part] as const]
      : [[first, part] as const, [first + part, count - part] as const];
    if (rest[1] > 0) left.push(rest);
    if (left.length === 0) this.#unsettled.splice(at, 1);
    if (fail) sent.failed(REJECTED, ...settled);
    else sent.stored(this.harness.persisted.all.includes(sent) ? -1 : this.#baseOffset, ...settled);
    this.#baseOffset += 1_000;
  }

  /** What was sent is what the streams published, no more, no less, and each stream's in order within a partition. */
  #assertSent(): void {
    const accepted = this.#streams.flatMap(({ accepted }) => accepted);
    const expected = new Map(accepted.map((event) => [event.value, event]));
    assert.equal(expected.size, accepted.length);
    const positions = new Map(accepted.map(({ value }, i) => [value, i]));
    const lastOfStream = new Map<string, number>();
    for (const { topic, partition, records, length } of this.harness.journal) {
      assert.ok(length <= this.#recordBatchBytesMax || records.length === 1);
      for (const { key, value, headers, timestamp } of records) {
        const text = value!.toString();
        const event = expected.get(text);
        assert.ok(event !== undefined, `${text} is not expected, or was sent twice`);
        expected.delete(text);
        assert.deepEqual(
          { topic, key: key?.toString() ?? null, headers: headers.length },
          { topic: event.topic, key: event.key, headers: event.headers },
        );
        assert.equal(timestamp, event.timestamp === -1 ? timestamp : event.timestamp);
        assert.ok(partition >= 0 && partition < TOPICS[topic as keyof typeof TOPICS].partitions);
        if (event.partition !== undefined) assert.equal(partition, event.partition);
        const place = `${topic}/${partition}/${text.split("-")[0]}`;
        const position = positions.get(text)!;
        assert.ok((lastOfStream.get(place) ?? -1) < position, `${text} changed places`);
        lastOfStream.set(place, position);
      }
    }
    assert.equal(expected.size, 0, `never sent: ${[...expected.keys()].join()}`);
  }
}

class Stream implements Responder, Flow {
  readonly session: Session;
  readonly #id: number;
  /** Events that have to be sent, in order; of batches that were taken. */
  readonly accepted: Expected[] = [];
  /** By sequence: what was published, until it has its outcome. */
  readonly #open = new Map<number, { readonly events: readonly Expected[]; readonly wrong: ReadonlySet<number> }>();
  readonly #nowMs: number;
  #sequence = 0;
  #paused = false;
  /** Accepted batches wait here for their outcome, so that a refused one leaves no trace. */
  readonly #byOrder: { readonly sequence: number; readonly events: readonly Expected[] }[] = [];
  readonly #refused = new Set<number>();

  constructor(id: number, harness: Harness) {
    this.#id = id;
    this.#nowMs = harness.clock.now();
    this.session = new Session(harness.pipeline, this, this, harness.clock, harness.metrics.publishBytes.with());
  }

  pause(): void {
    assert.ok(!this.#paused);
    this.#paused = true;
  }

  resume(): void {
    assert.ok(this.#paused);
    this.#paused = false;
  }

  publish(topic: Exclude<Event["topic"], undefined>, durability: number, events: readonly Event[]): void {
    const sequence = ++this.#sequence;
    const wrong = new Set<number>();
    const expected: Expected[] = [];
    const given = events.map((event, i): TestEvent => {
      const ownTopic = event.topic ?? topic;
      const value = `${this.#id}-${sequence}-${i}-`.padEnd(event.valueBytes, "x");
      const known = TOPICS[ownTopic as keyof typeof TOPICS] as
        | { partitions: number; maxBatchBytes?: number }
        | undefined;
      const outOfRange =
        event.partition !== undefined && !(event.partition >= 0 && event.partition < (known?.partitions ?? 0));
      // Values are never so close to the limit that the model needs to know what a record takes beside its value.
      const tooLarge = value.length >= (known?.maxBatchBytes ?? Number.POSITIVE_INFINITY);
      if (known === undefined || outOfRange || tooLarge || event.timestamp === "illegal") {
        wrong.add(i);
      } else {
        const keyed =
          event.key === undefined
            ? undefined
            : partitionOfKey(Buffer.from(event.key), 0, event.key.length, known.partitions);
        expected.push({
          topic: ownTopic,
          key: event.key ?? null,
          value,
          headers: event.headers,
          timestamp: event.timestamp === "past" ? this.#nowMs - sequence * 1_000 : -1,
          partition: event.partition ?? keyed,
        });
      }
      return {
        ...(event.topic !== undefined && { topic: event.topic }),
        ...(event.key !== undefined && { key: Buffer.from(event.key) }),
        ...(event.partition !== undefined && { partition: event.partition }),
        ...(event.timestamp === "illegal" && { timestamp: { seconds: -1n, nanos: 0 } }),
        ...(event.timestamp === "past" && {
          timestamp: { seconds: BigInt(this.#nowMs / 1_000 - sequence), nanos: 0 },
        }),
        value: Buffer.from(value),
        headers: Array.from({ length: event.headers }, (_, h) => [`h${h}`, Buffer.from("v")] as const),
      };
    });
    this.#open.set(sequence, { events: expected, wrong });
    this.#byOrder.push({ sequence, events: expected });
    const bytes = encodeRequest({ sequence: BigInt(sequence), topic, durability, events: given });
    this.session.publish(bytes);
    bytes.fill(0xdd);
  }

  publishGarbage(): void {
    const sequence = ++this.#sequence;
    this.#open.set(sequence, { events: [], wrong: new Set() });
    this.session.publish(
      Buffer.concat([encodeRequest({ sequence: BigInt(sequence), events: [] }), Buffer.from([0x12])]),
    );
  }

  /** Batches that found no room. */
  refusals = 0;

  answered(batch: Batch): void {
    const { events, wrong } = this.#take(batch);
    assert.equal(batch.stored + batch.failures.length, events.length + wrong.size);
    const failed = batch.failures.map(({ index }) => index);
    assert.deepEqual(
      failed,
      failed.toSorted((a, b) => a - b),
    );
    assert.equal(new Set(failed).size, failed.length);
    for (const { index, reason } of batch.failures) assert.equal(reason !== Reason.REJECTED, wrong.has(index));
    for (const index of wrong) assert.ok(failed.includes(index));
    const placed = placementRows(batch.placements).reduce((sum, [, , , count]) => sum + count, 0);
    assert.equal(placed, batch.durability === Durability.REPLICATED ? batch.stored : 0);
  }

  refused(batch: Batch, error: IngestError): void {
    this.#take(batch);
    this.#refused.add(Number(batch.sequence));
    if (error.code === Code.RESOURCE_EXHAUSTED) this.refusals++;
    assert.ok(error.code === Code.RESOURCE_EXHAUSTED || error.code === Code.INVALID_ARGUMENT, error.message);
  }

  #take(batch: Batch): { readonly events: readonly Expected[]; readonly wrong: ReadonlySet<number> } {
    const open = this.#open.get(Number(batch.sequence));
    assert.ok(open !== undefined, `${batch.sequence} has an outcome already`);
    this.#open.delete(Number(batch.sequence));
    return open;
  }

  assertAnswered(): void {
    assert.equal(this.#open.size, 0);
    assert.ok(!this.#paused);
    for (const { sequence, events } of this.#byOrder) {
      if (!this.#refused.has(sequence)) this.accepted.push(...events);
    }
  }
}
