// Kafka's RecordBatch v2: its header, written when a batch is sealed and stamped when it is sent, and its decoder.
//
//   RecordBatch := baseOffset:int64 batchLength:int32 partitionLeaderEpoch:int32 magic:int8(2) crc:uint32
//                  attributes:int16 lastOffsetDelta:int32 baseTimestamp:int64 maxTimestamp:int64
//                  producerId:int64 producerEpoch:int16 baseSequence:int32 recordCount:int32 { Record }
//   batchLength counts what follows it; crc is CRC-32C of everything from attributes on.
//
// Sealing and stamping are apart because a sealed batch is also what the spool stores: who sends it, under which producer
// id and sequence, is decided later, and only those fields and the CRC change.
//
// The decoder serves tools (tail, repartitioning, dead letters), not the hot path: it allocates freely and checks everything.

import { crc32c } from "./crc32c.ts";
import { sizeOfVarint, sizeOfZigzag, writeVarint, writeZigzag } from "./varint.ts";

export const RECORD_BATCH_HEADER_BYTES = 61;

/** What batchLength does not count: baseOffset and itself. */
const LOG_OVERHEAD_BYTES = 12;
const MAGIC = 2;

const AT = {
  baseOffset: 0,
  batchLength: 8,
  partitionLeaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  recordCount: 57,
} as const;

/**
 * A header in the making, and of who sends it the same: what never changes stands there from the start, and all of it goes into
 * the batch in one copy. Rejected: field by field into the batch. That is done thousands of times a second, which is too rarely
 * for V8 to compile it well, and then costs several times as much.
 */
const draft = new DataView(new ArrayBuffer(RECORD_BATCH_HEADER_BYTES));
const draftBytes = new Uint8Array(draft.buffer);
draft.setInt32(AT.partitionLeaderEpoch, -1);
draft.setInt8(AT.magic, MAGIC);
draft.setBigInt64(AT.producerId, -1n);
draft.setInt16(AT.producerEpoch, -1);
draft.setInt32(AT.baseSequence, -1);

const sender = new DataView(new ArrayBuffer(AT.recordCount - AT.producerId));
const senderBytes = new Uint8Array(sender.buffer);

function setTime(at: number, time: number): void {
  draft.setInt32(at, Math.floor(time / 0x1_0000_0000));
  draft.setInt32(at + 4, time);
}

/**
 * Writes the header of a batch whose records lie behind it. The CRC is not set yet: `stampProducer` or `stampCrc` does.
 *
 * @param length of header and records, in bytes.
 * @param baseTimestamp and maxTimestamp in milliseconds since the epoch, not negative.
 */
export function writeBatchHeader(
  out: Buffer,
  length: number,
  count: number,
  baseTimestamp: number,
  maxTimestamp: number,
): void {
  draft.setInt32(AT.batchLength, length - LOG_OVERHEAD_BYTES);
  draft.setInt32(AT.lastOffsetDelta, count - 1);
  setTime(AT.baseTimestamp, baseTimestamp);
  setTime(AT.maxTimestamp, maxTimestamp);
  draft.setInt32(AT.recordCount, count);
  out.set(draftBytes);
}

/** Binds a sealed batch to a producer id, epoch and sequence. From the first send on these bytes must never change. */
export function stampProducer(batch: Buffer, producerId: bigint, producerEpoch: number, baseSequence: number): void {
  sender.setBigInt64(0, producerId);
  sender.setInt16(AT.producerEpoch - AT.producerId, producerEpoch);
  sender.setInt32(AT.baseSequence - AT.producerId, baseSequence);
  batch.set(senderBytes, AT.producerId);
  stampCrc(batch);
}

/** Sets the checksum. `batch` is exactly one record batch. */
export function stampCrc(batch: Buffer): void {
  batch.writeUInt32BE(crc32c(batch.subarray(AT.attributes)), AT.crc);
}

export interface BatchHeader {
  readonly baseOffset: number;
  /** Of header and records, in bytes. */
  readonly length: number;
  readonly count: number;
  /** Compression is the lowest three bits; 0x20 marks a control batch. */
  readonly attributes: number;
  readonly baseTimestamp: number;
  readonly maxTimestamp: number;
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly baseSequence: number;
}

/** @throws RangeError if these bytes cannot be the start of a record batch. */
export function readBatchHeader(bytes: Buffer): BatchHeader {
  if (bytes.length < RECORD_BATCH_HEADER_BYTES) throw new RangeError("record batch: shorter than its header");
  if (bytes[AT.magic] !== MAGIC) throw new RangeError(`record batch: magic is ${bytes[AT.magic]}, not ${MAGIC}`);
  return {
    baseOffset: Number(bytes.readBigInt64BE(AT.baseOffset)),
    length: bytes.readInt32BE(AT.batchLength) + LOG_OVERHEAD_BYTES,
    count: bytes.readInt32BE(AT.recordCount),
    attributes: bytes.readInt16BE(AT.attributes),
    baseTimestamp: Number(bytes.readBigInt64BE(AT.baseTimestamp)),
    maxTimestamp: Number(bytes.readBigInt64BE(AT.maxTimestamp)),
    producerId: bytes.readBigInt64BE(AT.producerId),
    producerEpoch: bytes.readInt16BE(AT.producerEpoch),
    baseSequence: bytes.readInt32BE(AT.baseSequence),
  };
}

