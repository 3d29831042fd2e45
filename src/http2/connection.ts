// One client's connection: takes its frames apart by type, and keeps the rules of RFC 9113 that are about more than one frame.
//
// Bytes come from a Transport, requests go to the RequestHandler, what there is to write is written at the end of the turn.
// A broken rule of the connection's is thrown as a ConnectionError and ends it with GOAWAY; one of a stream's ends the stream.
// Either way everybody else is served on.
//
// Invariants: after `closed` no stream is open, no page is held, and no handler is called; a header block is decoded even where
// its stream is refused, because later blocks depend on it; nothing is written while the transport is busy.

import type { Clock } from "../clock.ts";
import { Budget, Budgets } from "./budgets.ts";
import { ConnectionError, ErrorCode, StreamError } from "./error-code.ts";
import { FRAME_BYTES_MAX, Flag, FrameType, INT31_MAX, readUint31, readUint32, writeUint32 } from "./frame.ts";
import { FrameReader, type FrameSink } from "./frame-reader.ts";
import { HeaderBlock } from "./header-block.ts";
import { HeaderDecoder } from "./hpack/decoder.ts";
import { encodeHeaders } from "./hpack/encoder.ts";
import type { HeaderList } from "./hpack/header-list.ts";
import { Lifespan } from "./lifespan.ts";
import type { CloseReason, Http2Observer } from "./observer.ts";
import type { Http2Options } from "./options.ts";
import { Output } from "./output.ts";
import type { PagePool } from "./page-pool.ts";
import { PREFACE, strangerOf } from "./preface.ts";
import { ReceiveWindow } from "./receive-window.ts";
import type { RequestHandler, RequestHeaders } from "./request.ts";
import { checkTrailers, requestOf } from "./request-headers.ts";
import { SendQueue } from "./send-queue.ts";
import {
  DEFAULT_WINDOW_BYTES,
  HEADER_TABLE_BYTES,
  lowersHeaderTable,
  readSettings,
  writeSettings,
} from "./settings.ts";
import { Stream, type StreamHost } from "./stream.ts";
import { StreamTable } from "./stream-table.ts";
import type { Transport, TransportListener } from "./transport.ts";
import type { EndOfTurn, Turn } from "./turn.ts";

/** What all connections of a worker share. */
export interface ConnectionContext {
  readonly handler: RequestHandler;
  readonly observer: Http2Observer;
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly options: Http2Options;
  readonly pages: PagePool;
  readonly turn: Turn;
  /** The connection is gone. */
  closed(connection: Connection): void;
}

/** Answers' bodies wait in their streams while this much waits for the socket. */
const OUTPUT_HIGH_BYTES = 64 * 1024;
/** With this much unsent and a socket that takes nothing, nothing more is read, so that no more answers come to be. */
const OUTPUT_PAUSE_BYTES = 128 * 1024;
/** RST_STREAM frames on streams that are closed already, beyond one for each request. */
const LATE_RESETS_MAX = 1_000;
/** A header list that is so many times as large as its block was not compressed, but made to be. */
const HPACK_BOMB_RATIO = 10;
/** How long a client may take to hang up once it was told to, or to answer the PING between the two GOAWAYs. */
const LINGER_MS = 1_000;

const NO_BYTES = new Uint8Array(0);
/** A header block that begins with it makes the client's dynamic table empty (RFC 7541 section 6.3). */
const EMPTY_TABLE = Buffer.from([0x20]);
const TOO_LARGE = encodeHeaders([[":status", "431"]]);
const KEEPALIVE_PING = Buffer.from("\u0001sluice\u0000", "latin1");
const GO_AWAY_PING = Buffer.from("\u0002sluice\u0000", "latin1");

type Phase = "preface" | "open" | "closing" | "closed";

