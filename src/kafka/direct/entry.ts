// What a partition queues and sends: a record batch, or the part of one that is still to be stored.

import type { BatchSettler, ProducerStamp, SealedBatch } from "../../ingest/producer.ts";
import { sliceRecordBatch } from "../../wire/record-batch.ts";
import type { PartitionProducer } from "./partition.ts";

/** A place among the records of a partition: batches in the order in which they came, parts of one by their first record. */
export interface Position {
  readonly order: number;
  readonly first: number;
}

export function isBefore(a: Position, b: Position): boolean {
  return a.order < b.order || (a.order === b.order && a.first < b.first);
}

export interface Entry extends Position {
  readonly partition: PartitionProducer;
  readonly batch: SealedBatch;
  readonly settler: BatchSettler;
  /** What is sent: the batch's own bytes, or those of a part of it. */
  readonly bytes: Buffer;
  /** Records: [first, first + count) of the batch. */
  readonly count: number;
  /** When the batch was handed over, in milliseconds on the monotonic clock. */
  readonly enqueuedAtMs: number;
  /** -1 until it is sent under the current epoch. */
  sequence: number;
  /** The numbers of an earlier send, to be used again; undefined once they are. */
  stamp: ProducerStamp | undefined;
  /** Are its numbers on disk? A batch without a keeper, and a part of one, does not need that. */
  stampKept: "no" | "pending" | "yes";
  /** It may be on the log although nobody said so. */
  unknown: boolean;
  sends: number;
  corruptTries: number;
  /** The broker that it was sent to last. */
  sentTo: number;
}

const NOT_SENT = {
  sequence: -1,
  stamp: undefined,
  stampKept: "yes",
  unknown: false,
  sends: 0,
  corruptTries: 0,
  sentTo: -1,
} as const;

export function wholeEntry(
  partition: PartitionProducer,
  batch: SealedBatch,
  settler: BatchSettler,
  order: number,
  enqueuedAtMs: number,
): Entry {
  const { bytes, count, stamps } = batch;
  const entry: Entry = { partition, batch, settler, bytes, first: 0, count, order, enqueuedAtMs, ...NOT_SENT };
  if (stamps === undefined) return entry;
  // What was sent before is on disk as that, and may be on the log.
  const { stamp } = stamps;
  return { ...entry, stamp, stampKept: stamp === undefined ? "no" : "yes", unknown: stamp !== undefined };
}

/** Records [from, to) of an entry, in bytes of their own. What is not known of the whole is not known of the part. */
export function partOf(entry: Entry, from: number, to: number): Entry {
  const { partition, batch, settler, order, enqueuedAtMs, unknown } = entry;
  const bytes = sliceRecordBatch(entry.bytes, from, to);
  return {
    partition,
    batch,
    settler,
    bytes,
    first: entry.first + from,
    count: to - from,
    order,
    enqueuedAtMs,
    ...NOT_SENT,
    unknown,
  };
}

/** Is it a spooled batch as a whole? Only then its numbers are kept on disk, and it comes again with them. */
export function hasKeptNumbers({ batch, count }: Entry): boolean {
  return batch.stamps !== undefined && count === batch.count;
}
