// Bytes that arrive in pieces and are needed in one: a frame cut by the end of a chunk, a header block over several frames.
//
// The buffer grows with what has really come, so a client that announces much and sends little costs little.

const FIRST_BYTES = 512;

export class Gathered {
  #buffer: Buffer = Buffer.alloc(0);
  length = 0;

  get buffer(): Buffer {
    return this.#buffer;
  }

  add(bytes: Buffer, start: number, end: number): void {
    const length = this.length + end - start;
    if (length > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(FIRST_BYTES, length, 2 * this.#buffer.length));
      this.#buffer.copy(grown, 0, 0, this.length);
      this.#buffer = grown;
    }
    bytes.copy(this.#buffer, this.length, start, end);
    this.length = length;
  }

  /** Forgets the bytes, and the memory with them: most connections never need it again. */
  clear(): void {
    this.#buffer = EMPTY;
    this.length = 0;
  }
}

const EMPTY = Buffer.alloc(0);
