// Reads the protobuf bytes of a PublishRequest without decoding them: where each event's parts lie, not what they hold.
//
//   PublishRequest := sequence=1:varint topic=2:bytes durability=3:varint { events=4:Event }
//   Event          := key=1:bytes value=2:bytes { headers=3:Header } timestamp=4:Timestamp topic=5:bytes partition=6:varint
//   Header         := key=1:bytes value=2:bytes          Timestamp := seconds=1:varint nanos=2:varint
//
// Rejected: writing each record into its accumulator while parsing. A batch whose 50th event is malformed has to be refused
// whole, and the 49 before it would have to be taken back out of accumulators, some of them sealed meanwhile. Instead the
// positions go into typed arrays that are used again for every request, the whole message is checked, and only then are the
// records written (record.ts). The bytes are still read once; a row costs a dozen integer stores.
//
// Invariants: no object is made per event; every part that the index names lies inside [start, end), whole; unknown fields
// are skipped, as protobuf asks; the last of a repeated singular field wins, and a repeated timestamp merges. What no encoder
// writes is an error that names the field and the byte, also where protobuf would let it pass: a known field with another
// wire type, a group, a known field's tag in more bytes than it needs, a varint of more than 64 bits, more than eventsMax
// events.

import { isUtf8 } from "node:buffer";
import { Code, IngestError } from "../errors.ts";

// An exported name is loaded and checked at each use, in its own module, too; a constant of the module becomes part of the
// code. So the columns have a name in this module, and one in each that reads them for every event.

const column = {
  keyStart: 0,
  keyLength: 1,
  valueStart: 2,
  valueLength: 3,
  topicStart: 4,
  topicLength: 5,
  partition: 6,
  /** The row of the first header; ~row where the index's added headers come after the event's own. */
  headersStart: 7,
  headerCount: 8,
  /** Bytes of the headers as Kafka encodes them, without their count. */
  headerBytes: 9,
} as const;
const rowLength = 10;

/** Columns of `EventIndex.rows`. Lengths are in bytes; -1 is an absent key, value or topic. */
export const COLUMN = column;
export const ROW = rowLength;

/** Columns of `EventIndex.headers`. */
export const HEADER_COLUMN = { keyStart: 0, keyLength: 1, valueStart: 2, valueLength: 3 } as const;
export const HEADER_ROW = 4;

/** The value of the partition column when the event names none. */
export const NO_PARTITION = -0x8000_0000;
/** Values of the timestamp column that are not times. */
export const NO_TIMESTAMP = -1;
export const INVALID_TIMESTAMP = -2;

/** 9999-12-31T23:59:59Z, protobuf's last second. */
const LAST_SECOND = 253_402_300_799;

const WIRE_NAMES = ["varint", "64-bit", "length-delimited", "group", "end of group", "32-bit", "6", "7"] as const;

const NOTHING = Buffer.alloc(0);

/** What a PublishRequest says. One index is used for all requests of a worker; it holds the last one parsed. */
export class EventIndex {
  /** The largest number of events a request may have. */
  readonly eventsMax: number;
  /** A bigint only beyond 2^53. Set even when the rest of the message turns out to be broken. */
  sequence: number | bigint = 0;
  topicStart = 0;
  topicLength = 0;
  durability = 0;
  count = 0;
  /** Does any event name a topic of its own? */
  hasEventTopics = false;
  rows = new Int32Array(256 * rowLength);
  /** Milliseconds since the epoch, or NO_TIMESTAMP or INVALID_TIMESTAMP, until whoever writes the record sets what it gets. */
  timestamps = new Float64Array(256);
  headers = new Int32Array(64 * HEADER_ROW);
  headerCount = 0;
  /** What added-headers.ts has added to events, and how many headers that is. */
  added: Buffer = NOTHING;
  addedCount = 0;

  constructor(eventsMax: number) {
    this.eventsMax = eventsMax;
  }

  /**
   * Reads bytes[start, end) into this index.
   *
   * @throws IngestError INVALID_ARGUMENT that names the field and the byte offset from `start`.
   */
  parse(bytes: Buffer, start = 0, end: number = bytes.length): void {
    this.sequence = 0;
    this.topicStart = start;
    this.topicLength = 0;
    this.durability = 0;
    this.count = 0;
    this.headerCount = 0;
    this.hasEventTopics = false;
    origin = start;
    parseRequest(this, bytes, start, end);
  }

  growEvents(): void {
    const rows = new Int32Array(this.rows.length * 2);
    rows.set(this.rows);
    this.rows = rows;
    const timestamps = new Float64Array(this.timestamps.length * 2);
    timestamps.set(this.timestamps);
    this.timestamps = timestamps;
  }

