// Cuts a connection's chunks into frames, in place.
//
// Bodies are passed on as they come, without waiting for the end of their frame, and without their padding. Other frames are
// passed on whole: nearly always they lie in one chunk; those that do not are gathered, and they are short.
//
// Invariant: whatever the chunks' borders, the sink is called with the same frames, and with the same body bytes.

import { ConnectionError, ErrorCode } from "./error-code.ts";
import { FRAME_BYTES_MAX, Flag, FrameType, HEAD_BYTES, readUint31 } from "./frame.ts";
import { Gathered } from "./gathered.ts";

/** Takes frames; each method may throw a ConnectionError. Bytes are lent until it returns. */
export interface FrameSink {
  /** A frame begins. `length` is its payload's, padding included. */
  begin(type: number, flags: number, id: number, length: number): void;
  /** Bytes of the body of a DATA frame. */
  body(buffer: Buffer, start: number, end: number): void;
  /** The DATA frame is complete. @param overhead bytes of its payload that were no body: padding and its length. */
  bodyEnd(flags: number, overhead: number): void;
  /** A complete frame of another type. */
  frame(type: number, flags: number, id: number, buffer: Buffer, start: number, end: number): void;
}

const UNKNOWN = -1;

export class FrameReader {
  readonly #sink: FrameSink;
  readonly #head = Buffer.alloc(HEAD_BYTES);
  /** Bytes of the head that are there; HEAD_BYTES while in a payload. */
  #headBytes = 0;
  #type = 0;
  #flags = 0;
  #id = 0;
  /** Bytes of the payload that are still to come. */
  #left = 0;
  /** Of a DATA frame: bytes of padding at its end; UNKNOWN while their number is still to come. */
  #padding = 0;
  #overhead = 0;
  readonly #gathered = new Gathered();
  #stopped = false;
  /** Frames that were begun so far. */
  frames = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** A frame other than DATA has begun, and is to be gone on with. */
  get incomplete(): boolean {
    return this.#headBytes > 0 && !(this.#headBytes === HEAD_BYTES && this.#type === FrameType.DATA);
  }

  /** Nothing more is passed on, not even of the chunk that is being read. */
  stop(): void {
    this.#stopped = true;
    this.#gathered.clear();
  }

  /** Reads `buffer[at, length)`. @throws ConnectionError, after which it is not to be used. */
  read(buffer: Buffer, at: number, length: number): void {
    while (at < length && !this.#stopped) {
      if (this.#headBytes < HEAD_BYTES) {
        if (this.#headBytes === 0 && length - at >= HEAD_BYTES) {
          const end = this.#whole(buffer, at, length);
          if (end >= 0) {
            at = end;
            continue;
          }
          this.#begin(buffer, at);
          at += HEAD_BYTES;
        } else {
          while (this.#headBytes < HEAD_BYTES && at < length) this.#head[this.#headBytes++] = buffer[at++]!;
          if (this.#headBytes < HEAD_BYTES) return;
          this.#begin(this.#head, 0);
        }
        if (this.#left === 0) this.#end(buffer, at, at);
        continue;
      }
      const end = Math.min(length, at + this.#left);
      if (this.#type === FrameType.DATA) this.#data(buffer, at, end);
      else this.#payload(buffer, at, end);
      at = end;
    }
  }

  /**
   * Passes on the frame at `at`, if all of it is there, as nearly always, and nothing is special: nothing has to be remembered
   * of it.
   * @returns where it ends; -1: it was not passed on.
   */
  #whole(buffer: Buffer, at: number, length: number): number {
    const start = at + HEAD_BYTES;
    const end = start + ((buffer[at]! << 16) | (buffer[at + 1]! << 8) | buffer[at + 2]!);
    const type = buffer[at + 3]!;
    const flags = buffer[at + 4]!;
    if (end > length || end - start > FRAME_BYTES_MAX) return -1;
    if (type === FrameType.DATA && (flags & Flag.PADDED) !== 0) return -1;
    const sink = this.#sink;
    const id = readUint31(buffer, at + 5);
    this.frames++;
    sink.begin(type, flags, id, end - start);
    if (this.#stopped) return end;
    if (type !== FrameType.DATA) {
      sink.frame(type, flags, id, buffer, start, end);
      return end;
    }
    if (end > start) sink.body(buffer, start, end);
    if (!this.#stopped) sink.bodyEnd(flags, 0);
    return end;
  }

  #begin(head: Buffer, at: number): void {
    const length = (head[at]! << 16) | (head[at + 1]! << 8) | head[at + 2]!;
    const type = head[at + 3]!;
    const flags = head[at + 4]!;
    const id = readUint31(head, at + 5);
    this.frames++;
    this.#headBytes = HEAD_BYTES;
    this.#type = type;
    this.#flags = flags;
    this.#id = id;
    this.#left = length;
    this.#overhead = 0;
    this.#padding = type === FrameType.DATA && (flags & Flag.PADDED) !== 0 ? UNKNOWN : 0;
    if (length > FRAME_BYTES_MAX) {
      throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `a frame of ${length} bytes; at most ${FRAME_BYTES_MAX}`);
    }
    this.#sink.begin(type, flags, id, length);
    if (this.#padding === UNKNOWN && length === 0) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, NO_PADDING);
  }

  #data(buffer: Buffer, at: number, end: number): void {
    let start = at;
    if (this.#padding === UNKNOWN) {
      this.#padding = buffer[start++]!;
      this.#left--;
      this.#overhead = 1 + this.#padding;
      if (this.#padding > this.#left) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, TOO_MUCH_PADDING);
    }
    const bodyLeft = this.#left - this.#padding;
    const bodyEnd = Math.min(end, start + Math.max(0, bodyLeft));
    if (bodyEnd > start) this.#sink.body(buffer, start, bodyEnd);
    const rest = end - start;
    this.#left -= rest;
    // Once the body is through, what is left is padding.
    if (rest > bodyLeft) this.#padding = this.#left;
    if (this.#left === 0) this.#end(buffer, end, end);
  }

  #payload(buffer: Buffer, at: number, end: number): void {
    this.#left -= end - at;
    if (this.#left > 0) this.#gathered.add(buffer, at, end);
    else if (this.#gathered.length === 0) this.#end(buffer, at, end);
    else {
      this.#gathered.add(buffer, at, end);
      this.#end(this.#gathered.buffer, 0, this.#gathered.length);
      this.#gathered.clear();
    }
  }

  #end(buffer: Buffer, start: number, end: number): void {
    this.#headBytes = 0;
    if (this.#stopped) return;
    if (this.#type === FrameType.DATA) this.#sink.bodyEnd(this.#flags, this.#overhead);
    else this.#sink.frame(this.#type, this.#flags, this.#id, buffer, start, end);
  }
}

const NO_PADDING = "PADDED is set, and the frame has no padding length";
const TOO_MUCH_PADDING = "the padding is longer than the frame";
