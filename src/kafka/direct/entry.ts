// What a partition queues and sends: a record batch, or the part of one that is still to be stored.

import type { BatchSettler, ProducerStamp, SealedBatch } from "../../ingest/producer.ts";
import { sliceRecordBatch } from "../../wire/record-batch.ts";
import type { PartitionProducer } from "./partition.ts";
import type { ProduceItem } from "./produce.ts";

/** A place among the records of a partition: batches in the order in which they came, parts of one by their first record. */
export interface Position {
  readonly order: number;
  readonly first: number;
}

export function isBefore(a: Position, b: Position): boolean {
  return a.order < b.order || (a.order === b.order && a.first < b.first);
}

export class Entry implements Position, ProduceItem {
  readonly owner: PartitionProducer;
  readonly batch: SealedBatch;
  readonly settler: BatchSettler;
  /** What is sent: the batch's own bytes, or those of a part of it. */
  readonly bytes: Buffer;
  /** Records: [first, first + count) of the batch. */
  readonly first: number;
  readonly count: number;
  readonly order: number;
  /** When the batch was handed over, in milliseconds on the monotonic clock. */
  readonly enqueuedAtMs: number;
  /** -1 until it is sent under the current epoch. */
  sequence = -1;
  /** The numbers of an earlier send, to be used again; undefined once they are. */
  stamp: ProducerStamp | undefined;
  /** Are its numbers on disk? A batch without a keeper, and a part of one, does not need that. */
  stampKept: "no" | "pending" | "yes" = "yes";
  /** It may be on the log although nobody said so. */
  unknown = false;
  sends = 0;
  corruptTries = 0;
  /** The broker that it was sent to last. */
  sentTo = -1;

  /** Not sent yet. */
  constructor(
    owner: PartitionProducer,
    batch: SealedBatch,
    settler: BatchSettler,
    bytes: Buffer,
    first: number,
    count: number,
    order: number,
    enqueuedAtMs: number,
  ) {
    this.owner = owner;
    this.batch = batch;
    this.settler = settler;
    this.bytes = bytes;
    this.first = first;
    this.count = count;
    this.order = order;
    this.enqueuedAtMs = enqueuedAtMs;
  }

  get topic(): string {
    return this.owner.topic;
  }

  get partition(): number {
    return this.owner.partition;
  }
}

export function wholeEntry(
  owner: PartitionProducer,
  batch: SealedBatch,
  settler: BatchSettler,
  order: number,
  enqueuedAtMs: number,
): Entry {
  const { bytes, count, stamps } = batch;
  const entry = new Entry(owner, batch, settler, bytes, 0, count, order, enqueuedAtMs);
  if (stamps === undefined) return entry;
  // What was sent before is on disk as that, and may be on the log.
  entry.stamp = stamps.stamp;
  entry.stampKept = entry.stamp === undefined ? "no" : "yes";
  entry.unknown = entry.stamp !== undefined;
  return entry;
}

/** Records [from, to) of an entry, in bytes of their own. What is not known of the whole is not known of the part. */
export function partOf(entry: Entry, from: number, to: number): Entry {
  const { owner, batch, settler, order, enqueuedAtMs } = entry;
  const bytes = sliceRecordBatch(entry.bytes, from, to);
  const part = new Entry(owner, batch, settler, bytes, entry.first + from, to - from, order, enqueuedAtMs);
  part.unknown = entry.unknown;
  return part;
}

/** Is it a spooled batch as a whole? Only then its numbers are kept on disk, and it comes again with them. */
export function hasKeptNumbers({ batch, count }: Entry): boolean {
  return batch.stamps !== undefined && count === batch.count;
}
