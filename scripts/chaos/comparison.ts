// What was acknowledged against what is in Kafka, topic by topic.
//
// - Missing: acknowledged and not there. Never allowed. What was sent before its topic was deleted went with the topic.
// - Duplicated: there more often than it was acknowledged. Each attempt without an answer may have stored the event once
//   more: `retried`. What a killed service brings again although Kafka has it is `replayed`, and not allowed. Who sends while a topic is
//   deleted and created again, and what the service itself counts as possible (sluice_kafka_possible_duplicates_total), may
//   find duplicates, too. Every other one is a `duplicated`, and is not allowed.
// - Reordered: of the events of one stream with one key, acknowledged at the first attempt, one comes before another one
//   that was sent earlier. What was sent again has no place in an order, and unary calls have none. A worker that ends takes
//   its calls along, and the SDK's stream goes on over another one: what was persisted before may still lie in the spool of
//   that worker when later events, over another, are in Kafka already: `moved`. The order is promised within a call.
// - Misplaced: not at the offset that its answer named, or a key's events in more than one partition.
// - Alien: nobody sent it like that, or it was only ever refused.

import { identify } from "./event.ts";
import type { History, SentBatch } from "./history.ts";
import { emptyResult, EXAMPLES_MAX, type TopicResult } from "./topic-result.ts";

/** A topic that was deleted and created again, in milliseconds since the epoch. */
export interface Recreation {
  readonly topic: string;
  readonly deletedAtMs: number;
  /** From here on nothing could reach the old topic any more. */
  readonly goneAtMs: number;
  readonly createdAtMs: number;
}

/** Some or all of the service's workers ended, in milliseconds since the epoch. */
export interface Upheaval {
  /** Nothing was done to them yet. */
  readonly fromMs: number;
  /** No call to them was left. */
  readonly toMs: number;
  /** They were not asked to drain. */
  readonly killed: boolean;
}

/** What happened during the run, as far as guarantees depend on it. */
export interface Circumstances {
  readonly recreations: readonly Recreation[];
  readonly upheavals: readonly Upheaval[];
  /** sluice_kafka_possible_duplicates_total, in record batches. */
  readonly possibleDuplicates: number;
}

export interface ReadRecord {
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
}

/** A batch that waits for a topic which is gone waits this long at most; here with room to spare. */
const AROUND_RECREATION_MS = 60_000;

export class Comparison {
  readonly #run: string;
  readonly #history: History;
  readonly #circumstances: Circumstances;
  readonly #results = new Map<string, TopicResult>();
  /** By batch and event: how often it was read. */
  readonly #copies = new Map<SentBatch, Uint8Array>();
  /** By topic, stream and key, within a life of the service and over all: the last event that was read. */
  readonly #lastRead = new Map<string, number>();
  readonly #partitionOfKey = new Map<string, number>();

  constructor(run: string, history: History, circumstances: Circumstances) {
    this.#run = run;
    this.#history = history;
    this.#circumstances = circumstances;
  }