  growHeaders(): void {
    const headers = new Int32Array(this.headers.length * 2);
    headers.set(this.headers);
    this.headers = headers;
  }
}

// A function of the hot path cannot return two numbers without an object, so the position behind what was read stands here.
let cursor = 0;
let low32 = 0;
let origin = 0;

function parseRequest(index: EventIndex, bytes: Buffer, start: number, end: number): void {
  let at = start;
  while (at < end) {
    const tag = bytes[at]!;
    if (tag === 0x22) {
      const length = readLength(bytes, at + 1, end, "events", index.count);
      at = cursor + length;
      if (index.count === index.eventsMax) {
        throw invalid(
          "events",
          `holds more than ${index.eventsMax} events (PUBLISH_EVENTS_MAX); send smaller batches`,
          cursor,
        );
      }
      parseEvent(index, bytes, cursor, at);
    } else if (tag === 0x12) {
      index.topicLength = readLength(bytes, at + 1, end, "topic");
      index.topicStart = cursor;
      at = cursor + index.topicLength;
      checkUtf8(bytes, index.topicStart, at, "topic");
    } else if (tag === 0x08) {
      index.sequence = readUint64(bytes, at + 1, end, "sequence");
      at = cursor;
    } else if (tag === 0x18) {
      index.durability = readInt32(bytes, at + 1, end, "durability");
      at = cursor;
    } else {
      at = skipUnknown(bytes, at, end, REQUEST_FIELDS, "");
    }
  }
}

function parseEvent(index: EventIndex, bytes: Buffer, start: number, end: number): void {
  const event = index.count++;
  const row = event * rowLength;
  if (row === index.rows.length) index.growEvents();
  const rows = index.rows;
  const headersStart = index.headerCount;
  let headerBytes = 0;
  let keyStart = 0;
  let keyLength = -1;
  let valueStart = 0;
  let valueLength = -1;
  let topicStart = 0;
  let topicLength = -1;
  let partition = NO_PARTITION;
  let hasTimestamp = false;
  timestampSeconds = 0;
  timestampNanos = 0;
  let at = start;
  while (at < end) {
    const tag = bytes[at]!;
    if (tag === 0x0a) {
      keyLength = readLength(bytes, at + 1, end, "key", event);
      keyStart = cursor;
      at = cursor + keyLength;
    } else if (tag === 0x12) {
      valueLength = readLength(bytes, at + 1, end, "value", event);
      valueStart = cursor;
      at = cursor + valueLength;
    } else if (tag === 0x1a) {
      const header = index.headerCount - headersStart;
      const length = readLength(bytes, at + 1, end, "headers", event, header);
      at = cursor + length;
      headerBytes += parseHeader(index, bytes, cursor, at, event, header);
    } else if (tag === 0x22) {
      const length = readLength(bytes, at + 1, end, "timestamp", event);
      at = cursor + length;
      parseTimestamp(bytes, cursor, at, event);
      hasTimestamp = true;
    } else if (tag === 0x2a) {
      topicLength = readLength(bytes, at + 1, end, "topic", event);
      topicStart = cursor;
      at = cursor + topicLength;
      checkUtf8(bytes, topicStart, at, "topic", event);
      index.hasEventTopics = true;
    } else if (tag === 0x30) {
      partition = readInt32(bytes, at + 1, end, "partition", event);
      // As illegal as every other negative number, but it means "none" here.
      if (partition === NO_PARTITION) partition = -1;
      at = cursor;
    } else {
      at = skipUnknown(bytes, at, end, EVENT_FIELDS, `events[${event}].`);
    }
  }
  rows[row + column.keyStart] = keyStart;
  rows[row + column.keyLength] = keyLength;
  rows[row + column.valueStart] = valueStart;
  rows[row + column.valueLength] = valueLength;
  rows[row + column.topicStart] = topicStart;
  rows[row + column.topicLength] = topicLength;
  rows[row + column.partition] = partition;
  rows[row + column.headersStart] = headersStart;
  rows[row + column.headerCount] = index.headerCount - headersStart;
  rows[row + column.headerBytes] = headerBytes;
  index.timestamps[event] = hasTimestamp ? timestampMs(timestampSeconds, timestampNanos) : NO_TIMESTAMP;
}

