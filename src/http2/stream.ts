// One request and its answer: the state machine of RFC 9113 section 5.1, seen from a server that never pushes.
//
//     idle ── HEADERS ──▶ open ── END_STREAM from the client ──▶ half-closed (remote)
//                          │ ╲                                       │
//        END_STREAM from us│  ╲ RST_STREAM, either way               │ END_STREAM from us
//                          ▼   ▼                                     ▼
//       RST_STREAM(NO_ERROR), closed                               closed
//
// One object per request, and nothing else: what is unsent is a list only where the client is slow.
//
// Invariants: `receiver.closed` comes at most once, and only if our answer was not complete; every body byte that came is
// credited to the connection exactly once: by `consume`, or when the stream closes.

import { ErrorCode } from "./error-code.ts";
import { FRAME_BYTES_MAX } from "./frame.ts";
import type { RequestReceiver, RequestStream } from "./request.ts";

/** Our half of the connection, as its streams see it. */
export interface StreamSender {
  /** May body bytes go out now? Else they wait in the stream. */
  readonly mayWrite: boolean;
  /** Bytes that may be sent on the connection. */
  readonly sendWindow: number;
  writeHeaders(stream: Stream, block: Uint8Array, endStream: boolean): void;
  /** Writes one DATA frame, counted against both windows. */
  writeData(stream: Stream, prefix: Uint8Array, bytes: Uint8Array, start: number, end: number): void;
  /** Writes RST_STREAM. */
  reset(id: number, code: ErrorCode): void;
  /** The stream has so many more unsent bytes. */
  queued(stream: Stream, bytes: number): void;
}

/** What a stream needs of its connection. */
export interface StreamHost {
  readonly peer: string;
  readonly peerIdentity: string | undefined;
  readonly sender: StreamSender;
  /** Body bytes are dealt with. @param stream undefined: only the connection's window is given back. */
  credit(stream: Stream | undefined, bytes: number): void;
  /** The stream is closed. @param resetByUs the client may not know yet, and send more of it. */
  streamClosed(stream: Stream, resetByUs: boolean): void;
}

interface Unsent {
  readonly bytes: Uint8Array;
  start: number;
}

const NOTHING = new Uint8Array(0);

export class Stream implements RequestStream {
  readonly id: number;
  readonly #host: StreamHost;
  readonly openedAtMs: number;
  receiver!: RequestReceiver;
  /** The client has ended its request. */
  remoteClosed = false;
  /** No frame of this stream is sent or expected any more. */
  closed = false;
  /** Bytes that may be sent on this stream; negative after the client has lowered its initial window. */
  sendWindow: number;
  /** Body bytes, padding included, that the client may still send. */
  receiveWindow: number;
  /** Body bytes that came and are not dealt with. */
  #unconsumed = 0;
  /** Credit that the client has not been told of. */
  unannounced = 0;
  /** Body bytes that `content-length` has announced and that have not come; undefined: not announced. */
  #bodyLeft: number | undefined;
  #responded = false;
  #ended = false;
  #unsent: Unsent[] | undefined;
  #unsentBytes = 0;
  /** What follows the unsent bytes. */
  #trailers: Uint8Array | undefined;

  constructor(
    host: StreamHost,
    id: number,
    sendWindow: number,
    receiveWindow: number,
    contentLength: number | undefined,
    openedAtMs: number,
  ) {
    this.#host = host;
    this.id = id;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
    this.#bodyLeft = contentLength;
    this.openedAtMs = openedAtMs;
  }

  get peer(): string {
    return this.#host.peer;
  }

  get peerIdentity(): string | undefined {
    return this.#host.peerIdentity;
  }

