// The batches of one topic-partition that are in a spool and not done, oldest first.
//
// Where each batch lies and what it counts, in columns of numbers: about 50 bytes a batch. Rejected: an object each; an hour
// without Kafka may leave millions.
//
// Batches are settled in any order; the head moves on over those that are done. An index is a batch's position in the order
// of arrival, counted from the beginning of the process, and stays the same while the batch is here.

import { assert } from "../errors.ts";
import type { SegmentState } from "./segment-state.ts";

const CAPACITY_MIN = 16;
/** An empty lane with more room than this gives it back. */
const CAPACITY_IDLE_MAX = 1024;

interface Columns {
  /** Comparable between the lanes of all topics: a lower one came earlier. */
  readonly order: Float64Array;
  readonly sequence: Float64Array;
  readonly persistedAt: Float64Array;
  readonly position: Uint32Array;
  readonly bytes: Uint32Array;
  readonly count: Uint32Array;
  readonly done: Uint8Array;
  readonly segment: (SegmentState | undefined)[];
}

function columns(capacity: number): Columns {
  const segment: (SegmentState | undefined)[] = [];
  segment.length = capacity;
  return {
    order: new Float64Array(capacity),
    sequence: new Float64Array(capacity),
    persistedAt: new Float64Array(capacity),
    position: new Uint32Array(capacity),
    bytes: new Uint32Array(capacity),
    count: new Uint32Array(capacity),
    done: new Uint8Array(capacity),
    segment,
  };
}

/** One batch in a lane. */
export interface LaneEntry {
  readonly order: number;
  readonly sequence: number;
  readonly persistedAtMs: number;
  readonly segment: SegmentState;
  /** Of the BATCH entry in its segment, and its size; bytes. */
  readonly position: number;
  readonly bytes: number;
  /** Records. */
  readonly count: number;
}

export class Lane {
  readonly topic: string;
  readonly partition: number;
  /** Batches that are appended and not synced yet. */
  pending = 0;
  #columns: Columns = columns(0);
  #capacity = 0;
  #head = 0;
  #tail = 0;
  #open = 0;
  #openEvents = 0;
  /** The next one to be taken for forwarding. */
  #cursor = 0;

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  /** Batches that are not done, synced or not. */
  get backlog(): number {
    return this.pending + this.#open;
  }

  /** Events of the batches that are synced and not done. */
  get events(): number {
    return this.#openEvents;
  }

  /** Batches that have ever come, those that are not synced yet included. */
  get arrivals(): number {
    return this.#tail + this.pending;
  }

  /** So many of them, from the first on, are done. */
  get doneThrough(): number {
    return this.#head;
  }

  /** Batches that nobody took yet. */
  get waiting(): number {
    return this.#tail - this.#cursor;
  }

  /** The order of the oldest batch that is not done; Infinity if there is none. */
  get oldestOrder(): number {
    return this.#head === this.#tail ? Infinity : this.#columns.order[this.#head & (this.#capacity - 1)]!;
  }

  /** When the oldest batch that is not done was persisted; Infinity if there is none. */
  get oldestPersistedAtMs(): number {
    return this.#head === this.#tail ? Infinity : this.#columns.persistedAt[this.#head & (this.#capacity - 1)]!;
  }

  /** The order of the next batch to be taken; Infinity if there is none. */
  get nextOrder(): number {
    return this.waiting === 0 ? Infinity : this.#columns.order[this.#cursor & (this.#capacity - 1)]!;
  }

  push(entry: LaneEntry): void {
    if (this.#tail - this.#head === this.#capacity) this.#resize(Math.max(CAPACITY_MIN, this.#capacity * 2));
    const at = this.#tail++ & (this.#capacity - 1);
    const { order, sequence, persistedAt, position, bytes, count, done, segment } = this.#columns;
    order[at] = entry.order;
    sequence[at] = entry.sequence;
    persistedAt[at] = entry.persistedAtMs;
    position[at] = entry.position;
    bytes[at] = entry.bytes;
    count[at] = entry.count;
    done[at] = 0;
    segment[at] = entry.segment;
    this.#open++;
    this.#openEvents += entry.count;
  }

  /** The next batch to forward, without taking it. */
  peek(): LaneEntry | undefined {
    return this.waiting === 0 ? undefined : this.#entry(this.#cursor);
  }

  /** The batches that nobody took yet, in order. */
  *entries(): Generator<LaneEntry> {
    for (let index = this.#cursor; index < this.#tail; index++) yield this.#entry(index);
  }

  /** Takes that batch. @returns its index. */
  take(): number {
    return this.#cursor++;
  }

  setDone(index: number): void {
    const { count, done, segment } = this.#columns;
    const at = index & (this.#capacity - 1);
    assert(index >= this.#head && index < this.#cursor && done[at] === 0, "a spooled batch is done once");
    done[at] = 1;
    segment[at] = undefined;
    this.#open--;
    this.#openEvents -= count[at]!;
    while (this.#head < this.#cursor && done[this.#head & (this.#capacity - 1)] === 1) this.#head++;
    if (this.#head === this.#tail && this.#capacity > CAPACITY_IDLE_MAX) this.#resize(0);
  }

  #entry(index: number): LaneEntry {
    const at = index & (this.#capacity - 1);
    const from = this.#columns;
    return {
      order: from.order[at]!,
      sequence: from.sequence[at]!,
      persistedAtMs: from.persistedAt[at]!,
      segment: from.segment[at]!,
      position: from.position[at]!,
      bytes: from.bytes[at]!,
      count: from.count[at]!,
    };
  }

  #resize(capacity: number): void {
    const next = columns(capacity);
    const { order, sequence, persistedAt, position, bytes, count, done, segment } = this.#columns;
    for (let index = this.#head; index < this.#tail; index++) {
      const from = index & (this.#capacity - 1);
      const to = index & (capacity - 1);
      next.order[to] = order[from]!;
      next.sequence[to] = sequence[from]!;
      next.persistedAt[to] = persistedAt[from]!;
      next.position[to] = position[from]!;
      next.bytes[to] = bytes[from]!;
      next.count[to] = count[from]!;
      next.done[to] = done[from]!;
      next.segment[to] = segment[from];
    }
    this.#columns = next;
    this.#capacity = capacity;
  }
}
