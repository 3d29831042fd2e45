// The bytes of a segment file: a header, then entries, appended and never changed.
//
//   segment        := segment-header entry*
//   segment-header := magic:"SLUICESG" version:u16(1) kind:u16 segmentId:u64 spoolId:byte[16] createdAtMs:u64 syncedThrough:u64
//                     reserved:byte[8](0) crc:u32
//   entry          := length:u32 crc:u32 sequence:u64 type:u8 flags:u8 reserved:u16(0) mark:u32 payload:byte[length]
//   flags          := bit 0: first of its group
//
// Integers are big-endian, like Kafka's. The header's crc is CRC-32C of the 60 bytes before it, an entry's of everything
// behind the crc, payload included. What the payloads hold is told in entries.ts.
//
// - `sequence` numbers the entries of a spool from 1, over all its segments, and is never given twice. Inside of a segment
//   there are no gaps, so a gap tells how much is lost, and an entry that is met twice (a group that was written again to
//   a new segment after a failed sync) is known by its number.
// - `mark` is the checksum of the spool's random id. It is how the next whole entry is found behind damaged bytes, at the
//   speed of a memory search; a client cannot know it, so it cannot plant something that looks like an entry.
// - `syncedThrough` and "first of its group" say what was on disk, for sure, before these bytes were written: all entries
//   up to that number, and all entries before a group. So damage there is damage, and behind it is a torn tail.
//
// Rejected: padding entries to a block size (a disk's sectors do not line up with what was synced, and small batches would
// pay for it), and one checksum per group (one flipped bit would take the whole group with it).

import { crc32c } from "../wire/crc32c.ts";

export const SEGMENT_HEADER_BYTES = 64;
export const ENTRY_HEADER_BYTES = 24;
/** No entry is larger; a length beyond it is damage. */
export const ENTRY_BYTES_MAX = 256 * 1024 * 1024;

const MAGIC = Buffer.from("SLUICESG", "latin1");
const VERSION = 1;
export const SPOOL_ID_BYTES = 16;
const FIRST_OF_GROUP = 1;

const HEADER = { version: 8, kind: 10, segmentId: 12, spoolId: 20, createdAt: 36, synced: 44, crc: 60 } as const;
const ENTRY = { length: 0, crc: 4, sequence: 8, type: 16, flags: 17, mark: 20 } as const;

/** Where an entry's mark lies, from the start of the entry. */
export const MARK_OFFSET = ENTRY.mark;

/** What a directory of segments is for. */
export const SegmentKind = { SPOOL: 1, DEAD_LETTERS: 2 } as const;
export type SegmentKind = (typeof SegmentKind)[keyof typeof SegmentKind];

export interface SegmentHeader {
  readonly kind: number;
  readonly segmentId: number;
  readonly spoolId: Buffer;
  readonly createdAtMs: number;
  /** Every entry up to this number was on disk, or trimmed, when the segment was created. */
  readonly syncedThrough: number;
}

/** A file that was written by a version of the service which this one cannot read. It is not damage: nothing may touch it. */
export class UnsupportedVersion extends Error {
  override readonly name = "UnsupportedVersion";
}

/** Numbers up to 2^53; a spool that takes a million entries a second gets there in 285 years. */
export function writeU64(out: Buffer, value: number, at: number): void {
  out.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at);
  out.writeUInt32BE(value % 0x1_0000_0000, at + 4);
}

export function readU64(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4);
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const out = Buffer.alloc(SEGMENT_HEADER_BYTES);
  MAGIC.copy(out);
  out.writeUInt16BE(VERSION, HEADER.version);
  out.writeUInt16BE(header.kind, HEADER.kind);
  writeU64(out, header.segmentId, HEADER.segmentId);
  header.spoolId.copy(out, HEADER.spoolId, 0, SPOOL_ID_BYTES);
  writeU64(out, header.createdAtMs, HEADER.createdAt);
  writeU64(out, header.syncedThrough, HEADER.synced);
  out.writeUInt32BE(crc32c(out.subarray(0, HEADER.crc)), HEADER.crc);
  return out;
}