/** Are the bytes exactly one whole batch, with a CRC that is right? */
export function hasValidCrc(batch: Buffer): boolean {
  return (
    batch.length >= RECORD_BATCH_HEADER_BYTES &&
    batch.readInt32BE(AT.batchLength) + LOG_OVERHEAD_BYTES === batch.length &&
    batch.readUInt32BE(AT.crc) === crc32c(batch.subarray(AT.attributes))
  );
}

export interface Record {
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  /** null is Kafka's null, not empty. */
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly { readonly key: string; readonly value: Buffer | null }[];
}

/**
 * Decodes the records of one uncompressed batch. Keys and values are views of `batch`.
 *
 * @throws RangeError where the bytes are not well-formed, with the offset.
 */
export function* decodeRecords(batch: Buffer): Generator<Record> {
  const header = readWholeHeader(batch);
  const reader = new ZigzagReader(batch, RECORD_BATCH_HEADER_BYTES, header.length);
  for (let i = 0; i < header.count; i++) {
    const end = reader.length("record");
    reader.skip(1);
    const timestamp = header.baseTimestamp + reader.zigzag();
    reader.zigzag();
    const key = reader.nullableBytes("key");
    const value = reader.nullableBytes("value");
    const headers = Array.from({ length: reader.count("headers") }, () => ({
      key: (reader.nullableBytes("header key") ?? Buffer.alloc(0)).toString("utf8"),
      value: reader.nullableBytes("header value"),
    }));
    reader.expect(end);
    yield { timestamp, key, value, headers };
  }
  reader.expect(header.length);
}

/** The header of a batch whose records can be read. */
function readWholeHeader(batch: Buffer): BatchHeader {
  const header = readBatchHeader(batch);
  if ((header.attributes & 7) !== 0) throw new RangeError("record batch: compressed batches are not decoded");
  if (header.length < RECORD_BATCH_HEADER_BYTES || header.length > batch.length) {
    throw new RangeError(`record batch: it says ${header.length} bytes, there are ${batch.length}`);
  }
  return header;
}

class ZigzagReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;

  constructor(bytes: Buffer, at: number, end: number) {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
  }

  get position(): number {
    return this.#at;
  }

  #fail(what: string): never {
    throw new RangeError(`record batch: ${what} at byte ${this.#at}`);
  }

  skip(count: number): void {
    if (count < 0 || this.#at + count > this.#end) this.#fail("cut short");
    this.#at += count;
  }

  expect(position: number): void {
    if (this.#at !== position) this.#fail(`a length is wrong by ${this.#at - position} bytes`);
  }

  zigzag(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      if (this.#at >= this.#end) this.#fail("cut short");
      const byte = this.#bytes[this.#at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
      scale *= 0x80;
    }
    return this.#fail("over-long varint");
  }

  /** Reads a length and returns the position where the thing ends. */
  length(what: string): number {
    const length = this.zigzag();
    if (length < 0 || this.#at + length > this.#end) this.#fail(`${what} runs past the end`);
    return this.#at + length;
  }

  count(what: string): number {
    const count = this.zigzag();
    if (count < 0 || count > this.#end - this.#at) this.#fail(`impossible count of ${what}`);
    return count;
  }

  nullableBytes(what: string): Buffer | null {
    const length = this.zigzag();
    if (length === -1) return null;
    if (length < 0 || this.#at + length > this.#end) this.#fail(`${what} runs past the end`);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

/**
 * A batch of its own with the records [first, end) of another, at least one: for splitting what is too large, and for
 * leaving out records that a broker refuses. It belongs to no producer and has no CRC until it is stamped.
 *
 * @throws RangeError where the bytes are not well-formed, or hold fewer records.
 */
export function sliceRecordBatch(batch: Buffer, first: number, end: number): Buffer {
  const header = readWholeHeader(batch);
  if (first < 0 || first >= end || end > header.count) {
    throw new RangeError(`record batch: records ${first} to ${end} of ${header.count} cannot be taken`);
  }
  // A record only becomes shorter, as its offset does; a batch from elsewhere may have left its offsets at zero.
  const out = Buffer.allocUnsafe(header.length + 5 * (end - first));
  const reader = new ZigzagReader(batch, RECORD_BATCH_HEADER_BYTES, header.length);
  let at = RECORD_BATCH_HEADER_BYTES;
  let maxTimestamp = 0;
  for (let record = 0; record < end; record++) {
    const recordEnd = reader.length("record");
    if (record >= first) {
      const attributes = batch[reader.position]!;
      reader.skip(1);
      const timestampDelta = reader.zigzag();
      reader.zigzag();
      const rest = batch.subarray(reader.position, recordEnd);
      const offsetZigzag = (record - first) << 1;
      const bodyBytes = 1 + sizeOfZigzag(timestampDelta) + sizeOfVarint(offsetZigzag) + rest.length;
      at = writeVarint(out, at, bodyBytes << 1);
      out[at++] = attributes;
      at = writeZigzag(out, at, timestampDelta);
      at = writeVarint(out, at, offsetZigzag);
      at += rest.copy(out, at);
      maxTimestamp = Math.max(maxTimestamp, header.baseTimestamp + timestampDelta);
    }
    reader.skip(recordEnd - reader.position);
  }
  writeBatchHeader(out, at, end - first, header.baseTimestamp, maxTimestamp);
  return out.subarray(0, at);
}
