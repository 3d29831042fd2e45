// Text as the bytes that it is sent as, written once and in place.
//
// Rejected: strings, put together at the end. 90,000 short ones are ropes until then, and what makes them flat, or bytes, takes
// as long as all the rest in one go.

const DIGIT_ZERO = 48;
/** Digits of the largest whole number that is written as one. */
const DIGITS_MAX = 16;

export class TextBuffer {
  #bytes: Buffer;
  #length = 0;

  /** @param bytes that it will probably take. */
  constructor(bytes: number) {
    this.#bytes = Buffer.allocUnsafe(bytes);
  }

  /** Bytes so far. */
  get length(): number {
    return this.#length;
  }

  text(text: string): void {
    // A UTF-16 unit is at most three bytes.
    this.#reserve(text.length * 3);
    this.#length += this.#bytes.write(text, this.#length, "utf8");
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Writes once more what lies at [start, end). */
  again(start: number, end: number): void {
    this.#reserve(end - start);
    this.#bytes.copyWithin(this.#length, start, end);
    this.#length += end - start;
  }

  /** As Go reads it. */
  number(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) {
      if (value === Number.POSITIVE_INFINITY) this.text("+Inf");
      else this.text(value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value));
      return;
    }
    this.#reserve(DIGITS_MAX);
    let digits = 1;
    for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits += 1;
    let rest = value;
    for (let at = this.#length + digits - 1; at >= this.#length; at--) {
      const next = Math.floor(rest / 10);
      this.#bytes[at] = DIGIT_ZERO + (rest - next * 10);
      rest = next;
    }
    this.#length += digits;
  }

  /** What was written; lent until more is. */
  view(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}
