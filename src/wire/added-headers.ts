// Headers that the service adds to the records of a request: the same bytes for each, encoded once for the request.
//
// They go into the index before its records are written, so that sizes come out right with nothing more to ask per event where
// nothing is added. An event that has the first of them under its own name keeps what it has, and gets none.
//
//   Header := keyLength:varint key valueLength:varint value, the varints zigzag

import { COLUMN, type EventIndex, HEADER_COLUMN, HEADER_ROW, ROW } from "./publish-request.ts";
import { sizeOfVarint, writeVarint } from "./varint.ts";

/** The headers as Kafka encodes them, without their count. */
export function encodeHeaders(headers: readonly (readonly [name: string, value: string])[]): Buffer {
  let size = 0;
  for (const pair of headers) {
    for (const text of pair) {
      const bytes = Buffer.byteLength(text);
      size += sizeOfVarint(bytes << 1) + bytes;
    }
  }
  const out = Buffer.allocUnsafe(size);
  let at = 0;
  for (const pair of headers) {
    for (const text of pair) {
      at = writeVarint(out, at, Buffer.byteLength(text) << 1);
      at += out.write(text, at);
    }
  }
  return out;
}

/**
 * Adds headers to every event of the index that does not have the first of them already. Once for each parse.
 *
 * @param source the bytes that the index is of.
 * @param headers as `encodeHeaders` gives them, at least one.
 * @returns to how many events they were added.
 */
export function addHeaders(index: EventIndex, source: Buffer, headers: Buffer, headerCount: number): number {
  index.added = headers;
  index.addedCount = headerCount;
  // Names of less than 64 bytes have a length of one byte.
  const nameLength = headers[0]! >> 1;
  let added = 0;
  for (let event = 0, row = 0; event < index.count; event++, row += ROW) {
    if (hasHeader(index, source, row, headers, nameLength)) continue;
    added++;
    index.rows[row + COLUMN.headerCount]! += headerCount;
    index.rows[row + COLUMN.headerBytes]! += headers.length;
    // What record.ts knows it by.
    index.rows[row + COLUMN.headersStart] = ~index.rows[row + COLUMN.headersStart]!;
  }
  return added;
}

/** Does the event have a header with the name at headers[1, 1 + nameLength)? */
function hasHeader(index: EventIndex, source: Buffer, row: number, headers: Buffer, nameLength: number): boolean {
  const count = index.rows[row + COLUMN.headerCount]!;
  let header = index.rows[row + COLUMN.headersStart]! * HEADER_ROW;
  for (let i = 0; i < count; i++, header += HEADER_ROW) {
    if (index.headers[header + HEADER_COLUMN.keyLength] !== nameLength) continue;
    const start = index.headers[header + HEADER_COLUMN.keyStart]!;
    let at = 0;
    while (at < nameLength && source[start + at] === headers[1 + at]) at++;
    if (at === nameLength) return true;
  }
  return false;
}
