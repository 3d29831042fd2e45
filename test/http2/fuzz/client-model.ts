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
  PAYLOAD_BYTES_MAX,
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

  /** The messages that were sent whole, and whether there is nothing else. */
  get content(): { readonly messages: readonly SentMessage[]; readonly isWhole: boolean } {
    const body = Buffer.concat(this.parts);
    const messages: SentMessage[] = [];
    let at = 0;
    while (body.length - at >= 5) {
      const end = at + 5 + body.readUInt32BE(at + 1);
      if (end > body.length) break;
      messages.push({ compressed: body[at] === 1, bytes: body.subarray(at + 5, end) });
      at = end;
    }
    return { messages, isWhole: at === body.length };
  }
}

export class ClientModel {
  readonly streams = new Map<number, StreamModel>();
  /** Of the connection, by WINDOW_UPDATE, and what every connection has. */
  granted = WINDOW_BYTES;
  /** The largest of the initial windows that were said so far, for answers may have been under way when it shrank. */
  initialWindowMax = WINDOW_BYTES;
  /** The one that holds now. */
  initialWindow = WINDOW_BYTES;
  counted = 0;
  pings = 0;
  settings = 0;
  /** The stream whose header block is open; 0: none. */
  blockId = 0;
  /** A rule was broken that has to end the connection. */
  broken: string | undefined;
  readonly #splitter = new FrameSplitter();
  #preface = 0;
  #settled = false;

  /** Nothing is half said. */
  get atBoundary(): boolean {
    return this.#preface === PREFACE.length && this.#splitter.rest.length === 0 && this.blockId === 0;
  }

  push(bytes: Buffer): void {
    const skipped = Math.min(bytes.length, PREFACE.length - this.#preface);
    if (!bytes.subarray(0, skipped).equals(PREFACE.subarray(this.#preface, this.#preface + skipped))) {
      this.broken ??= "no preface";
    }
    this.#preface += skipped;
    for (const frame of this.#splitter.push(Buffer.from(bytes.subarray(skipped)))) this.#frame(frame);
  }

  #frame(frame: Frame): void {
    const { type, flags, payload } = frame;
    const id = frame.id & 0x7fffffff;
    this.broken ??= this.#ruleBroken(frame, id);
    switch (type) {
      case Type.HEADERS:
        this.blockId = flags & Flag.END_HEADERS ? 0 : id;
        if (!this.streams.has(id)) this.streams.set(id, new StreamModel());
        if (flags & Flag.END_STREAM) this.#end(id);
        break;
      case Type.CONTINUATION:
        if (flags & Flag.END_HEADERS) this.blockId = 0;
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

  /** Rules whose breach is an error of the connection, whatever else was said. */
  #ruleBroken({ type, flags, payload }: Frame, id: number): string | undefined {
    const { length } = payload;
    if (length > PAYLOAD_BYTES_MAX) return "a frame that is too large";
    if (this.blockId !== 0 && (type !== Type.CONTINUATION || id !== this.blockId)) return "a frame in a header block";
    if (this.blockId === 0 && type === Type.CONTINUATION) return "CONTINUATION without HEADERS";
    if (!this.#settled && (type !== Type.SETTINGS || flags & Flag.ACK)) return "no SETTINGS at first";
    const ofStream: readonly number[] = [Type.DATA, Type.HEADERS, Type.PRIORITY, Type.RST_STREAM];
    if (id === 0 && ofStream.includes(type)) return "a frame of a stream on stream 0";
    const ofConnection: readonly number[] = [Type.SETTINGS, Type.PING, Type.GOAWAY];
    if (id !== 0 && ofConnection.includes(type)) return "a frame of the connection on a stream";
    if (type === Type.HEADERS && id % 2 === 0) return "a stream that no client opens";
    const isIdle = !this.streams.has(id) && id > Math.max(0, ...this.streams.keys());
    if (isIdle && (type === Type.DATA || type === Type.RST_STREAM)) return "a frame on an idle stream";
    if (type === Type.PUSH_PROMISE) return "PUSH_PROMISE";
    const lengths: Partial<Record<number, number>> = { [Type.PING]: 8, [Type.RST_STREAM]: 4, [Type.WINDOW_UPDATE]: 4 };
    if (lengths[type] !== undefined && lengths[type] !== length) return "a length that is not the type's";
    if (type === Type.SETTINGS && (length % 6 !== 0 || (flags & Flag.ACK && length > 0))) {
      return "SETTINGS of a wrong length";
    }
    return undefined;
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
      this.initialWindow = value;
      this.initialWindowMax = this.#settled ? Math.max(this.initialWindowMax, value) : value;
    }
    this.#settled = true;
  }
}
