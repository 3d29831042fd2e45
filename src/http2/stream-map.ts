// The open streams of a connection by their identifiers: an open-addressed table with linear probing.
//
// Identifiers are odd and go up, so that `id >> 1` spreads the open ones evenly, and a look-up nearly always hits at once. Rejected:
// Map. It costs twice as much for keys that come and go with each request, and its discarded tables keep streams reachable
// (see linked-list.ts).

import type { Stream } from "./stream.ts";

const SLOTS_MIN = 16;

export class StreamMap {
  #slots: (Stream | undefined)[] = emptySlots(SLOTS_MIN);
  #mask = SLOTS_MIN - 1;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): Stream | undefined {
    const slots = this.#slots;
    let slot = (id >> 1) & this.#mask;
    for (;;) {
      const stream = slots[slot];
      if (stream === undefined || stream.id === id) return stream;
      slot = (slot + 1) & this.#mask;
    }
  }

  /** @param stream whose identifier is not in the table. */
  add(stream: Stream): void {
    if (2 * (this.#size + 1) > this.#slots.length) this.#resize(2 * this.#slots.length);
    this.#size++;
    this.#place(stream);
  }

  delete(id: number): void {
    const slots = this.#slots;
    let hole = (id >> 1) & this.#mask;
    while (slots[hole] !== undefined && slots[hole]!.id !== id) hole = (hole + 1) & this.#mask;
    if (slots[hole] === undefined) return;
    this.#size--;
    // Whoever was moved on by probing moves back, so that no look-up ends too early.
    for (let slot = (hole + 1) & this.#mask; slots[slot] !== undefined; slot = (slot + 1) & this.#mask) {
      const home = (slots[slot]!.id >> 1) & this.#mask;
      if (((slot - home) & this.#mask) >= ((slot - hole) & this.#mask)) {
        slots[hole] = slots[slot];
        hole = slot;
      }
    }
    slots[hole] = undefined;
  }

  /** Gives back what a burst has taken; to be called now and then, because bursts come again. */
  shrink(): void {
    if (this.#slots.length > SLOTS_MIN && 16 * this.#size < this.#slots.length) this.#resize(this.#slots.length / 4);
  }

  /** The streams as they are now, in no order. */
  toArray(): Stream[] {
    return this.#slots.filter((stream) => stream !== undefined);
  }

  #place(stream: Stream): void {
    let slot = (stream.id >> 1) & this.#mask;
    while (this.#slots[slot] !== undefined) slot = (slot + 1) & this.#mask;
    this.#slots[slot] = stream;
  }

  #resize(length: number): void {
    const streams = this.toArray();
    // A discarded table must keep nobody reachable.
    this.#slots.fill(undefined);
    const slots = Math.max(SLOTS_MIN, length);
    this.#slots = emptySlots(slots);
    this.#mask = slots - 1;
    for (const stream of streams) this.#place(stream);
  }
}

function emptySlots(count: number): (Stream | undefined)[] {
  return Array.from<undefined>({ length: count }).fill(undefined);
}
