// Encodes decoded records as a record batch: for the rare ways where events are taken out of one batch and put into others.
// The hot path never does; it writes records from a request's bytes (record.ts).

import { RECORD_BATCH_HEADER_BYTES, type Record, stampCrc, writeBatchHeader } from "./record-batch.ts";
import { sizeOfVarint, sizeOfZigzag, writeVarint, writeZigzag } from "./varint.ts";

/**
 * @param records at least one, with timestamps that are not negative.
 * @returns one uncompressed RecordBatch v2 with a valid CRC and no producer.
 */
export function encodeRecordBatch(records: readonly Record[]): Buffer {
  const base = records[0]!.timestamp;
  const bodies = records.map((record, offset) => encodeBody(record, record.timestamp - base, offset));
  const length = bodies.reduce(
    (sum, body) => sum + sizeOfVarint(body.length << 1) + body.length,
    RECORD_BATCH_HEADER_BYTES,
  );
  const out = Buffer.allocUnsafe(length);
  let at = RECORD_BATCH_HEADER_BYTES;
  let maxTimestamp = base;
  for (const [i, body] of bodies.entries()) {
    at = writeVarint(out, at, body.length << 1);
    at += body.copy(out, at);
    maxTimestamp = Math.max(maxTimestamp, records[i]!.timestamp);
  }
  writeBatchHeader(out, length, records.length, base, maxTimestamp);
  stampCrc(out);
  return out;
}

function encodeBody(record: Record, timestampDelta: number, offsetDelta: number): Buffer {
  const headers = record.headers.map(({ key, value }) => [Buffer.from(key), value] as const);
  const parts = [record.key, record.value, ...headers.flat()];
  const size = parts.reduce((sum, part) => sum + 5 + (part?.length ?? 0), 1 + 8 + 5 + 5);
  const out = Buffer.allocUnsafe(size + sizeOfZigzag(timestampDelta));
  let at = 0;
  const putBytes = (bytes: Buffer | null): void => {
    // Zigzag: a length is doubled, and null, which is -1, becomes 1.
    at = writeVarint(out, at, bytes === null ? 1 : bytes.length << 1);
    if (bytes !== null) at += bytes.copy(out, at);
  };
  out[at++] = 0; // attributes
  at = writeZigzag(out, at, timestampDelta);
  at = writeVarint(out, at, offsetDelta << 1);
  putBytes(record.key);
  putBytes(record.value);
  at = writeVarint(out, at, headers.length << 1);
  for (const [key, value] of headers) {
    putBytes(key);
    putBytes(value);
  }
  return out.subarray(0, at);
}
