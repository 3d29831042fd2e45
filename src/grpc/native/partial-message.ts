// A request message of which not everything has come yet, in the one buffer in which it is put together.
//
//   Length-Prefixed-Message := Compressed-Flag:uint8 Message-Length:uint32be Message:byte[Message-Length]
//
// A length up to 128 KiB is believed while half of the budget stays free: the buffer has it at once, and no byte is copied
// twice. Else the buffer grows with the bytes that came, not with those that were announced: a client that announces 4 MiB
// and sends one byte costs 32 KiB. Growing by four at a time, bytes are copied a third more often.

import type { Linked } from "../../linked-list.ts";
import type { MessageBuffers } from "./message-buffers.ts";

const PREFIX_BYTES = 5;
const FIRST_BYTES = 32 << 10;
const GROWTH = 4;
const BELIEVED_BYTES_MAX = 128 << 10;

/** Whose message it is. */
export interface MessageOwner {
  /** The message has taken longer than it may. */
  timedOut(): void;
  /** The memory is needed for another one. */
  evicted(): void;
}

export class PartialMessage implements Linked<PartialMessage> {
  readonly owner: MessageOwner;
  /** Zero or one. Right once the prefix is complete, as is `length`. */
  flag = 0;
  /** The message's length without its prefix. */
  length = 0;
  #prefixBytes = 0;
  /** Bytes of the message that have come. */
  #bodyBytes = 0;
  #buffer: Buffer | undefined;

  // Of IncompleteMessages, whose list this is a node of.
  sinceMs = 0;
  previous: PartialMessage | undefined;
  next: PartialMessage | undefined;

  constructor(owner: MessageOwner) {
    this.owner = owner;
  }

  get hasPrefix(): boolean {
    return this.#prefixBytes === PREFIX_BYTES;
  }

  get hasBody(): boolean {
    return this.#bodyBytes > 0;
  }

  get complete(): boolean {
    return this.hasPrefix && this.#bodyBytes === this.length;
  }

  /** Takes what of `buffer[start, end)` is prefix. @returns where the rest begins. */
  takePrefix(buffer: Buffer, start: number, end: number): number {
    let at = start;
    for (; this.#prefixBytes < PREFIX_BYTES && at < end; this.#prefixBytes++, at++) {
      if (this.#prefixBytes === 0) this.flag = buffer[at]!;
      else this.length = this.length * 256 + buffer[at]!;
    }
    return at;
  }

  /** Copies what of `buffer[start, end)` is this message's. @returns where the rest begins; -1: there is no memory for it. */
  takeBody(buffers: MessageBuffers, buffer: Buffer, start: number, end: number): number {
    const taken = Math.min(end - start, this.length - this.#bodyBytes);
    const needed = this.#bodyBytes + taken;
    const held = this.#buffer?.length ?? 0;
    if (needed > held) {
      const believed = this.length <= BELIEVED_BYTES_MAX && buffers.leavesHalf(this.length);
      const grown = Math.max(needed, held === 0 ? FIRST_BYTES : held * GROWTH);
      const larger = buffers.acquire(believed ? this.length : Math.min(this.length, grown), this.owner);
      if (larger === undefined) return -1;
      if (this.#buffer !== undefined) {
        this.#buffer.copy(larger, 0, 0, this.#bodyBytes);
        buffers.release(this.#buffer);
      }
      this.#buffer = larger;
    }
    if (taken > 0) buffer.copy(this.#buffer!, this.#bodyBytes, start, start + taken);
    this.#bodyBytes = needed;
    return start + taken;
  }

  /** The buffer that `takeBody` has filled, which is the caller's from now on. Undefined for a message without bytes. */
  detach(): Buffer | undefined {
    const buffer = this.#buffer;
    this.#buffer = undefined;
    return buffer;
  }
}