/** Returns the bytes of the header as Kafka encodes it: two zigzag lengths, name and value. */
function parseHeader(
  index: EventIndex,
  bytes: Buffer,
  start: number,
  end: number,
  event: number,
  header: number,
): number {
  let keyStart = start;
  let keyLength = 0;
  let valueStart = start;
  let valueLength = 0;
  let at = start;
  while (at < end) {
    const tag = bytes[at]!;
    if (tag === 0x0a) {
      keyLength = readLength(bytes, at + 1, end, "key", event, header);
      keyStart = cursor;
      at = cursor + keyLength;
      checkUtf8(bytes, keyStart, at, "key", event, header);
    } else if (tag === 0x12) {
      valueLength = readLength(bytes, at + 1, end, "value", event, header);
      valueStart = cursor;
      at = cursor + valueLength;
    } else {
      at = skipUnknown(bytes, at, end, HEADER_FIELDS, `events[${event}].headers[${header}].`);
    }
  }
  const row = index.headerCount++ * HEADER_ROW;
  if (row === index.headers.length) index.growHeaders();
  index.headers[row + HEADER_COLUMN.keyStart] = keyStart;
  index.headers[row + HEADER_COLUMN.keyLength] = keyLength;
  index.headers[row + HEADER_COLUMN.valueStart] = valueStart;
  index.headers[row + HEADER_COLUMN.valueLength] = valueLength;
  return sizeOfLength(keyLength) + keyLength + sizeOfLength(valueLength) + valueLength;
}

/** Bytes of the zigzag varint of a length that is not negative. */
function sizeOfLength(length: number): number {
  return length < 0x40 ? 1 : length < 0x2000 ? 2 : length < 0x10_0000 ? 3 : length < 0x800_0000 ? 4 : 5;
}

let timestampSeconds = 0;
let timestampNanos = 0;

function parseTimestamp(bytes: Buffer, start: number, end: number, event: number): void {
  let at = start;
  while (at < end) {
    const tag = bytes[at]!;
    if (tag === 0x08) {
      const value = readVarint(bytes, at + 1, end, "timestamp.seconds", event);
      // Negative ones are all out of range alike, and as doubles those next to zero would be rounded to it.
      timestampSeconds = value < 0x8000_0000_0000_0000 ? value : -1;
      at = cursor;
    } else if (tag === 0x10) {
      timestampNanos = readInt32(bytes, at + 1, end, "timestamp.nanos", event);
      at = cursor;
    } else {
      at = skipUnknown(bytes, at, end, TIMESTAMP_FIELDS, `events[${event}].timestamp.`);
    }
  }
}

function timestampMs(seconds: number, nanos: number): number {
  if (seconds < 0 || seconds > LAST_SECOND || nanos < 0 || nanos > 999_999_999) return INVALID_TIMESTAMP;
  return seconds * 1000 + ((nanos / 1_000_000) | 0);
}

// --- Fields -------------------------------------------------------------------------------------------------------------

/** Known fields by number: name and wire type. */
type Fields = readonly (readonly [name: string, wire: number] | undefined)[];
const REQUEST_FIELDS: Fields = [undefined, ["sequence", 0], ["topic", 2], ["durability", 0], ["events", 2]];
const EVENT_FIELDS: Fields = [
  undefined,
  ["key", 2],
  ["value", 2],
  ["headers", 2],
  ["timestamp", 2],
  ["topic", 2],
  ["partition", 0],
];
const HEADER_FIELDS: Fields = [undefined, ["key", 2], ["value", 2]];
const TIMESTAMP_FIELDS: Fields = [undefined, ["seconds", 0], ["nanos", 0]];

/** The path of a field; built only for errors. */
function path(field: string, event = -1, header = -1): string {
  if (event < 0) return field;
  if (field === "events") return `events[${event}]`;
  if (header < 0) return `events[${event}].${field}`;
  if (field === "headers") return `events[${event}].headers[${header}]`;
  return `events[${event}].headers[${header}].${field}`;
}

function invalid(field: string, problem: string, at: number): IngestError {
  return new IngestError(Code.INVALID_ARGUMENT, `${field} ${problem} (byte ${at - origin})`, { field });
}

/** Reads the length of a field, checks that the field ends inside its parent, and leaves `cursor` at the field's start. */
function readLength(bytes: Buffer, at: number, end: number, field: string, event = -1, header = -1): number {
  const first = at < end ? bytes[at]! : 0xff;
  let length: number;
  if (first < 0x80) {
    length = first;
    cursor = at + 1;
  } else if (at + 1 < end && bytes[at + 1]! < 0x80) {
    // Events and values of 128 bytes to 16 KiB: nearly all of them.
    length = (first & 0x7f) | (bytes[at + 1]! << 7);
    cursor = at + 2;
  } else {
    length = readVarint(bytes, at, end, field, event, header);
  }
  if (length > end - cursor) {
    throw invalid(path(field, event, header), `is cut short: it says ${length} bytes, ${end - cursor} are left`, at);
  }
  return length;
}

