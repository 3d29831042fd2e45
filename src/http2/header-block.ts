// A header block, from HEADERS over any number of CONTINUATION frames to END_HEADERS.
//
// Nothing else may be sent on the connection in between (RFC 9113 section 6.10), and nothing ends it but the client: so its
// frames, its bytes and its time are limited. A block in one frame, as nearly all are, is decoded where it lies.

import { ConnectionError, ErrorCode } from "./error-code.ts";
import { Gathered } from "./gathered.ts";

/** Frames of one block. A client with frames of the least maximum size needs no more than two or three. */
const FRAMES_MAX = 32;

export class HeaderBlock {
  readonly #bytesMax: number;
  readonly #gathered = new Gathered();
  #frames = 0;
  /** The stream whose block is open; 0: none. */
  streamId = 0;
  endStream = false;
  startedAtMs = 0;

  /** @param bytesMax of a block, compressed. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get buffer(): Buffer {
    return this.#gathered.buffer;
  }

  get length(): number {
    return this.#gathered.length;
  }

  begin(streamId: number, endStream: boolean, nowMs: number): void {
    this.streamId = streamId;
    this.endStream = endStream;
    this.startedAtMs = nowMs;
    this.#frames = 0;
  }

  /** @throws ConnectionError if it is more than any request needs. */
  add(buffer: Buffer, start: number, end: number): void {
    this.#frames++;
    if (this.#frames > FRAMES_MAX) {
      const message = `a header block of more than ${FRAMES_MAX} frames`;
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, message, "continuation_flood");
    }
    if (this.#gathered.length + end - start > this.#bytesMax) {
      const message = `a header block of more than ${this.#bytesMax} bytes`;
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, message, "header_list_too_large");
    }
    this.#gathered.add(buffer, start, end);
  }

  clear(): void {
    this.streamId = 0;
    this.#gathered.clear();
  }
}
