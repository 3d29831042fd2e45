// What the entries of a spool say.
//
//   BATCH         := persistedAtMs:u64 partition:i32 count:u32 topicLength:u16 topic:utf8 recordBatch
//   FORWARDED     := { batch:u64 }                       batches (by sequence number) that Kafka has, one or more
//   DEAD_LETTERED := batch:u64 events:u32                `events` of the batch lie in the dead-letter log; Kafka has the others
//   DROPPED       := { letter:u64 }                      letters that are nobody's any more, one or more
//   STAMPED       := batch:u64 partition:i32 partitions:u32 producerId:i64 producerEpoch:i16 baseSequence:i32
// - A BATCH with partition -1 was taken without brokers: its topic's partitions were not known.
// - STAMPED is written before the first send of a batch, so that a restart resends it under the same producer id, epoch and
//   sequence, and the broker's memory removes the duplicate. For a batch with partition -1 there is one per partition that
//   it was split into, and `partitions` is how many the topic had: a restart must split it by the same number. Else 0.
// - LETTER is the entry of a dead-letter log (letter.ts), and DROPPED says of letters there that an operator is done with them.
//
// A reader skips the types that it does not know: a new type which must not be skipped needs a new version of the format.

import { ENTRY_HEADER_BYTES, readU64, writeU64 } from "./segment.ts";

export const EntryType = { BATCH: 1, FORWARDED: 2, DEAD_LETTERED: 3, STAMPED: 4, LETTER: 5, DROPPED: 6 } as const;
export type EntryType = (typeof EntryType)[keyof typeof EntryType];

/** Does an entry of this type hold events? The others are about such entries, and go when those go. */
export function holdsEvents(type: number): boolean {
  return type === EntryType.BATCH || type === EntryType.LETTER;
}

export interface BatchEntry {
  readonly persistedAtMs: number;
  readonly topic: string;
  readonly partition: number;
  readonly count: number;
  /** The record batch; a view of the payload. */
  readonly bytes: Buffer;
}

const BATCH = { persistedAt: 0, partition: 8, count: 12, topicLength: 16, topic: 18 } as const;
const FORWARDED_BYTES = 8;
/** FORWARDED and DROPPED entries name at most so many: 64 KB. */
export const FORWARDED_PER_ENTRY_MAX = 8192;
const DEAD_LETTERED_BYTES = 12;
export const STAMPED_BYTES = 30;

/** A payload that is not what its type says: our own bug, since its checksum is right. */
export function malformed(type: string): never {
  throw new RangeError(`a ${type} entry with a valid checksum is malformed`);
}

/** The head of a BATCH entry, with room for the entry's header; the record batch follows it as it is. */
export function encodeBatchHead(persistedAtMs: number, topic: Buffer, partition: number, count: number): Buffer {
  const at = ENTRY_HEADER_BYTES;
  const out = Buffer.allocUnsafe(at + BATCH.topic + topic.length);
  writeU64(out, persistedAtMs, at + BATCH.persistedAt);
  out.writeInt32BE(partition, at + BATCH.partition);
  out.writeUInt32BE(count, at + BATCH.count);
  out.writeUInt16BE(topic.length, at + BATCH.topicLength);
  topic.copy(out, at + BATCH.topic);
  return out;
}

export function decodeBatch(payload: Buffer): BatchEntry {
  const end = payload.length < BATCH.topic ? Infinity : BATCH.topic + payload.readUInt16BE(BATCH.topicLength);
  if (end > payload.length) malformed("BATCH");
  return {
    persistedAtMs: readU64(payload, BATCH.persistedAt),
    topic: payload.toString("utf8", BATCH.topic, end),
    partition: payload.readInt32BE(BATCH.partition),
    count: payload.readUInt32BE(BATCH.count),
    bytes: payload.subarray(end),
  };
}

export function encodeForwarded(batches: readonly number[]): Buffer {
  const out = Buffer.allocUnsafe(ENTRY_HEADER_BYTES + FORWARDED_BYTES * batches.length);
  batches.forEach((batch, i) => writeU64(out, batch, ENTRY_HEADER_BYTES + FORWARDED_BYTES * i));
  return out;
}

export function decodeForwarded(payload: Buffer): number[] {
  if (payload.length % FORWARDED_BYTES !== 0) malformed("FORWARDED");
  return Array.from({ length: payload.length / FORWARDED_BYTES }, (_, i) => readU64(payload, FORWARDED_BYTES * i));
}

/** Letters by their sequence numbers. */
export function encodeDropped(letters: readonly number[]): Buffer {
  return encodeForwarded(letters);
}

export function decodeDropped(payload: Buffer): number[] {
  return decodeForwarded(payload);
}

export interface DeadLettered {
  readonly batch: number;
  readonly events: number;
}

export function encodeDeadLettered({ batch, events }: DeadLettered): Buffer {
  const out = Buffer.allocUnsafe(ENTRY_HEADER_BYTES + DEAD_LETTERED_BYTES);
  writeU64(out, batch, ENTRY_HEADER_BYTES);
  out.writeUInt32BE(events, ENTRY_HEADER_BYTES + 8);
  return out;
}

export function decodeDeadLettered(payload: Buffer): DeadLettered {
  if (payload.length !== DEAD_LETTERED_BYTES) malformed("DEAD_LETTERED");
  return { batch: readU64(payload, 0), events: payload.readUInt32BE(8) };
}

/** Under which producer id, epoch and sequence a batch, or its part for one partition, was sent. */
export interface Stamp {
  /** The batch's sequence number in the spool. */
  readonly batch: number;
  readonly partition: number;
  /** How many partitions a batch without a partition was split by; 0 for one that had its partition. */
  readonly partitions: number;
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly baseSequence: number;
}

export function encodeStamped(stamp: Stamp): Buffer {
  const at = ENTRY_HEADER_BYTES;
  const out = Buffer.allocUnsafe(at + STAMPED_BYTES);
  writeU64(out, stamp.batch, at);
  out.writeInt32BE(stamp.partition, at + 8);
  out.writeUInt32BE(stamp.partitions, at + 12);
  out.writeBigInt64BE(stamp.producerId, at + 16);
  out.writeInt16BE(stamp.producerEpoch, at + 24);
  out.writeInt32BE(stamp.baseSequence, at + 26);
  return out;
}

export function decodeStamped(payload: Buffer): Stamp {
  if (payload.length !== STAMPED_BYTES) malformed("STAMPED");
  return {
    batch: readU64(payload, 0),
    partition: payload.readInt32BE(8),
    partitions: payload.readUInt32BE(12),
    producerId: payload.readBigInt64BE(16),
    producerEpoch: payload.readInt16BE(24),
    baseSequence: payload.readInt32BE(26),
  };
}
