// Reads what the load client has to know of an answer: its sequence, how many events are stored, how many failed.
//
// A generated decoder would build an object per placement; at a hundred thousand answers a second that would be the client's
// main work, on cores that it shares with the server it measures.

/** One answer; the reader fills the same object again and again. */
export interface Answer {
  sequence: number;
  stored: number;
  failed: number;
  /** The status of a batch that was refused as a whole, else empty. */
  refusal: string;
  /** True for Drain: the server is going away and this answers no batch. */
  drain: boolean;
}

export function emptyAnswer(): Answer {
  return { sequence: 0, stored: 0, failed: 0, refusal: "", drain: false };
}

const Wire = { VARINT: 0, FIXED64: 1, BYTES: 2, FIXED32: 5 } as const;

let position = 0;

/** Reads a PublishResponse that lies in `bytes` from `start` to `end`. */
export function readPublishResponse(bytes: Buffer, start: number, end: number, answer: Answer): void {
  answer.sequence = 0;
  answer.stored = 0;
  answer.failed = 0;
  answer.refusal = "";
  answer.drain = false;
  position = start;
  while (position < end) {
    const tag = varint(bytes);
    if (tag === ((1 << 3) | Wire.VARINT)) answer.sequence = varint(bytes);
    else if (tag === ((2 << 3) | Wire.VARINT)) answer.stored = varint(bytes);
    else {
      if (tag === ((3 << 3) | Wire.BYTES)) answer.failed++;
      skip(bytes, tag & 7);
    }
  }
  if (position !== end) throw new Error("an answer ends inside a field");
}

/** Reads a PublishStreamResponse that lies in `bytes` from `start` to `end`. */
export function readStreamResponse(bytes: Buffer, start: number, end: number, answer: Answer): void {
  position = start;
  const tag = varint(bytes);
  const length = varint(bytes);
  const inner = position;
  if (inner + length !== end) throw new Error("a stream's answer holds more than its one event");
  if (tag === ((1 << 3) | Wire.BYTES)) return readPublishResponse(bytes, inner, end, answer);
  answer.sequence = 0;
  answer.stored = 0;
  answer.failed = 0;
  answer.refusal = "";
  answer.drain = tag === ((2 << 3) | Wire.BYTES);
  if (answer.drain) return;
  if (tag !== ((3 << 3) | Wire.BYTES)) throw new Error(`a stream's answer has the unknown tag ${tag}`);
  readRefused(bytes, inner, end, answer);
}

/** Refused { uint64 sequence = 1; google.rpc.Status { int32 code = 1; string message = 2; } status = 2; } */
function readRefused(bytes: Buffer, start: number, end: number, answer: Answer): void {
  let code = 0;
  let message = "";
  position = start;
  while (position < end) {
    const tag = varint(bytes);
    if (tag === ((1 << 3) | Wire.VARINT)) answer.sequence = varint(bytes);
    else if (tag !== ((2 << 3) | Wire.BYTES)) skip(bytes, tag & 7);
    else {
      const length = varint(bytes);
      const statusEnd = position + length;
      while (position < statusEnd) {
        const field = varint(bytes);
        if (field === ((1 << 3) | Wire.VARINT)) code = varint(bytes);
        else if (field === ((2 << 3) | Wire.BYTES)) {
          const messageLength = varint(bytes);
          message = bytes.toString("utf8", position, position + messageLength);
          position += messageLength;
        } else skip(bytes, field & 7);
      }
    }
  }
  answer.refusal = `refused with status ${code}: ${message}`;
}

function varint(bytes: Buffer): number {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[position++]!;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
  }
}

function skip(bytes: Buffer, wireType: number): void {
  if (wireType === Wire.VARINT) varint(bytes);
  else if (wireType === Wire.FIXED64) position += 8;
  else if (wireType === Wire.FIXED32) position += 4;
  else if (wireType === Wire.BYTES) {
    const length = varint(bytes);
    position += length;
  } else throw new Error(`an answer has the wire type ${wireType}`);
}
