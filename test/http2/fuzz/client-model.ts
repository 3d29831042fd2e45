// What a client has said, read by somebody who trusts nobody: which streams it has opened, what whole messages it sent on each,
// and what it allows the server to send.
//
// Where the bytes are no HTTP/2 the server ends the connection, so whatever is read behind that only allows more.

import {
  contentOf,
  Flag,
  type Frame,
  FrameSplitter,
  HEAD_BYTES,
  PREFACE,
  Setting,
  Type,
  WINDOW_BYTES,
} from "../support/frames.ts";

export interface SentMessage {
  readonly compressed: boolean;
  readonly bytes: Buffer;
}

export class StreamModel {
  readonly parts: Buffer[] = [];
  /** END_STREAM was sent. */
  ended = false;
  reset = false;
  /** Payload bytes of DATA, padding included. */
  counted = 0;
  /** By WINDOW_UPDATE. */
  granted = 0;

  /** The messages that were sent whole. */
  get messages(): readonly SentMessage[] {
    const body = Buffer.concat(this.parts);
    const messages: SentMessage[] = [];
    for (let at = 0; body.length - at >= 5;) {
      const end = at + 5 + body.readUInt32BE(at + 1);
      if (end > body.length) break;
      messages.push({ compressed: body[at] === 1, bytes: body.subarray(at + 5, end) });
      at = end;
    }
    return messages;
  }
}

export class ClientModel {
  readonly streams = new Map<number, StreamModel>();
  /** Of the connection, by WINDOW_UPDATE, and what every connection has. */
  granted = WINDOW_BYTES;
  /** The largest of the initial windows that were said so far, for answers may have been under way when it shrank. */
  initialWindow = WINDOW_BYTES;
  counted = 0;
  pings = 0;
  settings = 0;
  /** Something was said that a well-behaved client does not say, so an answer may be an error. */
  inHeaderBlock = false;
  readonly #splitter = new FrameSplitter();
  #preface = 0;
  #settled = false;

  /** Nothing is half said. */
  get atBoundary(): boolean {
    return this.#preface === PREFACE.length && this.#splitter.rest.length === 0 && !this.inHeaderBlock;
  }

  push(bytes: Buffer): void {
    const skipped = Math.min(bytes.length, PREFACE.length - this.#preface);
    this.#preface += skipped;
    for (const frame of this.#splitter.push(Buffer.from(bytes.subarray(skipped)))) this.#frame(frame);
  }

  #frame(frame: Frame): void {
    const { type, flags, payload } = frame;
    const id = frame.id & 0x7fffffff;
    switch (type) {
      case Type.HEADERS:
        this.inHeaderBlock = (flags & Flag.END_HEADERS) === 0;
        if (!this.streams.has(id)) this.streams.set(id, new StreamModel());
        if (flags & Flag.END_STREAM) this.#end(id);
        break;
      case Type.CONTINUATION:
        if (flags & Flag.END_HEADERS) this.inHeaderBlock = false;
        break;
      case Type.DATA:
        this.#data(id, frame);
        break;
      case Type.RST_STREAM:
        if (this.streams.has(id)) this.streams.get(id)!.reset = true;
        break;
      case Type.PING:
        if (!(flags & Flag.ACK)) this.pings++;
        break;
      case Type.SETTINGS:
        if (!(flags & Flag.ACK)) this.#settings(payload);
        break;
      case Type.WINDOW_UPDATE: {
        const increment = payload.length === 4 ? payload.readUInt32BE(0) & 0x7fffffff : 0;
        if (id === 0) this.granted += increment;
        else if (this.streams.has(id)) this.streams.get(id)!.granted += increment;
        break;
      }
    }
  }

  #data(id: number, frame: Frame): void {
    const { flags, payload } = frame;
    this.counted += payload.length;
    const stream = this.streams.get(id);
    if (stream === undefined || stream.ended || stream.reset) return;
    const isPadded = (flags & Flag.PADDED) !== 0;
    if (isPadded && (payload.length === 0 || payload[0]! >= payload.length)) return;
    stream.counted += payload.length;
    stream.parts.push(contentOf(frame));
    if (flags & Flag.END_STREAM) this.#end(id);
  }

  /** The bytes of a DATA frame that is not complete may be dealt with as they come. */
  takeUnfinished(): void {
    const { rest } = this.#splitter;
    if (rest.length <= HEAD_BYTES || rest[3] !== Type.DATA) return;
    const isPadded = (rest[4]! & Flag.PADDED) !== 0;
    const padding = isPadded ? rest[HEAD_BYTES]! : 0;
    const end = HEAD_BYTES + rest.readUIntBE(0, 3) - padding;
    const stream = this.streams.get(rest.readUInt32BE(5) & 0x7fffffff);
    if (stream === undefined || stream.ended || stream.reset) return;
    stream.parts.push(rest.subarray(HEAD_BYTES + (isPadded ? 1 : 0), end));
  }

  #end(id: number): void {
    const stream = this.streams.get(id)!;
    if (!stream.reset) stream.ended = true;
  }

  #settings(payload: Buffer): void {
    this.settings++;
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      if (payload.readUInt16BE(at) !== Setting.INITIAL_WINDOW_SIZE) continue;
      const value = payload.readUInt32BE(at + 2);
      // The first settings come before any stream.
      this.initialWindow = this.#settled || this.streams.size > 0 ? Math.max(this.initialWindow, value) : value;
    }
    this.#settled = true;
  }
}
