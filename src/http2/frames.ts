// A client's frames, each handed to the part that it is for, and the rules about their order (RFC 9113 sections 3.4 and 6.10):
// SETTINGS comes first, and nothing comes inside of a header block.

import type { Bodies } from "./bodies.ts";
import type { ControlFrames } from "./control-frames.ts";
import { ConnectionError, ErrorCode } from "./error-code.ts";
import { Flag, FrameType } from "./frame.ts";
import { FrameReader, type FrameSink } from "./frame-reader.ts";
import type { HeaderFrames } from "./header-frames.ts";

export class Frames implements FrameSink {
  readonly #headers: HeaderFrames;
  readonly #bodies: Bodies;
  readonly #control: ControlFrames;
  readonly #reader: FrameReader;
  /** The number of frames that had begun when one was first seen incomplete; */
  #watchedFrames = -1;
  /** and when that was. */
  #watchedSinceMs = 0;

  constructor(headers: HeaderFrames, bodies: Bodies, control: ControlFrames) {
    this.#headers = headers;
    this.#bodies = bodies;
    this.#control = control;
    this.#reader = new FrameReader(this);
  }

  /** Reads `buffer[at, length)`. @throws ConnectionError, and whatever a handler throws. */
  read(buffer: Buffer, at: number, length: number): void {
    this.#reader.read(buffer, at, length);
  }

  /** Reads nothing any more, not even what is left of the chunk that is being read. */
  stop(): void {
    this.#reader.stop();
    this.#headers.clear();
  }

  /** Since when a frame other than DATA is incomplete, or a header block; undefined: none is. To be asked every now and then. */
  incompleteSince(nowMs: number): number | undefined {
    if (this.#headers.incompleteId !== 0) return this.#headers.startedAtMs;
    if (!this.#reader.incomplete) return undefined;
    if (this.#watchedFrames !== this.#reader.frames) {
      this.#watchedFrames = this.#reader.frames;
      this.#watchedSinceMs = nowMs;
    }
    return this.#watchedSinceMs;
  }

  begin(type: number, flags: number, id: number, length: number): void {
    const { incompleteId } = this.#headers;
    if (incompleteId !== 0 && (type !== FrameType.CONTINUATION || id !== incompleteId)) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "a frame inside of a header block");
    }
    if (!this.#control.hasSettings && (type !== FrameType.SETTINGS || (flags & Flag.ACK) !== 0)) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS");
    }
    if (type === FrameType.DATA) this.#bodies.begin(flags, id, length);
  }

  body(buffer: Buffer, start: number, end: number): void {
    this.#bodies.piece(buffer, start, end);
  }

  bodyEnd(flags: number, overhead: number): void {
    this.#bodies.end(flags, overhead);
  }

  frame(type: number, flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    if (type === FrameType.HEADERS) this.#headers.begin(flags, id, buffer, start, end);
    else if (type === FrameType.CONTINUATION) this.#headers.goOn(flags, id, buffer, start, end);
    else this.#control.frame(type, flags, id, buffer, start, end);
  }
}