/** Reads an unsigned varint of up to 64 bits as a double, exact up to 2^53, and leaves its low 32 bits in `low32`. */
function readVarint(bytes: Buffer, at: number, end: number, field: string, event = -1, header = -1): number {
  // Seconds and nanoseconds take five bytes, two readings an event. With integers and without a loop that is half the time.
  if (bytes.length - at < 5) return readAnyVarint(bytes, at, end, field, event, header);
  let byte = bytes[at]!;
  let low = byte & 0x7f;
  let length = 1;
  if (byte > 0x7f) {
    byte = bytes[at + 1]!;
    low |= (byte & 0x7f) << 7;
    length = 2;
    if (byte > 0x7f) {
      byte = bytes[at + 2]!;
      low |= (byte & 0x7f) << 14;
      length = 3;
      if (byte > 0x7f) {
        byte = bytes[at + 3]!;
        low |= (byte & 0x7f) << 21;
        length = 4;
        if (byte > 0x7f) {
          byte = bytes[at + 4]!;
          low |= byte << 28;
          length = 5;
          if (byte > 0x07) return readAnyVarint(bytes, at, end, field, event, header);
        }
      }
    }
  }
  if (at + length > end) return readAnyVarint(bytes, at, end, field, event, header);
  cursor = at + length;
  low32 = low;
  return low;
}

/** As `readVarint`, of up to ten bytes. */
function readAnyVarint(bytes: Buffer, at: number, end: number, field: string, event: number, header: number): number {
  let low = 0;
  let value = 0;
  let scale = 1;
  for (let i = 0; i < 10; i++) {
    if (at >= end) throw invalid(path(field, event, header), "is cut short inside a varint", at);
    const byte = bytes[at++]!;
    if (i < 5) low |= (byte & 0x7f) << (7 * i);
    value += (byte & 0x7f) * scale;
    scale *= 0x80;
    if (byte < 0x80) {
      if (i === 9 && byte > 1) break;
      cursor = at;
      low32 = low;
      return value;
    }
  }
  throw invalid(path(field, event, header), "is an over-long varint (more than 64 bits)", at - 1);
}

/** Reads an int32 or enum, which protobuf sends as a 64-bit two's complement when it is negative. */
function readInt32(bytes: Buffer, at: number, end: number, field: string, event = -1): number {
  readVarint(bytes, at, end, field, event);
  return low32;
}

function readUint64(bytes: Buffer, start: number, end: number, field: string): number | bigint {
  const value = readVarint(bytes, start, end, field);
  if (value <= Number.MAX_SAFE_INTEGER) return value;
  let exact = 0n;
  for (let at = cursor - 1; at >= start; at--) exact = (exact << 7n) | BigInt(bytes[at]! & 0x7f);
  return exact;
}

function checkUtf8(bytes: Buffer, start: number, end: number, field: string, event = -1, header = -1): void {
  for (let at = start; at < end; at++) {
    if (bytes[at]! > 0x7f) {
      if (isUtf8(bytes.subarray(start, end))) return;
      throw invalid(path(field, event, header), "is not valid UTF-8", start);
    }
  }
}

/**
 * Skips a field that is not known here, and throws for one that is known but has another wire type.
 *
 * @returns the position behind it.
 */
function skipUnknown(bytes: Buffer, at: number, end: number, known: Fields, parent: string): number {
  const tagAt = at;
  const where = parent === "" ? "PublishRequest" : parent.slice(0, -1);
  const tag = readVarint(bytes, at, end, where);
  if (tag > 0xffff_ffff || cursor - tagAt > 5) throw invalid(where, "holds a tag of more than 32 bits", tagAt);
  const number = Math.floor(tag / 8);
  const wire = tag % 8;
  if (number === 0) throw invalid(where, "holds a field with number 0", tagAt);
  const expected = known[number];
  if (expected !== undefined) {
    // The parsers compare one byte, so a known tag of the right type gets here only in a longer encoding than it needs.
    const problem = expected[1] === wire ? "has an over-long tag" : `has the wrong wire type (${WIRE_NAMES[wire]})`;
    throw invalid(parent + expected[0], problem, tagAt);
  }
  const field = `${where}.${number}`;
  switch (wire) {
    case 0:
      readVarint(bytes, cursor, end, field);
      return cursor;
    case 1:
    case 5: {
      const length = wire === 1 ? 8 : 4;
      if (length > end - cursor) throw invalid(field, "is cut short", cursor);
      return cursor + length;
    }
    case 2: {
      const length = readLength(bytes, cursor, end, field);
      return cursor + length;
    }
    default:
      throw invalid(field, `has a wire type that is not supported (${WIRE_NAMES[wire]})`, tagAt);
  }
}
