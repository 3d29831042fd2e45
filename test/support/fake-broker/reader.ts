// Requests as they come off a socket: frames over a list of chunks, read without joining them.
//
// Rejected: joining every frame into one buffer (quadratic when it is done per chunk, and a copy of all record bytes even
// when it is done once), and the client library's own Reader: a double that shares its codecs with the code under test
// shares its mistakes. A frame is handed out when its last byte is here, as a cursor over the chunks it lies in; what is
// only skipped, as record bytes are by a stand-in that just acknowledges, is never touched.

/** What the peer sent is not the Kafka protocol, or not a version that the double speaks. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/** A broker's default socket.request.max.bytes. */
const FRAME_BYTES_MAX = 104_857_600;

/** Cuts a stream of bytes into frames: size INT32, then that many bytes. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #position = 0;
  #available = 0;

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#available += chunk.length;
  }

  /** The next whole frame, if all its bytes are here. */
  next(): ByteReader | undefined {
    if (this.#available < 4) return undefined;
    const size = new ByteReader(this.#chunks, this.#position, 4).int32();
    if (size < 0 || size > FRAME_BYTES_MAX) throw new ProtocolError(`a frame of ${size} bytes`);
    if (this.#available < 4 + size) return undefined;
    const frame = new ByteReader(this.#chunks, this.#position, 4 + size);
    frame.skip(4);
    this.#consume(4 + size);
    return frame;
  }

  #consume(bytes: number): void {
    this.#available -= bytes;
    let end = this.#position + bytes;
    let whole = 0;
    while (whole < this.#chunks.length && end >= this.#chunks[whole]!.length) end -= this.#chunks[whole++]!.length;
    // A new array: readers of earlier frames keep the old one.
    if (whole > 0) this.#chunks = this.#chunks.slice(whole);
    this.#position = end;
  }
}

/**
 * A cursor over `length` bytes that begin at `position` of the first chunk. Numbers are big-endian. With `flexible` set,
 * strings, byte fields and arrays have the compact form of flexible versions, and `tags` reads a tag section; otherwise
 * they have the old form, and `tags` reads nothing.
 */
export class ByteReader {
  flexible = false;
  readonly #chunks: readonly Buffer[];
  #index = 0;
  #chunk: Buffer;
  #position: number;
  #remaining: number;

  constructor(chunks: readonly Buffer[], position: number, length: number) {
    this.#chunks = chunks;
    this.#chunk = chunks[0] ?? Buffer.alloc(0);
    this.#position = position;
    this.#remaining = length;
  }

  get remaining(): number {
    return this.#remaining;
  }

  int8(): number {
    const at = this.#claim(1);
    return this.#chunk.readInt8(at);
  }

  boolean(): boolean {
    return this.int8() !== 0;
  }

  int16(): number {
    if (this.#straddles(2)) return this.take(2).readInt16BE(0);
    return this.#chunk.readInt16BE(this.#claim(2));
  }

  int32(): number {
    if (this.#straddles(4)) return this.take(4).readInt32BE(0);
    return this.#chunk.readInt32BE(this.#claim(4));
  }

  int64(): bigint {
    if (this.#straddles(8)) return this.take(8).readBigInt64BE(0);
    return this.#chunk.readBigInt64BE(this.#claim(8));
  }

  unsignedVarint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.int8();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte >= 0) return value;
    }
    throw new ProtocolError("a varint of more than 5 bytes");
  }

  nullableString(): string | null {
    const length = this.flexible ? this.unsignedVarint() - 1 : this.int16();
    return length < 0 ? null : this.take(length).toString("utf8");
  }

  string(): string {
    const value = this.nullableString();
    if (value === null) throw new ProtocolError("null where a string is required");
    return value;
  }

  uuid(): string {
    return this.take(16).toString("hex");
  }

  /** The length of a byte field or the count of an array; -1 is null. */
  length(): number {
    return this.flexible ? this.unsignedVarint() - 1 : this.int32();
  }

  nullableArray<T>(element: () => T): T[] | null {
    const count = this.length();
    if (count < 0) return null;
    if (count > this.#remaining) throw new ProtocolError(`an array of ${count} elements in ${this.#remaining} bytes`);
    return Array.from({ length: count }, element);
  }

  array<T>(element: () => T): T[] {
    const elements = this.nullableArray(element);
    if (elements === null) throw new ProtocolError("null where an array is required");
    return elements;
  }

  tags(): void {
    if (!this.flexible) return;
    for (let left = this.unsignedVarint(); left > 0; left--) {
      this.unsignedVarint();
      this.skip(this.unsignedVarint());
    }
  }

  skip(bytes: number): void {
    if (bytes > this.#remaining) throw new ProtocolError(`the frame ends ${bytes - this.#remaining} bytes early`);
    this.#remaining -= bytes;
    this.#position += bytes;
    while (this.#position > this.#chunk.length) this.#advance();
  }

  /** The next bytes in one piece: a view if they lie in one chunk, else a copy. */
  take(bytes: number): Buffer {
    if (bytes > this.#remaining) throw new ProtocolError(`the frame ends ${bytes - this.#remaining} bytes early`);
    if (!this.#straddles(bytes)) {
      const at = this.#claim(bytes);
      return this.#chunk.subarray(at, at + bytes);
    }
    const whole = Buffer.allocUnsafe(bytes);
    for (let filled = 0; filled < bytes;) {
      if (this.#position === this.#chunk.length) this.#advance();
      const copied = this.#chunk.copy(whole, filled, this.#position, this.#position + bytes - filled);
      filled += copied;
      this.#position += copied;
    }
    this.#remaining -= bytes;
    return whole;
  }

  #straddles(bytes: number): boolean {
    if (this.#position === this.#chunk.length && bytes > 0 && this.#index + 1 < this.#chunks.length) this.#advance();
    return this.#position + bytes > this.#chunk.length;
  }

  #claim(bytes: number): number {
    if (bytes > this.#remaining) throw new ProtocolError(`the frame ends ${bytes - this.#remaining} bytes early`);
    if (this.#position === this.#chunk.length && bytes > 0) this.#advance();
    const at = this.#position;
    this.#position += bytes;
    this.#remaining -= bytes;
    return at;
  }

  #advance(): void {
    const next = this.#chunks[this.#index + 1];
    if (next === undefined) throw new ProtocolError("the frame ends early");
    this.#position -= this.#chunk.length;
    this.#index += 1;
    this.#chunk = next;
  }
}
