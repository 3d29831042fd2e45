// HEADERS and CONTINUATION (RFC 9113 sections 6.2 and 6.10): taken apart, put together, and decoded.
//
// A block is decoded whatever becomes of its stream, because later blocks depend on it. Nothing is made of priorities: the RFC has
// deprecated them, and only what would be malformed is looked for.

import { Budget } from "./budgets.ts";
import { ConnectionError, ErrorCode } from "./error-code.ts";
import { FRAME_BYTES_MAX, Flag, readUint31 } from "./frame.ts";
import { HeaderBlock } from "./header-block.ts";
import { HeaderDecoder } from "./hpack/decoder.ts";
import type { Penalties } from "./penalties.ts";
import type { Requests } from "./requests.ts";
import { HEADER_TABLE_BYTES } from "./settings.ts";

/** A header list that is so many times as large as its block was not compressed, but made to be. */
const HPACK_BOMB_RATIO = 10;

export class HeaderFrames {
  readonly #requests: Requests;
  readonly #penalties: Penalties;
  readonly #decoder: HeaderDecoder;
  readonly #block: HeaderBlock;
  /** Changes of the table's size that were paid for. */
  #sizeUpdates = 0;

  constructor(listBytesMax: number, requests: Requests, penalties: Penalties) {
    this.#requests = requests;
    this.#penalties = penalties;
    this.#decoder = new HeaderDecoder({ tableBytesMax: HEADER_TABLE_BYTES, listBytesMax });
    // Compressed, a list that is small enough is never larger, but for fields that the limit does not count.
    this.#block = new HeaderBlock(listBytesMax + FRAME_BYTES_MAX);
  }

  /** The stream whose block is not complete; 0: none. Nothing but its CONTINUATION may come. */
  get incompleteId(): number {
    return this.#block.streamId;
  }

  /** When that block began. */
  get startedAtMs(): number {
    return this.#block.startedAtMs;
  }

  /** Forgets it. */
  clear(): void {
    this.#block.clear();
  }

  /** HEADERS. @throws ConnectionError */
  begin(flags: number, id: number, buffer: Buffer, start: number, end: number): void {
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
    if ((flags & Flag.END_HEADERS) !== 0) this.#decode(id, endStream, buffer, from, to);
    else {
      this.#block.begin(id, endStream, this.#penalties.nowMs);
      this.#block.add(buffer, from, to);
    }
  }

  /** CONTINUATION. @throws ConnectionError */
  goOn(flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    const block = this.#block;
    if (id === 0 || block.streamId !== id) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS");
    }
    block.add(buffer, start, end);
    if ((flags & Flag.END_HEADERS) === 0) return;
    const { endStream, length } = block;
    const gathered = block.buffer;
    block.clear();
    this.#decode(id, endStream, gathered, 0, length);
  }

  #decode(id: number, endStream: boolean, buffer: Buffer, start: number, end: number): void {
    const decoder = this.#decoder;
    const list = decoder.decode(buffer, start, end);
    if (decoder.sizeUpdates !== this.#sizeUpdates) {
      this.#sizeUpdates = decoder.sizeUpdates;
      this.#penalties.spend(Budget.TABLE_SIZES);
    }
    const unfolded = list.tooLarge && decoder.listBytes > HPACK_BOMB_RATIO * (end - start);
    this.#requests.headers(id, list, endStream, unfolded);
  }
}