export class Connection implements TransportListener, FrameSink, StreamHost, EndOfTurn {
  readonly #transport: Transport;
  readonly #context: ConnectionContext;
  readonly #observer: Http2Observer;
  readonly #clock: Clock;
  readonly #options: Http2Options;
  readonly #reader: FrameReader;
  readonly #output: Output;
  readonly #decoder: HeaderDecoder;
  readonly #block: HeaderBlock;
  readonly #streams = new StreamTable();
  readonly #queue = new SendQueue();
  readonly #receiveWindow: ReceiveWindow;
  readonly #budgets = new Budgets();
  readonly #lifespan: Lifespan;
  #phase: Phase = "preface";
  #prefaceBytes = 0;
  #hasSettings = false;
  #nowMs: number;
  #scheduled = false;
  #paused = false;
  /** The stream of the DATA frame that is being read; undefined: its bytes are dropped. */
  #dataStream: Stream | undefined;
  #dataLength = 0;
  sendWindow: number = DEFAULT_WINDOW_BYTES;
  #initialSendWindow: number = DEFAULT_WINDOW_BYTES;
  /** The client's dynamic table. */
  #table: "as it began" | "to be emptied" | "emptied" = "as it began";
  /** Frames of answers went out since the last PING. */
  #answeredSincePing = false;
  #dataFramesSent = 0;
  #sizeUpdates = 0;
  /** RST_STREAM frames on closed streams, less the requests that came since. */
  #lateResets = 0;
  /** GOAWAY: said first without, then with the last stream that is taken. */
  #goingAway: "no" | "announced" | "final" = "no";
  #goingAwayAtMs = 0;
  #lastTakenId = INT31_MAX;
  #closeReason: CloseReason | undefined;
  #closingAtMs = 0;
  /** FIN is to follow once everything is written. */
  #finishing = false;
  /** More is unsent than a connection may hold; told at the end of the turn, because it is found out while a handler writes. */
  #overflown = false;
  readonly #watched = { frames: -1, sinceMs: 0 };

  constructor(transport: Transport, context: ConnectionContext) {
    const { observer, clock, options, pages } = context;
    this.#transport = transport;
    this.#context = context;
    this.#observer = observer;
    this.#clock = clock;
    this.#options = options;
    this.#nowMs = clock.monotonic();
    this.#reader = new FrameReader(this);
    this.#output = new Output(transport, pages);
    const listBytesMax = options.headerListBytesMax;
    this.#decoder = new HeaderDecoder({ tableBytesMax: HEADER_TABLE_BYTES, listBytesMax });
    // Compressed, a list that is small enough is never larger, but for fields that the limit does not count.
    this.#block = new HeaderBlock(listBytesMax + FRAME_BYTES_MAX);
    this.#receiveWindow = new ReceiveWindow(options.connectionWindowBytes);
    this.#lifespan = new Lifespan(options, this.#nowMs, context.random());
    observer.connectionOpened();
  }

  get peer(): string {
    return this.#transport.peer;
  }

  get peerIdentity(): string | undefined {
    return this.#transport.peerIdentity;
  }

  get streamCount(): number {
    return this.#streams.open.size;
  }

  /** Bytes that the client has not taken. */
  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  get ageMs(): number {
    return this.#lifespan.ageMs(this.#clock.monotonic());
  }

  // What the server asks.

  /** One connection too many: says so, and closes. */
  refuse(): void {
    const { connectionsMax } = this.#options;
    const detail = `this server takes ${connectionsMax} connections (GRPC_CONNECTIONS_MAX): try again later, or elsewhere`;
    this.#observer.attack("connections_over_limit", this.peer, detail);
    this.#output.frame(FrameType.SETTINGS, 0, 0, NO_BYTES);
    this.#fail(new ConnectionError(ErrorCode.NO_ERROR, detail), "over_limit");
  }