/**
 * @returns undefined if the header is cut short or damaged.
 * @throws UnsupportedVersion if it is whole, and of another version.
 */
export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | undefined {
  if (bytes.length < SEGMENT_HEADER_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  if (bytes.readUInt32BE(HEADER.crc) !== crc32c(bytes.subarray(0, HEADER.crc))) return undefined;
  const version = bytes.readUInt16BE(HEADER.version);
  if (version !== VERSION) {
    throw new UnsupportedVersion(`segment format ${version}, where this version of sluice reads ${VERSION}`);
  }
  return {
    kind: bytes.readUInt16BE(HEADER.kind),
    segmentId: readU64(bytes, HEADER.segmentId),
    spoolId: Buffer.from(bytes.subarray(HEADER.spoolId, HEADER.spoolId + SPOOL_ID_BYTES)),
    createdAtMs: readU64(bytes, HEADER.createdAt),
    syncedThrough: readU64(bytes, HEADER.synced),
  };
}

/** The mark that every entry of a spool carries. */
export function markOf(spoolId: Buffer): number {
  return crc32c(spoolId);
}

/**
 * Fills in the header in front of a payload.
 *
 * @param head ENTRY_HEADER_BYTES of room, then the payload or its beginning.
 * @param body the rest of the payload, which is not copied.
 */
export function sealEntry(
  head: Buffer,
  body: Buffer | undefined,
  sequence: number,
  type: number,
  firstOfGroup: boolean,
  mark: number,
): void {
  head.writeUInt32BE(head.length - ENTRY_HEADER_BYTES + (body?.length ?? 0), ENTRY.length);
  writeU64(head, sequence, ENTRY.sequence);
  head.writeUInt32BE(((type << 24) | ((firstOfGroup ? FIRST_OF_GROUP : 0) << 16)) >>> 0, ENTRY.type);
  head.writeUInt32BE(mark, ENTRY.mark);
  let crc = crc32c(head.subarray(ENTRY.sequence));
  if (body !== undefined) crc = crc32c(body, crc);
  head.writeUInt32BE(crc, ENTRY.crc);
}

/** One entry as it lies on disk. `payload` is a view. */
export interface Entry {
  readonly sequence: number;
  readonly type: number;
  readonly firstOfGroup: boolean;
  /** Where the entry begins in its segment, and its size there, header included; bytes. */
  readonly position: number;
  readonly bytes: number;
  readonly payload: Buffer;
}

/**
 * The size of the entry whose header lies at `at`, header included, as far as the header alone can tell; 0 if these bytes
 * cannot be the header of an entry of this spool.
 */
export function entrySizeAt(bytes: Buffer, at: number, mark: number): number {
  if (bytes.readUInt32BE(at + ENTRY.mark) !== mark) return 0;
  const length = bytes.readUInt32BE(at + ENTRY.length);
  return length > ENTRY_BYTES_MAX ? 0 : ENTRY_HEADER_BYTES + length;
}

/**
 * The entry that lies whole at `at`; undefined if its checksum is wrong.
 *
 * @param size as `entrySizeAt` told.
 * @param position of `at` in the segment.
 */
export function decodeEntry(bytes: Buffer, at: number, size: number, position: number): Entry | undefined {
  const end = at + size;
  if (bytes.readUInt32BE(at + ENTRY.crc) !== crc32c(bytes.subarray(at + ENTRY.sequence, end))) return undefined;
  return {
    sequence: readU64(bytes, at + ENTRY.sequence),
    type: bytes[at + ENTRY.type]!,
    firstOfGroup: (bytes[at + ENTRY.flags]! & FIRST_OF_GROUP) !== 0,
    position,
    bytes: size,
    payload: bytes.subarray(at + ENTRY_HEADER_BYTES, end),
  };
}

/** Ten digits, so that names sort like ids. */
export function segmentName(id: number): string {
  return `${String(id).padStart(10, "0")}.segment`;
}

/** The id that a file's name tells; undefined if it is not a segment's. */
export function segmentIdOf(name: string): number | undefined {
  const match = /^(\d{10})\.segment$/.exec(name);
  return match === null ? undefined : Number(match[1]);
}
