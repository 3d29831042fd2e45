// One entry of a dead-letter log: events that were acknowledged as PERSISTED and that Kafka refuses for good.
//
//   LETTER := atMs:u64 persistedAtMs:u64 spoolId:byte[16] batch:u64 first:u32 events:u32 count:u32 partition:i32
//             reason:u16 topicLength:u16 messageLength:u16 topic:utf8 message:utf8 recordBatch
//
// Rejected: cutting the refused records out of their batch. What cannot be delivered is evidence, so the batch is kept as it
// was, with the range [first, first + events) of its `count` records that this letter is about.

import { Reason } from "../errors.ts";
import { malformed } from "./entries.ts";
import { ENTRY_HEADER_BYTES, readU64, SPOOL_ID_BYTES, writeU64 } from "./segment.ts";

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
  /** The refused records are [first, first + events) of the `count` in `bytes`. */
  readonly first: number;
  readonly events: number;
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

/** The head of a LETTER entry, with room for the entry's header; the record batch follows it as it is. */
export function encodeLetterHead(letter: DeadLetter): Buffer {
  const topic = Buffer.from(letter.topic, "utf8");
  const message = Buffer.from(letter.message, "utf8").subarray(0, MESSAGE_BYTES_MAX);
  const at = ENTRY_HEADER_BYTES;
  const out = Buffer.allocUnsafe(at + LETTER.topic + topic.length + message.length);
  writeU64(out, letter.atMs, at + LETTER.at);
  writeU64(out, letter.persistedAtMs, at + LETTER.persistedAt);
  letter.spoolId.copy(out, at + LETTER.spoolId, 0, SPOOL_ID_BYTES);
  writeU64(out, letter.batch, at + LETTER.batch);
  out.writeUInt32BE(letter.first, at + LETTER.first);
  out.writeUInt32BE(letter.events, at + LETTER.events);
  out.writeUInt32BE(letter.count, at + LETTER.count);
  out.writeInt32BE(letter.partition, at + LETTER.partition);
  out.writeUInt16BE(letter.reason, at + LETTER.reason);
  out.writeUInt16BE(topic.length, at + LETTER.topicLength);
  out.writeUInt16BE(message.length, at + LETTER.messageLength);
  topic.copy(out, at + LETTER.topic);
  message.copy(out, at + LETTER.topic + topic.length);
  return out;
}

const REASONS: ReadonlySet<number> = new Set(Object.values(Reason));

export function decodeLetter(payload: Buffer): DeadLetter {
  if (payload.length < LETTER.topic) malformed("LETTER");
  const topicEnd = LETTER.topic + payload.readUInt16BE(LETTER.topicLength);
  const messageEnd = topicEnd + payload.readUInt16BE(LETTER.messageLength);
  if (messageEnd > payload.length) malformed("LETTER");
  const reason = payload.readUInt16BE(LETTER.reason);
  return {
    atMs: readU64(payload, LETTER.at),
    persistedAtMs: readU64(payload, LETTER.persistedAt),
    spoolId: payload.subarray(LETTER.spoolId, LETTER.spoolId + SPOOL_ID_BYTES),
    batch: readU64(payload, LETTER.batch),
    topic: payload.toString("utf8", LETTER.topic, topicEnd),
    partition: payload.readInt32BE(LETTER.partition),
    first: payload.readUInt32BE(LETTER.first),
    events: payload.readUInt32BE(LETTER.events),
    count: payload.readUInt32BE(LETTER.count),
    reason: REASONS.has(reason) ? (reason as Reason) : Reason.REJECTED,
    message: payload.toString("utf8", topicEnd, messageEnd),
    bytes: payload.subarray(messageEnd),
  };
}