  /** Takes no more streams, lets those that are open end, and closes. */
  goAway(reason: "drain" | "idle" | "age"): void {
    if (this.#goingAway !== "no" || this.#phase === "closing" || this.#phase === "closed") return;
    this.#closeReason = reason;
    if (this.#phase === "preface") {
      this.#close();
      return;
    }
    this.#goingAway = "announced";
    this.#goingAwayAtMs = this.#clock.monotonic();
    this.#writeGoAway(INT31_MAX, ErrorCode.NO_ERROR, reason);
    this.#output.frame(FrameType.PING, 0, 0, GO_AWAY_PING);
    this.#touch();
  }

  /** Ends it now, with what is unsent. */
  destroy(reason: CloseReason): void {
    this.#closeReason ??= reason;
    this.#transport.destroy();
  }

  /** Looks after everything that depends on time; once a second. */
  sweep(): void {
    const nowMs = this.#clock.monotonic();
    this.#nowMs = nowMs;
    if (this.#phase === "closed") return;
    this.#streams.open.shrink();
    if (this.#phase === "closing") {
      if (nowMs - this.#closingAtMs > LINGER_MS) this.#transport.destroy();
      return;
    }
    if (this.#goingAway === "announced" && nowMs - this.#goingAwayAtMs > LINGER_MS) this.#finaliseGoAway();
    const verdict = this.#lifespan.check(nowMs, {
      established: this.#hasSettings,
      incompleteSinceMs: this.#incompleteSince(nowMs),
      streams: this.#streams.open.size,
      unsentBytes: this.#unsentBytes,
      sentBytes: this.#output.sentBytes,
      socketHasRoom: !this.#output.busy,
    });
    if (verdict === undefined) return;
    if (verdict.action === "ping") {
      this.#output.frame(FrameType.PING, 0, 0, KEEPALIVE_PING);
      this.#touch();
    } else if (verdict.action === "go_away") {
      if (verdict.reason === "age") this.#tellStreams();
      this.goAway(verdict.reason);
    } else {
      const { reason, attack, detail } = verdict;
      const code = attack === undefined ? ErrorCode.NO_ERROR : ErrorCode.ENHANCE_YOUR_CALM;
      this.#fail(new ConnectionError(code, detail, attack), reason);
    }
  }

  // What the transport tells.

  received(buffer: Buffer, length: number): void {
    if (this.#phase === "closing" || this.#phase === "closed") return;
    this.#nowMs = this.#clock.monotonic();
    this.#lifespan.received(this.#nowMs);
    this.#observer.bytes("received", length);
    try {
      const at = this.#phase === "preface" ? this.#readPreface(buffer, length) : 0;
      if (this.#phase === "open") this.#reader.read(buffer, at, length);
    } catch (thrown) {
      this.#caught(thrown);
    }
  }

  drained(): void {
    if (this.#phase === "closed") return;
    this.#output.drained();
    this.endTurn();
  }

  ended(): void {
    this.#closeReason ??= "client";
    this.#close();
  }

  closed(): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#reader.stop();
    this.#loseStreams(ErrorCode.CANCEL);
    this.#output.dispose();
    this.#observer.connectionClosed(this.#closeReason ?? "lost", this.#lifespan.ageMs(this.#clock.monotonic()));
    this.#context.closed(this);
  }

  endTurn(): void {
    this.#scheduled = false;
    if (this.#phase === "closed") return;
    if (this.#overflown) {
      this.#overflown = false;
      const { unsentBytesMax } = this.#options;
      const detail = `more than ${unsentBytesMax} bytes of answers were not taken (GRPC_UNSENT_BYTES_MAX)`;
      this.#fail(new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, detail, "slow_read"), "attack");
    }
    if (this.#phase === "open") {
      const increment = this.#receiveWindow.announce();
      if (increment > 0) this.#output.number(FrameType.WINDOW_UPDATE, 0, increment);
      this.#pump();
    }
    this.#flush();
  }

  // Frames.

  begin(type: number, flags: number, id: number, length: number): void {
    if (this.#block.streamId !== 0 && (type !== FrameType.CONTINUATION || id !== this.#block.streamId)) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "a frame inside of a header block");
    }
    if (!this.#hasSettings && (type !== FrameType.SETTINGS || (flags & Flag.ACK) !== 0)) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS");
    }
    if (type === FrameType.DATA) this.#beginData(flags, id, length);
  }

  #beginData(flags: number, id: number, length: number): void {
    this.#dataLength = length;
    this.#dataStream = undefined;
    if (length === 0 && (flags & Flag.END_STREAM) === 0) this.#spend(Budget.EMPTY_FRAMES);
    this.#receiveWindow.take(length);
    const stream = this.#streams.open.get(id);
    if (stream === undefined) {
      this.#assertWasOpen(id);
      this.#frameOnClosed(id);
    } else if (stream.remoteClosed) {
      this.#failStream(stream, ErrorCode.STREAM_CLOSED);
    } else if (length > stream.receiveWindow) {
      this.#failStream(stream, ErrorCode.FLOW_CONTROL_ERROR);
    } else {
      stream.receiveWindow -= length;
      this.#dataStream = stream;
    }
  }

  body(buffer: Buffer, start: number, end: number): void {
    const stream = this.#dataStream;
    if (stream === undefined || stream.closed) this.credit(undefined, end - start);
    else if (!stream.received(buffer, start, end)) this.#failStream(stream, ErrorCode.PROTOCOL_ERROR);
  }

  bodyEnd(flags: number, overhead: number): void {
    const stream = this.#dataStream;
    this.#dataStream = undefined;
    const alive = stream !== undefined && !stream.closed;
    if (overhead > 0) {
      this.credit(alive ? stream : undefined, overhead);
      if (overhead === this.#dataLength && (flags & Flag.END_STREAM) === 0) this.#spend(Budget.EMPTY_FRAMES);
    }
    if (alive && (flags & Flag.END_STREAM) !== 0) this.#endOfRequest(stream);
  }

  frame(type: number, flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    switch (type) {
      case FrameType.HEADERS:
        this.#headersFrame(flags, id, buffer, start, end);
        break;
      case FrameType.CONTINUATION:
        this.#continuationFrame(flags, id, buffer, start, end);
        break;
      case FrameType.PRIORITY:
        this.#priorityFrame(id, buffer, start, end);
        break;
      case FrameType.RST_STREAM:
        this.#resetFrame(id, buffer, start, end);
        break;
      case FrameType.SETTINGS:
        this.#settingsFrame(flags, id, buffer, start, end);
        break;
      case FrameType.PUSH_PROMISE:
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client");
      case FrameType.PING:
        this.#pingFrame(flags, id, buffer, start, end);
        break;
      case FrameType.GOAWAY:
        this.#goAwayFrame(id, buffer, start, end);
        break;
      case FrameType.WINDOW_UPDATE:
        this.#windowUpdateFrame(id, buffer, start, end);
        break;
      default:
        this.#spend(Budget.UNKNOWN_FRAMES);
    }
  }

  #headersFrame(flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    if (id % 2 === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "HEADERS on a stream that no client opens");
    let from = start;
    let to = end;
    if ((flags & Flag.PADDED) !== 0) {
      if (from === to) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "HEADERS without a padding length");
      to -= buffer[from++]!;
    }
    let dependsOnItself = false;
    if ((flags & Flag.PRIORITY) !== 0) {
      if (to - from < 5) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "HEADERS without its priority");
      dependsOnItself = readUint31(buffer, from) === id;
      from += 5;
    }
    if (to < from) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "the padding is longer than the frame");
    if (dependsOnItself) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself");
    const endStream = (flags & Flag.END_STREAM) !== 0;
    if ((flags & Flag.END_HEADERS) !== 0) this.#headerBlock(id, endStream, buffer, from, to);
    else {
      this.#block.begin(id, endStream, this.#nowMs);
      this.#block.add(buffer, from, to);
    }
  }

  #continuationFrame(flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    const block = this.#block;
    if (id === 0 || block.streamId !== id) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS");
    }
    block.add(buffer, start, end);
    if ((flags & Flag.END_HEADERS) === 0) return;
    const { endStream, length } = block;
    const gathered = block.buffer;
    block.clear();
    this.#headerBlock(id, endStream, gathered, 0, length);
  }

  #headerBlock(id: number, endStream: boolean, buffer: Buffer, start: number, end: number): void {
    const list = this.#decoder.decode(buffer, start, end);
    if (this.#decoder.sizeUpdates !== this.#sizeUpdates) {
      this.#sizeUpdates = this.#decoder.sizeUpdates;
      this.#spend(Budget.TABLE_SIZES);
    }
    const stream = this.#streams.open.get(id);
    if (stream !== undefined) this.#trailers(stream, list, endStream);
    else if (id > this.#streams.lastId) this.#request(id, list, endStream, end - start);
    else {
      this.#frameOnClosed(id);
      this.#spend(Budget.PROVOKED_RESETS);
    }
  }

  #request(id: number, list: HeaderList, endStream: boolean, blockBytes: number): void {
    if (id > this.#lastTakenId) return;
    this.#streams.lastId = id;
    if (this.#lateResets > 0) this.#lateResets--;
    if (this.#streams.open.size >= this.#options.streamsMax) {
      this.#writeReset(id, ErrorCode.REFUSED_STREAM);
      this.#spend(Budget.REFUSED_STREAMS);
      return;
    }
    if (list.tooLarge) {
      this.#spend(Budget.LARGE_HEADER_LISTS);
      const detail = `a header list of more than ${this.#options.headerListBytesMax} bytes (GRPC_HEADER_LIST_BYTES_MAX)`;
      const unfolded = this.#decoder.listBytes > HPACK_BOMB_RATIO * blockBytes;
      this.#observer.attack(unfolded ? "hpack_bomb" : "header_list_too_large", this.peer, detail);
      this.#writeHeaders(id, TOO_LARGE, true);
      if (endStream) this.#touch();
      else this.#writeReset(id, ErrorCode.NO_ERROR);
      return;
    }
    const headers = (list.memo ??= requestOf(list)) as RequestHeaders | StreamError;
    if (headers instanceof StreamError || (endStream && (headers.contentLength ?? 0) > 0)) {
      this.#writeReset(id, ErrorCode.PROTOCOL_ERROR);
      this.#spend(Budget.PROVOKED_RESETS);
      return;
    }
    const { streamWindowBytes } = this.#options;
    const stream = new Stream(this, id, this.#initialSendWindow, streamWindowBytes, headers.contentLength, this.#nowMs);
    this.#streams.open.add(stream);
    this.#observer.streamOpened();
    stream.receiver = this.#context.handler(stream, headers);
    if (endStream) this.#endOfRequest(stream);
  }

  #trailers(stream: Stream, list: HeaderList, endStream: boolean): void {
    if (stream.remoteClosed) this.#failStream(stream, ErrorCode.STREAM_CLOSED);
    else if (!endStream || list.tooLarge || checkTrailers(list) !== undefined) {
      this.#failStream(stream, ErrorCode.PROTOCOL_ERROR);
    } else this.#endOfRequest(stream);
  }

  #endOfRequest(stream: Stream): void {
    if (!stream.closed && !stream.receivedEnd()) this.#failStream(stream, ErrorCode.PROTOCOL_ERROR);
  }

  #priorityFrame(id: number, buffer: Buffer, start: number, end: number): void {
    if (id === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0");
    this.#spend(Budget.PRIORITIES);
    const stream = this.#streams.open.get(id);
    if (end - start !== 5) this.#failPriority(stream, id, ErrorCode.FRAME_SIZE_ERROR);
    else if (readUint31(buffer, start) === id) this.#failPriority(stream, id, ErrorCode.PROTOCOL_ERROR);
  }

  #resetFrame(id: number, buffer: Buffer, start: number, end: number): void {
    assertLength("RST_STREAM", end - start, 4);
    this.#assertWasOpen(id);
    const code = readUint32(buffer, start);
    this.#observer.reset("received", code);
    const stream = this.#streams.open.get(id);
    if (stream === undefined) {
      this.#lateReset();
      return;
    }
    if (stream.open) this.#spend(Budget.RESETS);
    this.#streams.remember(id, "reset by the client");
    stream.lose(code as ErrorCode);
  }

  /** It crossed the end of our answer, as grpc-go's do after each call that we end early; one for each request is honest. */
  #lateReset(): void {
    if (++this.#lateResets <= LATE_RESETS_MAX) return;
    const message = `RST_STREAM on closed streams: ${LATE_RESETS_MAX} more than requests`;
    throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, message, "rapid_reset");
  }

  #settingsFrame(flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    if (id !== 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream");
    if ((flags & Flag.ACK) !== 0) {
      if (end > start) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS is empty");
      this.#spend(Budget.SETTINGS);
      return;
    }
    this.#spend(Budget.SETTINGS);
    const windowBytes = readSettings(buffer, start, end, this.#initialSendWindow);
    // Told once: nothing is below a table of no bytes.
    if (this.#table === "as it began" && lowersHeaderTable(buffer, start, end)) this.#table = "to be emptied";
    const difference = windowBytes - this.#initialSendWindow;
    this.#initialSendWindow = windowBytes;
    if (difference !== 0) {
      for (const stream of this.#streams.open.toArray()) this.#growSendWindow(stream, difference);
    }
    this.#hasSettings = true;
    this.#output.frame(FrameType.SETTINGS, Flag.ACK, 0, NO_BYTES);
    this.#touch();
  }

  #growSendWindow(stream: Stream, bytes: number): void {
    if (stream.sendWindow + bytes > INT31_MAX) {
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "SETTINGS make a stream's window larger than 2^31-1");
    }
    stream.sendWindow += bytes;
    this.#queue.unblock(stream);
  }

  #pingFrame(flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    if (id !== 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "PING on a stream");
    assertLength("PING", end - start, 8);
    const payload = buffer.subarray(start, end);
    if ((flags & Flag.ACK) !== 0) {
      if (this.#goingAway === "announced" && payload.equals(GO_AWAY_PING)) this.#finaliseGoAway();
      this.#spend(Budget.PINGS);
      return;
    }
    // A client may measure every answer.
    if (!this.#answeredSincePing) this.#spend(Budget.PINGS);
    this.#answeredSincePing = false;
    this.#output.frame(FrameType.PING, Flag.ACK, 0, payload);
    this.#touch();
  }

  #goAwayFrame(id: number, buffer: Buffer, start: number, end: number): void {
    if (id !== 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream");
    if (end - start < 8) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY of less than 8 bytes");
    this.#spend(Budget.UNKNOWN_FRAMES);
    this.#observer.goaway("received", readUint32(buffer, start + 4));
    this.#closeReason ??= "client";
  }

  #windowUpdateFrame(id: number, buffer: Buffer, start: number, end: number): void {
    assertLength("WINDOW_UPDATE", end - start, 4);
    const increment = readUint31(buffer, start);
    if (this.#dataFramesSent > 0) {
      // For every frame of an answer a client may give back its stream's window and the connection's.
      this.#budgets.give(Budget.WINDOW_UPDATES, 2 * this.#dataFramesSent);
      this.#dataFramesSent = 0;
    }
    this.#spend(Budget.WINDOW_UPDATES);
    if (id === 0) {
      if (increment === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0");
      this.sendWindow += increment;
      if (this.sendWindow > INT31_MAX) {
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is larger than 2^31-1");
      }
      if (this.#queue.waiting) this.#touch();
      return;
    }
    const stream = this.#streams.open.get(id);
    if (stream === undefined) this.#assertWasOpen(id);
    else if (increment === 0) this.#failStream(stream, ErrorCode.PROTOCOL_ERROR);
    else if (stream.sendWindow + increment > INT31_MAX) this.#failStream(stream, ErrorCode.FLOW_CONTROL_ERROR);
    else {
      stream.sendWindow += increment;
      if (stream.unsentBytes === 0) return;
      this.#queue.unblock(stream);
      this.#touch();
    }
  }

  // What streams ask.

  get mayWrite(): boolean {
    return this.#output.unsentBytes < OUTPUT_HIGH_BYTES && !this.#queue.waiting;
  }

  writeHeaders(stream: Stream, block: Uint8Array, endStream: boolean): void {
    this.#answeredSincePing = true;
    this.#writeHeaders(stream.id, block, endStream);
    this.#touch();
  }

  writeData(stream: Stream, prefix: Uint8Array, bytes: Uint8Array, start: number, end: number): void {
    const length = prefix.length + end - start;
    stream.sendWindow -= length;
    this.sendWindow -= length;
    this.#answeredSincePing = true;
    this.#dataFramesSent++;
    this.#output.data(stream.id, 0, prefix, bytes, start, end);
    this.#touch();
  }

  writeReset(stream: Stream, code: ErrorCode): void {
    this.#writeReset(stream.id, code);
  }

  queued(stream: Stream, bytes: number): void {
    this.#queue.add(stream, bytes);
    if (this.#unsentBytes > this.#options.unsentBytesMax) this.#overflown = true;
    this.#touch();
  }

  credit(stream: Stream | undefined, bytes: number): void {
    this.#receiveWindow.give(bytes);
    if (stream !== undefined && !stream.remoteClosed) {
      stream.unannounced += bytes;
      if (stream.unannounced >= this.#options.streamWindowBytes / 2) {
        this.#output.number(FrameType.WINDOW_UPDATE, stream.id, stream.unannounced);
        stream.receiveWindow += stream.unannounced;
        stream.unannounced = 0;
      }
    }
    this.#touch();
  }

  streamClosed(stream: Stream, resetByUs: boolean): void {
    this.#streams.open.delete(stream.id);
    if (resetByUs) this.#streams.remember(stream.id, "reset by us");
    this.#queue.remove(stream);
    this.#observer.streamClosed(this.#clock.monotonic() - stream.openedAtMs);
    if (this.#goingAway === "final") this.#closeIfDone();
  }

  // The parts of the above.

  get #unsentBytes(): number {
    return this.#output.unsentBytes + this.#queue.unsentBytes;
  }

  /** Whatever reading a client's bytes throws ends its connection, and nothing else. */
  #caught(thrown: unknown): void {
    if (thrown instanceof ConnectionError) {
      this.#fail(thrown, thrown.attack === undefined ? "protocol" : "attack");
    } else {
      this.#observer.fault(thrown);
      this.#fail(new ConnectionError(ErrorCode.INTERNAL_ERROR, "a fault of the server's"), "protocol");
    }
  }

  /** @returns where the frames begin. */
  #readPreface(buffer: Buffer, length: number): number {
    let at = 0;
    while (at < length && this.#prefaceBytes < PREFACE.length) {
      if (buffer[at] !== PREFACE[this.#prefaceBytes]) {
        this.#refuseStranger(Buffer.concat([PREFACE.subarray(0, this.#prefaceBytes), buffer.subarray(at, length)]));
        return length;
      }
      at++;
      this.#prefaceBytes++;
    }
    if (this.#prefaceBytes === PREFACE.length) {
      this.#phase = "open";
      this.#output.frame(FrameType.SETTINGS, 0, 0, writeSettings(this.#options));
      this.#touch();
    }
    return at;
  }

  #refuseStranger(start: Buffer): void {
    const { answer, detail } = strangerOf(start);
    this.#observer.attack("not_http2", this.peer, detail);
    this.#closeReason ??= "not_http2";
    if (answer === undefined) this.#writeGoAway(0, ErrorCode.PROTOCOL_ERROR, detail);
    else this.#output.raw(answer);
    this.#close();
  }

  #spend(budget: Budget): void {
    const rate = this.#budgets.take(budget, this.#nowMs);
    if (rate === undefined) return;
    const message = `${rate.attack}: more than ${rate.burst} at once and ${rate.perSecond} a second`;
    throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, message, rate.attack);
  }

  #frameOnClosed(id: number): void {
    const how = this.#streams.howClosed(id);
    if (how === "ended") throw new ConnectionError(ErrorCode.STREAM_CLOSED, "a frame on a stream that has ended");
    if (how === "reset by us") return;
    this.#writeReset(id, ErrorCode.STREAM_CLOSED);
    this.#spend(Budget.PROVOKED_RESETS);
  }

  #assertWasOpen(id: number): void {
    if (this.#streams.isIdle(id)) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "a frame on an idle stream");
  }

  /** The client broke a rule of the stream's. */
  #failStream(stream: Stream, code: ErrorCode): void {
    stream.fail(code);
    this.#spend(Budget.PROVOKED_RESETS);
  }

  /** PRIORITY may come on any stream, but none that is idle can be reset. */
  #failPriority(stream: Stream | undefined, id: number, code: ErrorCode): void {
    if (stream !== undefined) {
      this.#failStream(stream, code);
      return;
    }
    if (this.#streams.isIdle(id)) throw new ConnectionError(code, "PRIORITY that is wrong, on an idle stream");
    this.#writeReset(id, code);
    this.#spend(Budget.PROVOKED_RESETS);
  }

  #writeHeaders(id: number, block: Uint8Array, endStream: boolean): void {
    if (this.#table === "to be emptied") {
      this.#table = "emptied";
      this.#output.headers(id, Buffer.concat([EMPTY_TABLE, block]), endStream);
    } else {
      this.#output.headers(id, block, endStream);
    }
  }

  #writeReset(id: number, code: ErrorCode): void {
    this.#observer.reset("sent", code);
    this.#output.number(FrameType.RST_STREAM, id, code);
    if (this.#streams.open.get(id) === undefined) this.#streams.remember(id, "reset by us");
    this.#touch();
  }

  #writeGoAway(lastId: number, code: ErrorCode, text: string): void {
    const debug = Buffer.from(text, "latin1").subarray(0, 1024);
    const payload = Buffer.alloc(8 + debug.length);
    writeUint32(payload, 0, lastId);
    writeUint32(payload, 4, code);
    debug.copy(payload, 8);
    this.#observer.goaway("sent", code);
    this.#output.frame(FrameType.GOAWAY, 0, 0, payload);
  }

  #finaliseGoAway(): void {
    this.#goingAway = "final";
    this.#lastTakenId = this.#streams.lastId;
    this.#writeGoAway(this.#lastTakenId, ErrorCode.NO_ERROR, this.#closeReason ?? "");
    this.#touch();
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (this.#streams.open.size === 0 && this.#phase === "open") this.#close();
  }

  #tellStreams(): void {
    const deadlineMs = this.#clock.now() + this.#options.ageGraceMs;
    for (const stream of this.#streams.open.toArray()) if (stream.open) stream.receiver.goingAway(deadlineMs);
  }

  #fail(error: ConnectionError, reason: CloseReason): void {
    if (this.#phase === "closing" || this.#phase === "closed") return;
    this.#closeReason = reason;
    if (error.attack !== undefined) this.#observer.attack(error.attack, this.peer, error.message);
    this.#writeGoAway(this.#streams.lastId, error.code, error.message);
    this.#close();
  }

  /** Nothing is read any more; what is laid down still goes out, then FIN. */
  #close(): void {
    if (this.#phase === "closing" || this.#phase === "closed") return;
    this.#phase = "closing";
    this.#closingAtMs = this.#clock.monotonic();
    this.#reader.stop();
    this.#block.clear();
    this.#loseStreams(ErrorCode.CANCEL);
    this.#finishing = true;
    // A client that sends and does not read is not waited for.
    if (this.#paused) this.#transport.resume();
    this.#touch();
  }

  #loseStreams(code: ErrorCode): void {
    for (const stream of this.#streams.open.toArray()) stream.lose(code);
  }

  #incompleteSince(nowMs: number): number | undefined {
    if (this.#block.streamId !== 0) return this.#block.startedAtMs;
    if (!this.#reader.incomplete) return undefined;
    if (this.#watched.frames !== this.#reader.frames) {
      this.#watched.frames = this.#reader.frames;
      this.#watched.sinceMs = nowMs;
    }
    return this.#watched.sinceMs;
  }

  #pump(): void {
    this.#queue.pump(this.#hasRoom, this.#onStall);
  }

  readonly #hasRoom = (): boolean => {
    if (this.#output.unsentBytes >= OUTPUT_HIGH_BYTES) return false;
    if (this.sendWindow > 0) return true;
    this.#onStall();
    return false;
  };

  readonly #onStall = (): void => {
    this.#observer.windowStalled();
  };

  #touch(): void {
    if (this.#scheduled || this.#phase === "closed") return;
    this.#scheduled = true;
    this.#context.turn.schedule(this);
  }

  #flush(): void {
    const before = this.#output.sentBytes;
    this.#output.flush();
    // Where the socket takes everything at once, there may be room for more.
    while (this.#phase === "open" && !this.#output.busy && this.#queue.waiting && this.#hasRoom()) {
      this.#pump();
      this.#output.flush();
    }
    const sent = this.#output.sentBytes - before;
    if (sent > 0) this.#observer.bytes("sent", sent);
    this.#pauseOrResume();
    if (this.#finishing && this.#output.unsentBytes === 0) {
      this.#finishing = false;
      this.#transport.end();
    }
  }

  #pauseOrResume(): void {
    const pause = this.#output.busy && this.#unsentBytes > OUTPUT_PAUSE_BYTES && this.#phase === "open";
    if (pause === this.#paused) return;
    this.#paused = pause;
    if (pause) this.#transport.pause();
    else this.#transport.resume();
  }
}

function assertLength(name: string, length: number, expected: number): void {
  if (length !== expected) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `${name} of ${length} bytes`);
}
