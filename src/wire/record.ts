// Writes one Kafka record from the row of an event index.
//
//   Record := length:varint attributes:int8(0) timestampDelta:varlong offsetDelta:varint
//             keyLength:varint key valueLength:varint value headerCount:varint { Header }
//   Header := keyLength:varint key valueLength:varint value
//   Every varint is zigzag; a length of -1 is null.
//
// The size is worked out first, because a record starts with its length and must fit into what is left of its batch.

import { COLUMN, HEADER_COLUMN, HEADER_ROW, ROW, type EventIndex } from "./publish-request.ts";
import { sizeOfVarint, sizeOfZigzag, writeVarint, writeZigzag } from "./varint.ts";

// Constants of this module become part of its code; see publish-request.ts.
const column = COLUMN;
const rowLength = ROW;

/** Below this, a loop copies faster than a call into the runtime. */
const SHORT_COPY_BYTES = 24;

/** Zigzag of -1, the length of a null. */
const NULL = 1;

/**
 * Bytes of the record without its leading length.
 *
 * @param timestampDelta against the batch's base timestamp, in milliseconds.
 * @param offsetDelta the record's index in its batch.
 */
export function sizeOfRecordBody(
  index: EventIndex,
  event: number,
  timestampDelta: number,
  offsetDelta: number,
): number {
  const rows = index.rows;
  const row = event * rowLength;
  const keyLength = rows[row + column.keyLength]!;
  const valueLength = rows[row + column.valueLength]!;
  return (
    1 +
    sizeOfZigzag(timestampDelta) +
    sizeOfVarint(offsetDelta << 1) +
    (keyLength < 0 ? 1 : sizeOfVarint(keyLength << 1) + keyLength) +
    (valueLength < 0 ? 1 : sizeOfVarint(valueLength << 1) + valueLength) +
    sizeOfVarint(rows[row + column.headerCount]! << 1) +
    rows[row + column.headerBytes]!
  );
}

/** Bytes of the record with its leading length, given the size of its body. */
export function sizeOfRecord(bodyBytes: number): number {
  return sizeOfVarint(bodyBytes << 1) + bodyBytes;
}

/** Writes the record of `event`, whose parts lie in `source`, and returns the position behind it. */
export function writeRecord(
  out: Buffer,
  position: number,
  source: Buffer,
  index: EventIndex,
  event: number,
  bodyBytes: number,
  timestampDelta: number,
  offsetDelta: number,
): number {
  const rows = index.rows;
  const row = event * rowLength;
  let at = writeVarint(out, position, bodyBytes << 1);
  out[at++] = 0;
  at = writeZigzag(out, at, timestampDelta);
  at = writeVarint(out, at, offsetDelta << 1);
  at = writeNullable(out, at, source, rows[row + column.keyStart]!, rows[row + column.keyLength]!);
  at = writeNullable(out, at, source, rows[row + column.valueStart]!, rows[row + column.valueLength]!);
  const headerCount = rows[row + column.headerCount]!;
  at = writeVarint(out, at, headerCount << 1);
  if (headerCount > 0) {
    const headers = index.headers;
    const start = rows[row + column.headersStart]!;
    const own = start < 0 ? headerCount - index.addedCount : headerCount;
    let header = (start < 0 ? ~start : start) * HEADER_ROW;
    for (let i = 0; i < own; i++, header += HEADER_ROW) {
      at = writeNullable(
        out,
        at,
        source,
        headers[header + HEADER_COLUMN.keyStart]!,
        headers[header + HEADER_COLUMN.keyLength]!,
      );
      at = writeNullable(
        out,
        at,
        source,
        headers[header + HEADER_COLUMN.valueStart]!,
        headers[header + HEADER_COLUMN.valueLength]!,
      );
    }
    if (start < 0) at += index.added.copy(out, at);
  }
  return at;
}

function writeNullable(out: Buffer, position: number, source: Buffer, start: number, length: number): number {
  if (length < 0) {
    out[position] = NULL;
    return position + 1;
  }
  const at = writeVarint(out, position, length << 1);
  if (length < SHORT_COPY_BYTES) {
    for (let i = 0; i < length; i++) out[at + i] = source[start + i]!;
  } else {
    source.copy(out, at, start, start + length);
  }
  return at + length;
}