  get open(): boolean {
    return !this.#ended && !this.closed;
  }

  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  respond(block: Uint8Array): void {
    if (!this.open || this.#responded) return;
    this.#responded = true;
    this.#host.sender.writeHeaders(this, block, false);
  }

  write(prefix: Uint8Array, bytes: Uint8Array): void {
    if (!this.open) return;
    const { sender } = this.#host;
    const length = prefix.length + bytes.length;
    const now = this.#unsentBytes === 0 && length <= FRAME_BYTES_MAX && sender.mayWrite;
    if (now && length <= this.sendWindow && length <= sender.sendWindow) {
      sender.writeData(this, prefix, bytes, 0, bytes.length);
      return;
    }
    if (length === 0) return;
    this.#unsent ??= [];
    if (prefix.length > 0) this.#unsent.push({ bytes: prefix.slice(), start: 0 });
    if (bytes.length > 0) this.#unsent.push({ bytes: bytes.slice(), start: 0 });
    this.#unsentBytes += length;
    sender.queued(this, length);
  }

  end(block: Uint8Array): void {
    if (!this.open) return;
    this.#ended = true;
    if (this.#unsentBytes > 0) this.#trailers = block;
    else this.#finish(block);
  }

  reset(code: ErrorCode): void {
    if (this.closed) return;
    this.#host.sender.reset(this.id, code);
    this.#close(true);
  }

  consume(bytes: number): void {
    if (this.closed) return;
    this.#unconsumed -= bytes;
    this.#host.credit(this, bytes);
  }

  /** Sends one DATA frame of what is unsent, as far as the windows let it. @returns the bytes sent. */
  sendUnsent(): number {
    const first = this.#unsent?.[0];
    if (first === undefined) return 0;
    const { sender } = this.#host;
    const room = Math.min(FRAME_BYTES_MAX, this.sendWindow, sender.sendWindow);
    const end = Math.min(first.bytes.length, first.start + room);
    const sent = end - first.start;
    if (sent <= 0) return 0;
    sender.writeData(this, NOTHING, first.bytes, first.start, end);
    first.start = end;
    if (end === first.bytes.length) this.#unsent!.shift();
    this.#unsentBytes -= sent;
    if (this.#unsentBytes > 0) return sent;
    if (this.#trailers !== undefined) this.#finish(this.#trailers);
    else this.receiver.drained();
    return sent;
  }

  /** Body bytes have come, within the windows. @returns false if they are more than `content-length` says. */
  received(buffer: Buffer, start: number, end: number): boolean {
    this.#unconsumed += end - start;
    if (this.#bodyLeft !== undefined) {
      this.#bodyLeft -= end - start;
      if (this.#bodyLeft < 0) return false;
    }
    if (this.#ended) this.consume(end - start);
    else this.receiver.data(buffer, start, end);
    return true;
  }

  /** The client has ended its request. @returns false if that is less than `content-length` says. */
  receivedEnd(): boolean {
    if (this.#bodyLeft !== undefined && this.#bodyLeft !== 0) return false;
    this.remoteClosed = true;
    if (!this.#ended) this.receiver.ended();
    return true;
  }

  /** The client has reset it, or the connection is gone: nothing is sent any more. */
  lose(code: ErrorCode): void {
    if (this.closed) return;
    const told = this.#ended;
    this.#close(false);
    if (!told) this.receiver.closed(code);
  }

  /** The client has broken a rule. */
  fail(code: ErrorCode): void {
    if (this.closed) return;
    const told = this.#ended;
    this.reset(code);
    if (!told) this.receiver.closed(code);
  }

  #finish(block: Uint8Array): void {
    const { sender } = this.#host;
    sender.writeHeaders(this, block, true);
    if (!this.remoteClosed) sender.reset(this.id, ErrorCode.NO_ERROR);
    this.#close(!this.remoteClosed);
  }

  #close(resetByUs: boolean): void {
    this.closed = true;
    this.#unsent = undefined;
    this.#trailers = undefined;
    if (this.#unconsumed > 0) this.#host.credit(undefined, this.#unconsumed);
    this.#unconsumed = 0;
    this.#host.streamClosed(this, resetByUs);
    this.#unsentBytes = 0;
  }
}
