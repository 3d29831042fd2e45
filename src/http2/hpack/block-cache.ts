// Header blocks of one connection that were decoded before, and what they decoded to.
//
// A gRPC client's requests differ in little but their bodies: once its headers are in the dynamic table, it sends the same ten
// bytes over and over. What a block means depends on its bytes and on the dynamic table alone, so, as long as the table stands
// unchanged, the list decoded before is the list again, along with what its user has made of it.
//
// Invariant: no block in here changes the table, and `clear` is called whenever the table changes.
//
// Looked up by comparing bytes, from the block that was asked for last on, without a hash: most connections send one to
// three different blocks, and reading a block once for a hash costs as much as comparing it. Blocks mostly begin alike, so they
// are compared from their ends.

import type { HeaderList } from "./header-list.ts";

/** Blocks longer than this carry literals that are seldom seen twice. */
const BLOCK_BYTES_MAX = 256;

const NOTHING: HeaderList = { fields: [], tooLarge: false, memo: undefined };

interface Slot {
  /** The block is the first `length` of them; the rest is what a longer block before has needed. */
  bytes: Uint8Array;
  length: number;
  list: HeaderList;
}

export class BlockCache {
  readonly #slots: Slot[] = [];
  readonly #slotsMax: number;
  /** Slots in use: the first ones. */
  #used = 0;
  /** The slot that was found or written last. */
  #recent = 0;

  /** @param blocksMax how many blocks are kept; 0: none. */
  constructor(blocksMax: number) {
    this.#slotsMax = blocksMax;
  }

  /** What the block `buffer[start, end)` decodes to, if that is known. */
  find(buffer: Uint8Array, start: number, end: number): HeaderList | undefined {
    const used = this.#used;
    let index = this.#recent;
    for (let i = 0; i < used; i++) {
      const slot = this.#slots[index]!;
      if (slot.length === end - start && equals(slot.bytes, buffer, start, slot.length)) {
        this.#recent = index;
        return slot.list;
      }
      index = index + 1 === used ? 0 : index + 1;
    }
    return undefined;
  }

  /** Keeps what a block decodes to, in place of another if need be, which is never the one used last. */
  keep(buffer: Uint8Array, start: number, end: number, list: HeaderList): void {
    const length = end - start;
    if (length > BLOCK_BYTES_MAX || this.#slotsMax === 0) return;
    const index = this.#used < this.#slotsMax ? this.#used++ : (this.#recent + 1) % this.#slotsMax;
    this.#recent = index;
    const slot = this.#slots[index];
    if (slot === undefined) {
      this.#slots.push({ bytes: Uint8Array.prototype.slice.call(buffer, start, end), length, list });
      return;
    }
    if (slot.bytes.length < length) slot.bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) slot.bytes[i] = buffer[start + i]!;
    slot.length = length;
    slot.list = list;
  }

  /** The dynamic table is another one now. */
  clear(): void {
    // What evicted entries were made of must not be held here.
    for (let i = 0; i < this.#used; i++) this.#slots[i]!.list = NOTHING;
    this.#used = 0;
    this.#recent = 0;
  }
}

function equals(block: Uint8Array, buffer: Uint8Array, start: number, length: number): boolean {
  for (let i = length - 1; i >= 0; i--) if (block[i] !== buffer[start + i]) return false;
  return true;
}
