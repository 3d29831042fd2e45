// A strict reader of what the server sends: every frame has to be well formed, allowed in its stream's state, and inside the
// windows that the client has opened; header blocks have to be HPACK.

import { HpackDecoder } from "../../../bench/load/hpack.ts";
import { ErrorCode } from "../../../src/http2/error-code.ts";
import { contentOf, describe, Flag, type Frame, FrameSplitter, PAYLOAD_BYTES_MAX, Type } from "../support/frames.ts";
import { messagesOf } from "../support/grpc.ts";
import type { ClientModel } from "./client-model.ts";

export class Violation extends Error {
  override readonly name = "Violation";
}

const CODES: ReadonlySet<number> = new Set(Object.values(ErrorCode));

export class StreamOutput {
  readonly fields = new Map<string, string>();
  readonly blocks: Buffer[] = [];
  readonly body: Buffer[] = [];
  bodyBytes = 0;
  /** END_STREAM was sent. */
  ended = false;
  reset: number | undefined;
  /** By WINDOW_UPDATE. */
  granted = 0;

  get over(): boolean {
    return this.ended || this.reset !== undefined;
  }

  /** Whole messages; what is left of the body when the stream was reset is no message. */
  get messages(): Buffer[] {
    // What is no call is answered with a text.
    if (this.fields.get(":status") !== "200") return [];
    const body = Buffer.concat(this.body);
    if (this.ended) return messagesOf(body);
    let whole = 0;
    for (let at = 0; body.length - at >= 5;) {
      at += 5 + body.readUInt32BE(at + 1);
      if (at > body.length) break;
      whole = at;
    }
    return messagesOf(body.subarray(0, whole));
  }
}

export class OutputReader {
  readonly streams = new Map<number, StreamOutput>();
  /** Frames of the connection, as text. */
  readonly frames: string[] = [];
  goaway: { readonly code: number; readonly debug: string } | undefined;
  granted = 0;
  isHttp1 = false;
  readonly #client: ClientModel;
  readonly #splitter = new FrameSplitter();
  readonly #decoder = new HpackDecoder();
  #block: { readonly id: number; readonly end: boolean; readonly parts: Buffer[] } | undefined;
  /** Of DATA, on all streams. */
  bodyBytes = 0;
  #pings = 0;
  #acks = 0;
  #count = 0;

  constructor(client: ClientModel) {
    this.#client = client;
  }