  /** Takes the records of a topic, those of each partition in their order. */
  read(topic: string, record: ReadRecord): void {
    const result = this.#result(topic);
    result.read++;
    const id = identify(this.#run, record.key, record.value);
    const batch = id === undefined ? undefined : this.#history.batch(id.sender, id.batch);
    if (id === undefined || batch === undefined || batch.topic !== topic || id.index >= batch.count) {
      result.alien++;
      note(result, record, "was never sent to this topic");
      return;
    }
    const { index } = id;
    const copies = this.#copiesOf(batch);
    copies[index] = Math.min(255, copies[index]! + 1);
    if (copies[index] > 1) return;
    const acknowledgement = batch.acknowledgement(index);
    if (acknowledgement === undefined) {
      result.unacknowledged++;
      if (batch.maybe[index] === 0) {
        result.alien++;
        note(result, record, "was only ever refused");
      }
      return;
    }
    this.#checkPlace(result, record, batch, index);
    this.#checkOrder(result, record, batch, index);
  }

  /** The results, by topic, once everything is read. */
  end(): readonly TopicResult[] {
    for (const batch of this.#history.batches()) this.#settle(batch);
    return [...this.#results.values()].sort((a, b) => a.topic.localeCompare(b.topic));
  }

  #settle(batch: SentBatch): void {
    const result = this.#result(batch.topic);
    const copies = this.#copiesOf(batch);
    for (let index = 0; index < batch.count; index++) {
      const acknowledgement = batch.acknowledgement(index);
      const found = copies[index]!;
      if (acknowledgement !== undefined) {
        result.acknowledged++;
        if (found === 0) {
          if (this.#wentWithTopic(batch.topic, acknowledgement.sentAtMs)) result.gone++;
          else {
            result.missing++;
            note(result, { batch, index }, `is missing: ${describe(batch, index)}`);
          }
        }
      }
      if (found > 1) this.#settleCopies(result, batch, index, found);
    }
  }

  #settleCopies(result: TopicResult, batch: SentBatch, index: number, found: number): void {
    const told = batch.acknowledgedBy[index] === 0 ? 0 : 1;
    const extra = found - 1;
    const retried = Math.min(extra, Math.max(0, told + batch.maybe[index]! - 1));
    result.retried += retried;
    const unexplained = extra - retried;
    if (unexplained === 0) return;
    if (this.#mayBeReplayed(batch)) result.replayed += unexplained;
    else if (this.#isAroundRecreation(batch)) result.recreated += unexplained;
    else if (this.#circumstances.possibleDuplicates > 0) result.possible += unexplained;
    else {
      result.duplicated += unexplained;
      note(result, { batch, index }, `is there ${found} times: ${describe(batch, index)}`);
    }
  }

  #checkPlace(result: TopicResult, record: ReadRecord, batch: SentBatch, index: number): void {
    const { partition, offset, key } = record;
    let isMisplaced = false;
    if (key !== null) {
      const name = `${batch.topic}/${key}`;
      const before = this.#partitionOfKey.get(name) ?? partition;
      this.#partitionOfKey.set(name, before);
      isMisplaced = before !== partition;
    }
    const onlyAttempt = batch.tries[index] === 1 ? batch.acknowledgement(index) : undefined;
    const isGone = onlyAttempt !== undefined && this.#wentWithTopic(batch.topic, onlyAttempt.sentAtMs);
    if (onlyAttempt?.durability === 1 && batch.attempts.length === 1 && !isGone) {
      isMisplaced ||= !batch.placed.some(([at, first, count]) => {
        return at === partition && offset >= first && offset < first + count;
      });
    }
    if (!isMisplaced) return;
    result.misplaced++;
    note(result, record, `is not where it should be (${JSON.stringify(batch.placed)})`);
  }

  #checkOrder(result: TopicResult, record: ReadRecord, batch: SentBatch, index: number): void {
    if (batch.stream < 0 || record.key === null || batch.tries[index] !== 1) return;
    const stream = `${batch.topic}/${batch.stream}/${record.key}`;
    const place = batch.number * 65_536 + index;
    const life = this.#lifeOf(batch.attempts[0]!.sentAtMs);
    const before = life === undefined ? undefined : this.#passed(`${stream}/${life}`, place);
    const beforeInStream = this.#passed(stream, place);
    if (before !== undefined) {
      result.reordered++;
      const which = `${Math.floor(before / 65_536)}/${before % 65_536}`;
      note(result, record, `comes after ${which} of its stream: ${describe(batch, index)}`);
    } else if (beforeInStream !== undefined) result.moved++;
  }

  /** The place of an event that came before this one and should not have; undefined if there is none. */
  #passed(sequence: string, place: number): number | undefined {
    const last = this.#lastRead.get(sequence) ?? -1;
    if (place < last) return last;
    this.#lastRead.set(sequence, place);
    return undefined;
  }

  /** Counts the upheavals before; undefined during one, when nobody knows which worker an event went to. */
  #lifeOf(sentAtMs: number): number | undefined {
    const { upheavals } = this.#circumstances;
    if (upheavals.some(({ fromMs, toMs }) => sentAtMs >= fromMs && sentAtMs <= toMs)) return undefined;
    return upheavals.filter(({ toMs }) => toMs < sentAtMs).length;
  }

  #wentWithTopic(topic: string, sentAtMs: number): boolean {
    return this.#circumstances.recreations.some((each) => each.topic === topic && sentAtMs < each.goneAtMs);
  }

  #isAroundRecreation({ topic, attempts }: SentBatch): boolean {
    return this.#circumstances.recreations.some((each) => {
      const from = each.deletedAtMs - AROUND_RECREATION_MS;
      return each.topic === topic && attempts.some(({ sentAtMs }) => sentAtMs > from && sentAtMs < each.createdAtMs);
    });
  }

  /** Was it on the disk of a service that was killed? */
  #mayBeReplayed({ attempts }: SentBatch): boolean {
    return this.#circumstances.upheavals.some(({ killed, toMs }) => {
      return killed && attempts.some(({ durability, sentAtMs }) => durability === 2 && sentAtMs < toMs);
    });
  }

  #copiesOf(batch: SentBatch): Uint8Array {
    let copies = this.#copies.get(batch);
    if (copies === undefined) this.#copies.set(batch, (copies = new Uint8Array(batch.count)));
    return copies;
  }

  #result(topic: string): TopicResult {
    let result = this.#results.get(topic);
    if (result === undefined) {
      result = emptyResult(topic);
      this.#results.set(topic, result);
    }
    return result;
  }
}

function note(
  { examples }: TopicResult,
  what: ReadRecord | { readonly batch: SentBatch; readonly index: number },
  why: string,
): void {
  if (examples.length >= EXAMPLES_MAX) return;
  const name =
    "batch" in what
      ? `event ${what.batch.sender}/${what.batch.number}/${what.index}`
      : `record ${what.partition}:${what.offset} ${what.value?.split("/", 5).join("/")}`;
  examples.push(`${name} ${why}`);
}

function describe(batch: SentBatch, index: number): string {
  const attempts = batch.attempts.map(({ sentAtMs, durability, indices }, attempt) => {
    const isAcknowledged = batch.acknowledgedBy[index] === attempt + 1;
    const isPart = indices === undefined || indices.includes(index);
    const state = isAcknowledged ? "acknowledged" : isPart ? "not acknowledged" : "without it";
    return `${durability === 1 ? "REPLICATED" : "PERSISTED"} at ${new Date(sentAtMs).toISOString()} ${state}`;
  });
  const way = batch.stream < 0 ? "unary" : `stream ${batch.stream}`;
  return `${way}, ${attempts.join(", ")}, ${batch.maybe[index]} without an answer`;
}
