// Gives the events of an unassigned batch their partitions, once the topic's are known: a batch for each of them.
//
// The same rules as on the way in: a key has the Java client's partition, and what has none stays together on one. Order
// holds, because the records of each partition keep theirs, and unassigned batches are forwarded one after the other.

import { encodeRecordBatch } from "../wire/encode-records.ts";
import { partitionOfKey } from "../wire/murmur2.ts";
import { decodeRecords, type Record } from "../wire/record-batch.ts";
import type { SealedBatch } from "./producer.ts";

/**
 * @param choice a number in [0, 1): where records without a key go.
 * @throws RangeError if the batch's bytes are not well-formed.
 */
export function repartition(batch: SealedBatch, partitions: number, choice: number): SealedBatch[] {
  const keyless = Math.floor(choice * partitions);
  const byPartition = new Map<number, Record[]>();
  for (const record of decodeRecords(batch.bytes)) {
    const { key } = record;
    const partition = key === null ? keyless : partitionOfKey(key, 0, key.length, partitions);
    const records = byPartition.get(partition);
    if (records === undefined) byPartition.set(partition, [record]);
    else records.push(record);
  }
  return [...byPartition].map(([partition, records]) => ({
    topic: batch.topic,
    partition,
    count: records.length,
    bytes: encodeRecordBatch(records),
  }));
}