  /** @throws Violation */
  push(bytes: Uint8Array): void {
    if (this.#count === 0 && !this.isHttp1) this.isHttp1 = Buffer.from(bytes).toString("latin1", 0, 7) === "HTTP/1.";
    if (this.isHttp1) return;
    for (const frame of this.#splitter.push(Buffer.from(bytes))) this.#frame(frame);
  }

  /** Everything was written. */
  finish(): void {
    if (this.#splitter.rest.length > 0) throw new Violation("the output ends inside a frame");
    if (this.#block !== undefined) throw new Violation("the output ends inside a header block");
  }

  #fail(frame: Frame, why: string): never {
    throw new Violation(`${why}: ${describe(frame)}`);
  }

  #frame(frame: Frame): void {
    const { type, flags, id, payload } = frame;
    if (payload.length > PAYLOAD_BYTES_MAX) this.#fail(frame, "a frame that is too large");
    const first = this.#count++ === 0;
    // Who does not speak HTTP/2 is told so without SETTINGS.
    if (first && type !== Type.GOAWAY && (type !== Type.SETTINGS || flags !== 0)) {
      this.#fail(frame, "the first frame is not SETTINGS");
    }
    if (this.goaway !== undefined && this.goaway.code !== ErrorCode.NO_ERROR) this.#fail(frame, "a frame after GOAWAY");
    if (this.#block !== undefined && (type !== Type.CONTINUATION || id !== this.#block.id)) {
      this.#fail(frame, "a frame inside a header block");
    }
    switch (type) {
      case Type.DATA:
        this.#data(frame);
        break;
      case Type.HEADERS:
      case Type.CONTINUATION:
        this.#headers(frame);
        break;
      case Type.RST_STREAM: {
        const stream = this.#stream(frame);
        const code = payload.readUInt32BE(0);
        if (payload.length !== 4 || !CODES.has(code)) this.#fail(frame, "not a legal RST_STREAM");
        if (code === ErrorCode.INTERNAL_ERROR) this.#fail(frame, "a fault of the server's");
        // After the answer, RST_STREAM says that the rest of the request is not wanted; DATA that is sent all the same may be told again.
        stream.reset ??= code;
        break;
      }
      case Type.WINDOW_UPDATE: {
        const increment = payload.readUInt32BE(0);
        if (payload.length !== 4 || increment === 0 || increment > 0x7fffffff) this.#fail(frame, "no increment");
        if (id === 0) this.granted += increment;
        else {
          const stream = this.#stream(frame);
          if (stream.reset !== undefined) this.#fail(frame, "a frame after RST_STREAM");
          stream.granted += increment;
        }
        break;
      }
      case Type.SETTINGS:
        if (id !== 0 || payload.length % 6 !== 0 || (flags & Flag.ACK && payload.length > 0)) {
          this.#fail(frame, "no SETTINGS");
        }
        if (flags & Flag.ACK && ++this.#acks > this.#client.settings) this.#fail(frame, "an answer to nothing");
        this.frames.push(describe(frame));
        break;
      case Type.PING:
        if (id !== 0 || payload.length !== 8) this.#fail(frame, "no PING");
        if (flags & Flag.ACK && ++this.#pings > this.#client.pings) this.#fail(frame, "an answer to nothing");
        this.frames.push(`${describe(frame)} ${payload.toString("hex")}`);
        break;
      case Type.GOAWAY:
        this.#goaway(frame);
        break;
      default:
        this.#fail(frame, "a frame that no server sends");
    }
  }

  #goaway(frame: Frame): void {
    const { id, payload } = frame;
    const code = payload.length < 8 ? -1 : payload.readUInt32BE(4);
    if (id !== 0 || !CODES.has(code)) this.#fail(frame, "no GOAWAY");
    if (code === ErrorCode.INTERNAL_ERROR) this.#fail(frame, "a fault of the server's");
    const lastId = payload.readUInt32BE(0);
    for (const [stream, output] of this.streams) {
      if (stream > lastId && output.blocks.length > 0) this.#fail(frame, `stream ${stream} was answered`);
    }
    this.goaway = { code, debug: payload.toString("latin1", 8) };
    this.frames.push(describe(frame));
  }

  #stream(frame: Frame): StreamOutput {
    const { id } = frame;
    if (id === 0 || id % 2 === 0 || id > 0x7fffffff) this.#fail(frame, "no stream of a client's");
    // A PRIORITY frame of the wrong length is answered on a stream that is idle.
    if (!this.#client.streams.has(id) && frame.type !== Type.RST_STREAM) this.#fail(frame, "nobody opened this stream");
    let stream = this.streams.get(id);
    if (stream === undefined) {
      stream = new StreamOutput();
      this.streams.set(id, stream);
    }
    return stream;
  }

  #data(frame: Frame): void {
    const { id, flags, payload } = frame;
    const stream = this.#stream(frame);
    if (stream.over) this.#fail(frame, "a frame after the end of the stream");
    if (stream.blocks.length === 0) this.#fail(frame, "DATA before HEADERS");
    stream.body.push(contentOf(frame));
    stream.bodyBytes += payload.length;
    this.bodyBytes += payload.length;
    if (payload.length > 0) {
      const allowed = this.#client.initialWindowMax + this.#client.streams.get(id)!.granted;
      if (stream.bodyBytes > allowed) this.#fail(frame, `${stream.bodyBytes} bytes into a window of ${allowed}`);
      if (this.bodyBytes > this.#client.granted) this.#fail(frame, "more than the connection's window");
    }
    if (flags & Flag.END_STREAM) stream.ended = true;
  }

  #headers(frame: Frame): void {
    const { type, id, flags, payload } = frame;
    const stream = this.#stream(frame);
    if (type === Type.HEADERS) {
      if (stream.over) this.#fail(frame, "a frame after the end of the stream");
      this.#block = { id, end: (flags & Flag.END_STREAM) !== 0, parts: [contentOf(frame)] };
    } else if (this.#block === undefined) this.#fail(frame, "CONTINUATION without HEADERS");
    else this.#block.parts.push(payload);
    if (!(flags & Flag.END_HEADERS)) return;
    const { end, parts } = this.#block;
    this.#block = undefined;
    const bytes = Buffer.concat(parts);
    const fields = this.#decoder.decode(bytes);
    const isFirst = stream.blocks.length === 0;
    stream.blocks.push(bytes);
    const status = fields.findIndex(([name]) => name === ":status");
    if (isFirst ? status !== 0 : status >= 0 || !end) this.#fail(frame, "no header block of an answer");
    for (const [name, value] of fields) {
      if (!/^:?[a-z0-9_.-]+$/.test(name)) this.#fail(frame, `a field named ${JSON.stringify(name)}`);
      stream.fields.set(name, value);
    }
    if (end) stream.ended = true;
  }
}
