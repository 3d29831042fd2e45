// One entry of a dead-letter log: events that were acknowledged as PERSISTED and that Kafka refuses for good.
//
//   LETTER := atMs:u64 persistedAtMs:u64 spoolId:byte[16] batch:u64 first:u32 events:u32 count:u32 partition:i32
//             reason:u16 topicLength:u16 messageLength:u16 topic:utf8 message:utf8 [ ranges ] recordBatch
//   ranges := number:u32 { first:u32 count:u32 }         if `first` is 0xffffffff; else the range is [first, first + events)
//
// Rejected: cutting the refused records out of their batch. What cannot be delivered is evidence, so the batch is kept as it
// was, with the ranges of its `count` records that this letter is about. Rejected, too: a letter for each range; a batch of
// which every other record is refused would be written hundreds of times.

import { Reason } from "../errors.ts";
import { malformed } from "./entries.ts";
import { ENTRY_HEADER_BYTES, readU64, SPOOL_ID_BYTES, writeU64 } from "./segment.ts";

/** The records [first, first + count) of a batch. */
export interface RecordRange {
  readonly first: number;
  readonly count: number;
}

/** Events that Kafka refused for good. */
export interface DeadLetter {
  /** When they were refused, and when they were persisted; milliseconds since the epoch. */
  readonly atMs: number;
  readonly persistedAtMs: number;
  /** Which batch of which spool they were. */
  readonly spoolId: Buffer;
  readonly batch: number;
  readonly topic: string;
  /** Where they were to go; -1 if that was never known. */
  readonly partition: number;
  /** The refused records: at least one range, in order. */
  readonly ranges: readonly RecordRange[];
  /** In all ranges. */
  readonly events: number;
  /** Records in `bytes`, refused or not. */
  readonly count: number;
  readonly reason: Reason;
  readonly message: string;
  /** The whole record batch. */
  readonly bytes: Buffer;
}

const LETTER = {
  at: 0,
  persistedAt: 8,
  spoolId: 16,
  batch: 32,
  first: 40,
  events: 44,
  count: 48,
  partition: 52,
  reason: 56,
  topicLength: 58,
  messageLength: 60,
  topic: 62,
} as const;
const MESSAGE_BYTES_MAX = 4096;
/** Stands where the first record would: the ranges follow the message. No batch has so many records. */
const SEVERAL = 0xffff_ffff;
const RANGE_BYTES = 8;

/** The head of a LETTER entry, with room for the entry's header; the record batch follows it as it is. */
export function encodeLetterHead(letter: DeadLetter): Buffer {
  const topic = Buffer.from(letter.topic, "utf8");
  const message = Buffer.from(letter.message, "utf8").subarray(0, MESSAGE_BYTES_MAX);
  const at = ENTRY_HEADER_BYTES;
  const [only, ...others] = letter.ranges;
  const ranges = others.length === 0 ? Buffer.alloc(0) : encodeRanges(letter.ranges);
  const out = Buffer.allocUnsafe(at + LETTER.topic + topic.length + message.length + ranges.length);
  writeU64(out, letter.atMs, at + LETTER.at);
  writeU64(out, letter.persistedAtMs, at + LETTER.persistedAt);
  letter.spoolId.copy(out, at + LETTER.spoolId, 0, SPOOL_ID_BYTES);
  writeU64(out, letter.batch, at + LETTER.batch);
  out.writeUInt32BE(others.length === 0 ? only!.first : SEVERAL, at + LETTER.first);
  out.writeUInt32BE(letter.events, at + LETTER.events);
  out.writeUInt32BE(letter.count, at + LETTER.count);
  out.writeInt32BE(letter.partition, at + LETTER.partition);
  out.writeUInt16BE(letter.reason, at + LETTER.reason);
  out.writeUInt16BE(topic.length, at + LETTER.topicLength);
  out.writeUInt16BE(message.length, at + LETTER.messageLength);
  topic.copy(out, at + LETTER.topic);
  message.copy(out, at + LETTER.topic + topic.length);
  ranges.copy(out, at + LETTER.topic + topic.length + message.length);
  return out;
}

function encodeRanges(ranges: readonly RecordRange[]): Buffer {
  const out = Buffer.allocUnsafe(4 + RANGE_BYTES * ranges.length);
  out.writeUInt32BE(ranges.length, 0);
  ranges.forEach(({ first, count }, i) => {
    out.writeUInt32BE(first, 4 + RANGE_BYTES * i);
    out.writeUInt32BE(count, 8 + RANGE_BYTES * i);
  });
  return out;
}

function decodeRanges(payload: Buffer, at: number): RecordRange[] {
  const number = at + 4 > payload.length ? Infinity : payload.readUInt32BE(at);
  if (at + 4 + RANGE_BYTES * number > payload.length) malformed("LETTER");
  return Array.from({ length: number }, (_, i) => ({
    first: payload.readUInt32BE(at + 4 + RANGE_BYTES * i),
    count: payload.readUInt32BE(at + 8 + RANGE_BYTES * i),
  }));
}

const REASONS: ReadonlySet<number> = new Set(Object.values(Reason));

export function decodeLetter(payload: Buffer): DeadLetter {
  if (payload.length < LETTER.topic) malformed("LETTER");
  const topicEnd = LETTER.topic + payload.readUInt16BE(LETTER.topicLength);
  const messageEnd = topicEnd + payload.readUInt16BE(LETTER.messageLength);
  if (messageEnd > payload.length) malformed("LETTER");
  const reason = payload.readUInt16BE(LETTER.reason);
  const first = payload.readUInt32BE(LETTER.first);
  const events = payload.readUInt32BE(LETTER.events);
  const several = first === SEVERAL ? decodeRanges(payload, messageEnd) : undefined;
  const bytesAt = several === undefined ? messageEnd : messageEnd + 4 + RANGE_BYTES * several.length;
  return {
    atMs: readU64(payload, LETTER.at),
    persistedAtMs: readU64(payload, LETTER.persistedAt),
    spoolId: payload.subarray(LETTER.spoolId, LETTER.spoolId + SPOOL_ID_BYTES),
    batch: readU64(payload, LETTER.batch),
    topic: payload.toString("utf8", LETTER.topic, topicEnd),
    partition: payload.readInt32BE(LETTER.partition),
    ranges: several ?? [{ first, count: events }],
    events,
    count: payload.readUInt32BE(LETTER.count),
    reason: REASONS.has(reason) ? (reason as Reason) : Reason.REJECTED,
    message: payload.toString("utf8", topicEnd, messageEnd),
    bytes: payload.subarray(bytesAt),
  };
}

/** Is the record with this index in its batch one of the refused? */
export function isRefused({ ranges }: Pick<DeadLetter, "ranges">, record: number): boolean {
  return ranges.some(({ first, count }) => record >= first && record < first + count);
}
