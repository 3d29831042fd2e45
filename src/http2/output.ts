// What a connection has to write: frames are laid into pages, and everything of one turn of the event loop leaves in one write.
//
// Rejected: a buffer per frame and `writev` (an allocation and a descriptor per frame), and writing at once (a system call per
// answer: most of the cost of small answers).
//
// Invariants: bytes leave in the order in which they were laid; a page is given back only when the transport has said that
// it needs it no longer; while the transport is busy nothing is written to it.

import { FRAME_BYTES_MAX, Flag, FrameType, HEAD_BYTES, writeHead, writeUint32 } from "./frame.ts";
import { PAGE_BYTES, type PagePool } from "./page-pool.ts";
import type { Transport } from "./transport.ts";

/** Copying fewer bytes by hand is cheaper than the call. */
const SHORT_BYTES = 12;

/** What is laid into a page. */
interface Piece {
  readonly page: Buffer;
  readonly bytes: Uint8Array;
}

export class Output {
  readonly #transport: Transport;
  readonly #pages: PagePool;
  /** Pages that are full, oldest first. */
  #full: Piece[] = [];
  /** Pages that the transport has; it is busy until it has let go of them. */
  #sending: Piece[] = [];
  #page: Buffer | undefined;
  #at = 0;
  /** Bytes in full pages and in those that the transport has. */
  #behind = 0;
  /** Bytes that were ever handed to the transport. */
  sentBytes = 0;

  constructor(transport: Transport, pages: PagePool) {
    this.#transport = transport;
    this.#pages = pages;
  }

  /** Bytes that are laid down and not on the socket. */
  get unsentBytes(): number {
    return this.#behind + this.#at;
  }

  /** The transport has not taken all of the last write. */
  get busy(): boolean {
    return this.#sending.length > 0;
  }

  /** A DATA frame with at most FRAME_BYTES_MAX bytes: `prefix`, then `bytes[start, end)`. */
  data(id: number, flags: number, prefix: Uint8Array, bytes: Uint8Array, start: number, end: number): void {
    const length = prefix.length + end - start;
    const at = this.#reserve(HEAD_BYTES + length);
    const page = this.#page!;
    writeHead(page, at, length, FrameType.DATA, flags, id);
    copy(page, at + HEAD_BYTES, prefix, 0, prefix.length);
    copy(page, at + HEAD_BYTES + prefix.length, bytes, start, end);
  }

  /** A header block, as HEADERS and as many CONTINUATION frames as it takes. */
  headers(id: number, block: Uint8Array, endStream: boolean): void {
    let type: number = FrameType.HEADERS;
    let flags: number = endStream ? Flag.END_STREAM : 0;
    let start = 0;
    do {
      const end = Math.min(start + FRAME_BYTES_MAX, block.length);
      if (end === block.length) flags |= Flag.END_HEADERS;
      const at = this.#reserve(HEAD_BYTES + end - start);
      writeHead(this.#page!, at, end - start, type, flags, id);
      copy(this.#page!, at + HEAD_BYTES, block, start, end);
      type = FrameType.CONTINUATION;
      flags = 0;
      start = end;
    } while (start < block.length);
  }

  /** A frame whose payload is short, and anything else that is written as it is. */
  frame(type: number, flags: number, id: number, payload: Uint8Array): void {
    const at = this.#reserve(HEAD_BYTES + payload.length);
    writeHead(this.#page!, at, payload.length, type, flags, id);
    copy(this.#page!, at + HEAD_BYTES, payload, 0, payload.length);
  }

  /** WINDOW_UPDATE and RST_STREAM: a frame with one number. */
  number(type: number, id: number, value: number): void {
    const at = this.#reserve(HEAD_BYTES + 4);
    writeHead(this.#page!, at, 4, type, 0, id);
    writeUint32(this.#page!, at + HEAD_BYTES, value);
  }

  /** Bytes that are no frame. */
  raw(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length);
    copy(this.#page!, at, bytes, 0, bytes.length);
  }

  /** Hands everything to the transport, unless it is busy. */
  flush(): void {
    if (this.busy || this.unsentBytes === 0) return;
    if (this.#page !== undefined) this.#close();
    this.sentBytes += this.#behind;
    const sending = this.#full;
    this.#full = this.#sending;
    this.#sending = sending;
    const done =
      sending.length === 1
        ? this.#transport.write(sending[0]!.bytes)
        : this.#transport.writeAll(sending.map(({ bytes }) => bytes));
    if (done) this.drained();
  }

  /** The transport has let go of what it was given. */
  drained(): void {
    this.#releaseAll(this.#sending);
  }

  /** Gives every page back: the transport is gone. */
  dispose(): void {
    if (this.#page !== undefined) this.#close();
    this.#releaseAll(this.#full);
    this.drained();
  }

  #reserve(bytes: number): number {
    if (this.#page === undefined) this.#page = this.#pages.take();
    else if (this.#at + bytes > PAGE_BYTES) {
      this.#close();
      this.#page = this.#pages.take();
    }
    const at = this.#at;
    this.#at = at + bytes;
    return at;
  }

  #close(): void {
    const page = this.#page!;
    this.#full.push({ page, bytes: page.subarray(0, this.#at) });
    this.#behind += this.#at;
    this.#page = undefined;
    this.#at = 0;
  }

  /** Leaves the array empty, with its memory: there are pieces again in the next turn. */
  #releaseAll(pieces: Piece[]): void {
    for (let piece = pieces.pop(); piece !== undefined; piece = pieces.pop()) {
      this.#behind -= piece.bytes.length;
      this.#pages.give(piece.page);
    }
  }
}

function copy(out: Uint8Array, at: number, bytes: Uint8Array, start: number, end: number): void {
  if (end - start < SHORT_BYTES) for (let i = start; i < end; i++) out[at++] = bytes[i]!;
  else if (start === 0 && end === bytes.length) out.set(bytes, at);
  else out.set(bytes.subarray(start, end), at);
}
