// Answers on their way out: one growing buffer, one method per type of the protocol.

/**
 * Writes one response frame. With `flexible`, strings and arrays have the compact form and `tags` writes an empty tag
 * section; otherwise they have the old form and `tags` writes nothing.
 */
export class ByteWriter {
  readonly flexible: boolean;
  #buffer = Buffer.allocUnsafe(256);
  #length = 0;

  constructor(flexible: boolean) {
    this.flexible = flexible;
  }

  /** A frame for a response: room for its size, the correlation id, and a tag section if the header has one. */
  static response(correlationId: number, flexible: boolean, headerTags = flexible): ByteWriter {
    const writer = new ByteWriter(flexible).int32(0).int32(correlationId);
    return headerTags ? writer.unsignedVarint(0) : writer;
  }

  /** The bytes written since the beginning, without a frame's size filled in. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** The whole frame. */
  frame(): Buffer {
    this.#buffer.writeInt32BE(this.#length - 4, 0);
    return this.bytes();
  }

  int8(value: number): this {
    const at = this.#grow(1);
    this.#buffer.writeInt8(value, at);
    return this;
  }

  boolean(value: boolean): this {
    return this.int8(value ? 1 : 0);
  }

  int16(value: number): this {
    const at = this.#grow(2);
    this.#buffer.writeInt16BE(value, at);
    return this;
  }

  int32(value: number): this {
    const at = this.#grow(4);
    this.#buffer.writeInt32BE(value, at);
    return this;
  }

  int64(value: bigint): this {
    const at = this.#grow(8);
    this.#buffer.writeBigInt64BE(value, at);
    return this;
  }

  unsignedVarint(value: number): this {
    let rest = value;
    while (rest > 0x7f) {
      this.int8(((rest & 0x7f) | 0x80) - 256);
      rest = Math.floor(rest / 128);
    }
    return this.int8(rest);
  }

  string(value: string | null): this {
    const length = value === null ? -1 : Buffer.byteLength(value);
    if (this.flexible) this.unsignedVarint(length + 1);
    else this.int16(length);
    if (value !== null) {
      const at = this.#grow(length);
      this.#buffer.write(value, at, "utf8");
    }
    return this;
  }

  uuid(hex: string): this {
    return this.raw(Buffer.from(hex, "hex"));
  }

  raw(bytes: Buffer): this {
    const at = this.#grow(bytes.length);
    bytes.copy(this.#buffer, at);
    return this;
  }

  array<T>(elements: readonly T[] | null, write: (element: T) => unknown): this {
    const count = elements === null ? -1 : elements.length;
    if (this.flexible) this.unsignedVarint(count + 1);
    else this.int32(count);
    for (const element of elements ?? []) write(element);
    return this;
  }

  /** A tag section, of flexible versions only: tag number and content each. */
  tags(...tags: readonly (readonly [tag: number, content: Buffer])[]): this {
    if (!this.flexible) return this;
    this.unsignedVarint(tags.length);
    for (const [tag, content] of tags) this.unsignedVarint(tag).unsignedVarint(content.length).raw(content);
    return this;
  }

  /** Where the next bytes go. Call it before reading `#buffer`, which it may replace. */
  #grow(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#length, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, at);
      this.#buffer = larger;
    }
    return at;
  }
}
