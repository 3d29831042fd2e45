// Which partition an event goes to: the one it names, its key's, or for one without a key the topic's sticky one.
//
// Sticky by bytes (KIP-794): events without a key stay on one partition until it got its share, then move to another chosen
// at random. Batches fill up, partitions get equal bytes in the long run, and a slow partition does not attract more.

import { Code, IngestError, Reason } from "../errors.ts";
import { COLUMN, NO_PARTITION, ROW, type EventIndex } from "../wire/publish-request.ts";
import { partitionOfKey } from "../wire/murmur2.ts";
import { UNASSIGNED_PARTITION } from "./producer.ts";
import type { Topic } from "./topics.ts";

// Constants of this module become part of its code; see publish-request.ts.
const column = COLUMN;
const rowLength = ROW;

/** What one partition gets before the next has its turn. */
const STICKY_BYTES = 32 << 10;

/**
 * The partitions an event may name while the topic's are not known. Each costs a buffer while it has events, and no memory
 * may depend on a number that a client makes up.
 */
const UNASSIGNED_PARTITIONS_MAX = 1_000;

/** Returned for an event that names a partition that does not exist. */
export const OUT_OF_RANGE = -2;

/** @param random a number in [0, 1). */
export function choosePartition(
  topic: Topic,
  source: Buffer,
  index: EventIndex,
  event: number,
  random: () => number,
): number {
  const row = event * rowLength;
  const partitions = topic.info.partitions;
  const named = index.rows[row + column.partition]!;
  if (named !== NO_PARTITION) {
    return named >= 0 && named < (partitions || UNASSIGNED_PARTITIONS_MAX) ? named : OUT_OF_RANGE;
  }
  if (partitions === 0) return UNASSIGNED_PARTITION;
  const keyLength = index.rows[row + column.keyLength]!;
  if (keyLength >= 0) return partitionOfKey(source, index.rows[row + column.keyStart]!, keyLength, partitions);
  if (topic.stickyBytesLeft <= 0 || topic.stickyPartition >= partitions) {
    topic.stickyPartition = Math.floor(random() * partitions);
    topic.stickyBytesLeft = STICKY_BYTES;
  }
  topic.stickyBytesLeft -= index.rows[row + column.valueLength]! + index.rows[row + column.headerBytes]! + 16;
  return topic.stickyPartition;
}

export function outOfRange(topic: Topic, named: number): IngestError {
  const partitions = topic.info.partitions;
  const range =
    partitions > 0
      ? `topic ${topic.name} has partitions 0 to ${partitions - 1}`
      : `without brokers partitions 0 to ${UNASSIGNED_PARTITIONS_MAX - 1} can be named`;
  return new IngestError(Code.OUT_OF_RANGE, `partition ${named} does not exist: ${range}`, {
    reason: Reason.INVALID_PARTITION,
    field: "partition",
  });
}
