// Takes the socket's chunks apart into HTTP/2 frames and says what they mean; a frame is read where it lies in the chunk.
//
// Header blocks that span frames are joined, and padding is taken off. What is kept between chunks is the part of a frame
// at most, for no frame may be longer than HTTP/2 allows unasked.

import { Flag, FrameType, HEAD_BYTES, PAYLOAD_BYTES_MAX } from "./frames.ts";

/** What the frames say; `bytes` from `start` to `end` is a view that is valid until the method returns. */
export interface FrameEvents {
  /** @param counted what the frame takes of the windows, its padding included. */
  onData(id: number, bytes: Buffer, start: number, end: number, counted: number, last: boolean): void;
  onHeaders(id: number, block: Buffer, last: boolean): void;
  onReset(id: number, code: number): void;
  onSettings(bytes: Buffer, start: number, end: number): void;
  onPing(bytes: Buffer, start: number, end: number): void;
  onGoaway(code: number, text: string): void;
  onWindowUpdate(id: number, increment: number): void;
}

export class FrameReader {
  readonly #events: FrameEvents;
  #rest: Buffer | undefined;
  #headers: { readonly id: number; readonly last: boolean; readonly parts: Buffer[] } | undefined;

  constructor(events: FrameEvents) {
    this.#events = events;
  }

  /** @throws Error for what is no HTTP/2, and whatever the events throw. */
  read(buffer: Buffer, length: number): void {
    let chunk = buffer.subarray(0, length);
    if (this.#rest !== undefined) chunk = Buffer.concat([this.#rest, chunk]);
    let offset = 0;
    while (chunk.length - offset >= HEAD_BYTES) {
      const payload = chunk.readUIntBE(offset, 3);
      if (payload > PAYLOAD_BYTES_MAX) throw new Error(`a frame of ${payload} bytes: the server does not speak HTTP/2`);
      const start = offset + HEAD_BYTES;
      if (chunk.length - start < payload) break;
      const id = chunk.readUInt32BE(offset + 5) & 0x7fffffff;
      this.#frame(chunk[offset + 3]!, chunk[offset + 4]!, id, chunk, start, start + payload);
      offset = start + payload;
    }
    this.#rest = offset < chunk.length ? Buffer.from(chunk.subarray(offset)) : undefined;
  }

  #frame(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    const events = this.#events;
    const last = (flags & Flag.END_STREAM) !== 0;
    switch (type) {
      case FrameType.DATA: {
        const padded = (flags & Flag.PADDED) !== 0;
        const from = padded ? start + 1 : start;
        const to = padded ? end - bytes[start]! : end;
        events.onData(id, bytes, from, to, end - start, last);
        return;
      }
      case FrameType.HEADERS: {
        const padded = (flags & Flag.PADDED) !== 0;
        const from = start + (padded ? 1 : 0) + (flags & Flag.PRIORITY ? 5 : 0);
        const part = bytes.subarray(from, padded ? end - bytes[start]! : end);
        if (flags & Flag.END_HEADERS) events.onHeaders(id, part, last);
        else this.#headers = { id, last, parts: [Buffer.from(part)] };
        return;
      }
      case FrameType.CONTINUATION: {
        const headers = this.#headers;
        if (headers === undefined) throw new Error("a CONTINUATION frame without HEADERS");
        headers.parts.push(Buffer.from(bytes.subarray(start, end)));
        if (!(flags & Flag.END_HEADERS)) return;
        this.#headers = undefined;
        events.onHeaders(headers.id, Buffer.concat(headers.parts), headers.last);
        return;
      }
      case FrameType.RST_STREAM:
        events.onReset(id, bytes.readUInt32BE(start));
        return;
      case FrameType.SETTINGS:
        if (!(flags & Flag.ACK)) events.onSettings(bytes, start, end);
        return;
      case FrameType.PING:
        if (!(flags & Flag.ACK)) events.onPing(bytes, start, end);
        return;
      case FrameType.GOAWAY:
        events.onGoaway(bytes.readUInt32BE(start + 4), bytes.toString("utf8", start + 8, end));
        return;
      case FrameType.WINDOW_UPDATE:
        events.onWindowUpdate(id, bytes.readUInt32BE(start) & 0x7fffffff);
        return;
      default: // PRIORITY and frames of extensions carry nothing for us
    }
  }
}
