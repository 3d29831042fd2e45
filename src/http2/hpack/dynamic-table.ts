// HPACK's dynamic table (RFC 7541 sections 2.3.2 and 4): what the peer has inserted, the newest first, at most so many bytes.
//
// A ring over two arrays. It begins small and doubles, since most connections insert ten entries, and thousands of connections
// are held; the number of entries is bounded by the table's bytes, as each counts for at least 32.

/** What an entry counts for beside the bytes of its name and value. */
export const ENTRY_OVERHEAD_BYTES = 32;

const SLOTS_AT_FIRST = 16;

export class DynamicTable {
  // Slots are a power of two; an empty one holds "", so that what is evicted is released.
  #names = emptySlots(SLOTS_AT_FIRST);
  #values = emptySlots(SLOTS_AT_FIRST);
  #newest = 0;
  #count = 0;
  #bytes = 0;
  #bytesMax: number;

  /** @param bytesMax as `resize` has it. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** How many entries there are. */
  get count(): number {
    return this.#count;
  }

  /** What they count for together. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @param age 0 for the newest entry; below `count`. */
  name(age: number): string {
    return this.#names[(this.#newest - age) & (this.#names.length - 1)]!;
  }

  /** @param age 0 for the newest entry; below `count`. */
  value(age: number): string {
    return this.#values[(this.#newest - age) & (this.#names.length - 1)]!;
  }

  /** Inserts an entry, for which older ones go. One that is larger than the table leaves it empty, which is no error. */
  add(name: string, value: string): void {
    const bytes = name.length + value.length + ENTRY_OVERHEAD_BYTES;
    this.#evict(this.#bytesMax - bytes);
    if (bytes > this.#bytesMax) return;
    if (this.#count === this.#names.length) this.#grow();
    this.#newest = (this.#newest + 1) & (this.#names.length - 1);
    this.#names[this.#newest] = name;
    this.#values[this.#newest] = value;
    this.#count++;
    this.#bytes += bytes;
  }

  /** @param bytesMax names and values in bytes, plus 32 for each entry. Older entries go until the rest fits. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#evict(bytesMax);
  }

  #evict(bytesMax: number): void {
    const mask = this.#names.length - 1;
    while (this.#count > 0 && this.#bytes > bytesMax) {
      const oldest = (this.#newest - this.#count + 1) & mask;
      this.#bytes -= this.#names[oldest]!.length + this.#values[oldest]!.length + ENTRY_OVERHEAD_BYTES;
      this.#names[oldest] = "";
      this.#values[oldest] = "";
      this.#count--;
    }
  }

  #grow(): void {
    const slots = this.#names.length * 2;
    const names = emptySlots(slots);
    const values = emptySlots(slots);
    for (let age = 0; age < this.#count; age++) {
      names[this.#count - 1 - age] = this.name(age);
      values[this.#count - 1 - age] = this.value(age);
    }
    this.#names = names;
    this.#values = values;
    this.#newest = this.#count - 1;
  }
}

function emptySlots(count: number): string[] {
  return Array.from({ length: count }, () => "");
}
