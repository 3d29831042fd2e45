// The checkpoint of a spool: which batches are done, so that segments can be deleted.
//
//   checkpoint := magic:"SLUICECP" version:u16(1) reserved:u16(0) spoolId:byte[16] through:u64 lowWater:u64 nextSegmentId:u64
//                 segments:u32 stamps:u32 segment* stamp* crc:u32
//   segment    := id:u64 firstSequence:u64 entries:u32 done:byte[(entries + 7) / 8]
//   stamp      := the payload of a STAMPED entry
//
// - It says of every batch up to `through` whether it is done: by its bit in its segment, and if its segment is not listed,
//   it is. Batches behind `through` are done if a marker says so. All batches below `lowWater` are done.
// - Marker entries lie in later segments than the batches they are about. The checkpoint repeats what they say (and the
//   STAMPED entries of batches that are not done), so a segment may go although it holds markers of batches that stay; a
//   batch that cannot be delivered holds on to its own segment, not to every later one.
// - Without the checkpoint, or with a damaged one, nothing is lost: batches whose markers were deleted are sent again.
//
// Rejected: the low-water mark alone. One topic that does not exist in Kafka would keep every later segment.

import { crc32c } from "../wire/crc32c.ts";
import { decodeStamped, encodeStamped, type Stamp, STAMPED_BYTES } from "./entries.ts";
import { errorCode, type FileSystem } from "./file-system.ts";
import { ENTRY_HEADER_BYTES, readU64, SPOOL_ID_BYTES, UnsupportedVersion, writeU64 } from "./segment.ts";
import { SegmentState } from "./segment-state.ts";

export interface Checkpoint {
  readonly spoolId: Buffer;
  /** Every entry up to this number was on disk when the checkpoint was written. */
  readonly through: number;
  readonly lowWater: number;
  readonly nextSegmentId: number;
  /** In order of their ids. Of each, what lies on disk is known as far as `entries`; `bytes` and `live` are 0. */
  readonly segments: readonly SegmentState[];
  readonly stamps: readonly Stamp[];
}

const MAGIC = Buffer.from("SLUICECP", "latin1");
const VERSION = 1;
const AT = {
  version: 8,
  spoolId: 12,
  through: 28,
  lowWater: 36,
  nextSegmentId: 44,
  segments: 52,
  stamps: 56,
  list: 60,
} as const;
const SEGMENT_BYTES = 20;
const CRC_BYTES = 4;

export const CHECKPOINT_NAME = "checkpoint";

export function encodeCheckpoint(checkpoint: Checkpoint): Buffer {
  const bits = checkpoint.segments.map((segment) => segment.doneBits);
  const size =
    AT.list +
    bits.reduce((sum, done) => sum + SEGMENT_BYTES + done.length, 0) +
    checkpoint.stamps.length * STAMPED_BYTES +
    CRC_BYTES;
  const out = Buffer.alloc(size);
  MAGIC.copy(out);
  out.writeUInt16BE(VERSION, AT.version);
  checkpoint.spoolId.copy(out, AT.spoolId, 0, SPOOL_ID_BYTES);
  writeU64(out, checkpoint.through, AT.through);
  writeU64(out, checkpoint.lowWater, AT.lowWater);
  writeU64(out, checkpoint.nextSegmentId, AT.nextSegmentId);
  out.writeUInt32BE(checkpoint.segments.length, AT.segments);
  out.writeUInt32BE(checkpoint.stamps.length, AT.stamps);
  let at: number = AT.list;
  checkpoint.segments.forEach((segment, i) => {
    writeU64(out, segment.id, at);
    writeU64(out, segment.firstSequence, at + 8);
    out.writeUInt32BE(segment.entries, at + 16);
    out.set(bits[i]!, at + SEGMENT_BYTES);
    at += SEGMENT_BYTES + bits[i]!.length;
  });
  for (const stamp of checkpoint.stamps) {
    encodeStamped(stamp).copy(out, at, ENTRY_HEADER_BYTES);
    at += STAMPED_BYTES;
  }
  out.writeUInt32BE(crc32c(out.subarray(0, at)), at);
  return out;
}

/**
 * @returns undefined if the checkpoint is damaged.
 * @throws UnsupportedVersion if it is whole, and of another version.
 */
export function decodeCheckpoint(dir: string, bytes: Buffer): Checkpoint | undefined {
  const end = bytes.length - CRC_BYTES;
  if (end < AT.list || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  if (bytes.readUInt32BE(end) !== crc32c(bytes.subarray(0, end))) return undefined;
  const version = bytes.readUInt16BE(AT.version);
  if (version !== VERSION) {
    throw new UnsupportedVersion(`checkpoint format ${version}, where this version of sluice reads ${VERSION}`);
  }
  let at: number = AT.list;
  const segments = Array.from({ length: bytes.readUInt32BE(AT.segments) }, () => {
    const segment = new SegmentState(dir, readU64(bytes, at), readU64(bytes, at + 8), 0);
    segment.entries = bytes.readUInt32BE(at + 16);
    const bits = at + SEGMENT_BYTES;
    at = bits + ((segment.entries + 7) >>> 3);
    segment.setDoneBits(bytes.subarray(bits, at));
    return segment;
  });
  const stamps = Array.from({ length: bytes.readUInt32BE(AT.stamps) }, (_, i) =>
    decodeStamped(bytes.subarray(at + i * STAMPED_BYTES, at + (i + 1) * STAMPED_BYTES)),
  );
  return {
    spoolId: Buffer.from(bytes.subarray(AT.spoolId, AT.spoolId + SPOOL_ID_BYTES)),
    through: readU64(bytes, AT.through),
    lowWater: readU64(bytes, AT.lowWater),
    nextSegmentId: readU64(bytes, AT.nextSegmentId),
    segments,
    stamps,
  };
}

/** Replaces the checkpoint of a directory, or rejects and leaves the old one in force. */
export async function writeCheckpoint(fs: FileSystem, dir: string, checkpoint: Checkpoint): Promise<void> {
  // Encoded at once: what changes while the disk is at work belongs to the next one.
  const bytes = encodeCheckpoint(checkpoint);
  const temporary = `${dir}/${CHECKPOINT_NAME}.tmp`;
  await removeIfThere(fs, temporary);
  const file = await fs.open(temporary, "create");
  try {
    await file.write([bytes], 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await fs.rename(temporary, `${dir}/${CHECKPOINT_NAME}`);
  await fs.syncDirectory(dir);
}

/** The checkpoint of a directory; "missing" or "damaged" if there is none to go by. */
export async function readCheckpoint(fs: FileSystem, dir: string): Promise<Checkpoint | "missing" | "damaged"> {
  let file;
  try {
    file = await fs.open(`${dir}/${CHECKPOINT_NAME}`, "read");
  } catch (thrown) {
    if (errorCode(thrown) === "ENOENT") return "missing";
    throw thrown;
  }
  try {
    const bytes = Buffer.allocUnsafeSlow(await file.size());
    const read = await file.read(bytes, 0);
    return decodeCheckpoint(dir, bytes.subarray(0, read)) ?? "damaged";
  } finally {
    await file.close();
  }
}

async function removeIfThere(fs: FileSystem, path: string): Promise<void> {
  try {
    await fs.remove(path);
  } catch (thrown) {
    if (errorCode(thrown) !== "ENOENT") throw thrown;
  }
}
