// What a range of a batch's records counts for in `sluice_kafka_queued_bytes`.

import type { SealedBatch } from "../ingest/producer.ts";

/** Ranges share out the bytes of their batch by records, so that they add up to the whole however it is divided. */
export function bytesOfRecords(batch: SealedBatch, first: number, count: number): number {
  const { length } = batch.bytes;
  return Math.floor((length * (first + count)) / batch.count) - Math.floor((length * first) / batch.count);
}
