// Dead letters as records of a Kafka topic, for sites that look after such a topic anyway.
//
//   letter ── its refused records, with headers that tell why ── Producer (acks=all) ── DEAD_LETTER_TOPIC
//                  └ the topic refuses, too, or the letter cannot be read ── the dead-letter log
//
// Key, value, headers and timestamp stay as they were; partitions are chosen by key, since the topic may have others.
//
// Invariants:
// - `append` resolves when Kafka has acknowledged every record of the letter, or the log has synced the whole of it. A letter
//   that the topic takes in part is in both: rather twice than not at all.
// - Nothing goes around: what the dead-letter topic itself refuses ends in the log, and is never a letter to the topic again.
// - A topic that cannot be reached for now is waited for, like any other. The batch stays in the spool meanwhile.

import { assert, Code, IngestError, Reason, reasonLabel } from "../errors.ts";
import { type BatchSettler, type Producer, type SealedBatch, UNASSIGNED_PARTITION } from "../ingest/producer.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { encodeRecordBatch } from "../wire/encode-records.ts";
import { decodeRecords, type Record } from "../wire/record-batch.ts";
import type { DeadLetterSink } from "./dead-letters.ts";
import { type DeadLetter, isRefused } from "./letter.ts";

export interface DeadLetterTopicDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly producer: Pick<Producer, "topic" | "lookup" | "send">;
  /** Takes what the topic does not. */
  readonly fallback: DeadLetterSink;
  /** Splits a batch without a partition into one for each partition that its records belong to. */
  readonly repartition: (batch: SealedBatch, partitions: number, choice: number) => SealedBatch[];
  /** A number in [0, 1). */
  readonly random: () => number;
}

export class DeadLetterTopic implements DeadLetterSink {
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #producer: DeadLetterTopicDependencies["producer"];
  readonly #fallback: DeadLetterSink;
  readonly #repartition: DeadLetterTopicDependencies["repartition"];
  readonly #random: () => number;
  readonly #topic: string;
  /** What of a letter is stored already, until its last try. */
  readonly #flights = new WeakMap<DeadLetter, Flight>();

  constructor(dependencies: DeadLetterTopicDependencies, topic: string) {
    this.#log = dependencies.log;
    this.#metrics = dependencies.metrics;
    this.#producer = dependencies.producer;
    this.#fallback = dependencies.fallback;
    this.#repartition = dependencies.repartition;
    this.#random = dependencies.random;
    this.#topic = topic;
  }

  /** Rejects with a retryable IngestError; the next try with the same letter leaves out partitions that took theirs. */
  async append(letter: DeadLetter): Promise<void> {
    const refusal = await this.#produce(letter);
    if (refusal === undefined) {
      this.#metrics.deadLettersProduced.with(letter.topic).inc(letter.events);
      return;
    }
    await this.#fallback.append(letter);
    this.#log.error(
      { deadLetterTopic: this.#topic, topic: letter.topic, events: letter.events, err: refusal },
      "the dead-letter topic does not take events; they are in the dead-letter log instead",
    );
  }

  /** Resolves with why the topic will not take the letter; undefined if it has. */
  async #produce(letter: DeadLetter): Promise<IngestError | undefined> {
    if (letter.topic === this.#topic)
      return new IngestError(Code.FAILED_PRECONDITION, "they were refused by the dead-letter topic itself");
    try {
      let flight = this.#flights.get(letter);
      if (flight === undefined) {
        const info = this.#producer.topic(this.#topic) ?? (await this.#producer.lookup(this.#topic));
        flight = new Flight(this.#batches(letter, info.partitions));
        this.#flights.set(letter, flight);
      }
      await flight.send(this.#producer);
      const { error } = flight;
      if (error !== undefined && !isRefusal(error)) throw error;
      return error;
    } catch (thrown) {
      const error = thrown instanceof IngestError ? thrown : unreadable(thrown);
      if (!isRefusal(error)) throw error;
      return error;
    }
  }

  /** @throws RangeError if the letter's bytes are damaged. */
  #batches(letter: DeadLetter, partitions: number): SealedBatch[] {
    const records: Record[] = [];
    let index = 0;
    for (const record of decodeRecords(letter.bytes)) {
      if (isRefused(letter, index))
        records.push({ ...record, headers: [...record.headers, ...originHeaders(letter, index)] });
      index++;
    }
    if (records.length !== letter.events) throw new RangeError(`${records.length} of ${letter.events} records`);
    const batch = {
      topic: this.#topic,
      partition: UNASSIGNED_PARTITION,
      count: records.length,
      bytes: encodeRecordBatch(records),
    };
    return this.#repartition(batch, partitions, this.#random());
  }
}

const OPERATORS: ReadonlySet<Reason> = new Set([Reason.UNKNOWN_TOPIC, Reason.INVALID_TOPIC, Reason.NOT_AUTHORIZED]);

/** Will the topic not take it before somebody does something? Waiting for that would keep the batch in the spool. */
function isRefusal({ retryable, reason }: IngestError): boolean {
  return !retryable || OPERATORS.has(reason);
}

/** The batches of a letter, each sent until all of it is stored. */
class Flight {
  readonly #parts: readonly Part[];

  constructor(batches: readonly SealedBatch[]) {
    this.#parts = batches.map((batch) => new Part(batch));
  }

  /** What went wrong; a refusal wins. */
  get error(): IngestError | undefined {
    const errors = this.#parts.flatMap(({ error }) => (error === undefined ? [] : [error]));
    return errors.find(isRefusal) ?? errors[0];
  }

  /** Resolves when everything that was sent is told of. */
  async send(producer: Pick<Producer, "send">): Promise<void> {
    await Promise.all(this.#parts.filter(({ isStored }) => !isStored).map((part) => part.send(producer)));
  }
}

/** What goes to one partition. If a part of it fails, all of it is sent again. */
class Part implements BatchSettler {
  readonly #batch: SealedBatch;
  #untold = 0;
  #error: IngestError | undefined;
  #isStored = false;
  #landed: () => void = () => {};

  constructor(batch: SealedBatch) {
    this.#batch = batch;
  }

  get isStored(): boolean {
    return this.#isStored;
  }

  get error(): IngestError | undefined {
    return this.#error;
  }

  async send(producer: Pick<Producer, "send">): Promise<void> {
    this.#untold = this.#batch.count;
    this.#error = undefined;
    await new Promise<void>((resolve) => {
      this.#landed = resolve;
      producer.send(this.#batch, this);
    });
    this.#isStored = this.#error === undefined;
  }

  stored(_batch: SealedBatch, _first: number, count: number): void {
    this.#tell(count);
  }

  failed(_batch: SealedBatch, _first: number, count: number, error: IngestError): void {
    if (this.#error === undefined || isRefusal(error)) this.#error = error;
    this.#tell(count);
  }

  #tell(count: number): void {
    this.#untold -= count;
    assert(this.#untold >= 0, "a producer tells the outcome of each record once");
    if (this.#untold === 0) this.#landed();
  }
}

/** Where a record comes from and why it is here. The origin tells every record apart. */
function originHeaders(letter: DeadLetter, record: number): Record["headers"] {
  const texts: readonly (readonly [key: string, value: string])[] = [
    ["sluice.reason", reasonLabel(letter.reason)],
    ["sluice.message", letter.message],
    ["sluice.topic", letter.topic],
    ["sluice.partition", String(letter.partition)],
    ["sluice.persisted-at", new Date(letter.persistedAtMs).toISOString()],
    ["sluice.spool", `${letter.spoolId.toString("hex")}/${letter.batch}/${record}`],
  ];
  return texts.map(([key, value]) => ({ key, value: Buffer.from(value) }));
}

function unreadable(cause: unknown): IngestError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new IngestError(Code.INTERNAL, `the record batch cannot be read: ${why}`, { cause });
}
