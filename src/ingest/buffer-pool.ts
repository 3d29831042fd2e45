// Buffers for record batches, used again.
//
// A fresh 256 KiB buffer for every batch made the garbage collector the largest cost of small batches (a factor of six on
// unary calls in the prototype). Sizes are powers of four, so that a buffer that was outgrown is at most copied a few times
// and a worker with thousands of quiet partitions does not hold a large buffer for each; and the size at which a batch is sealed
// by default, of which there are the most under load.

const CLASS_BYTES: readonly number[] = [4 << 10, 16 << 10, 64 << 10, 256 << 10, 512 << 10, 1 << 20];

export class BufferPool {
  readonly #free: Buffer[][] = CLASS_BYTES.map(() => []);
  readonly #keptBytesMax: number;
  #keptBytes = 0;
  #lentBuffers = 0;

  /** @param keptBytesMax how much the pool keeps for the next user, in bytes. */
  constructor(keptBytesMax: number) {
    this.#keptBytesMax = keptBytesMax;
  }

  /** Buffers that were taken and not given back; 0 when nothing is under way. */
  get lentBuffers(): number {
    return this.#lentBuffers;
  }

  /** A buffer of at least `bytes`, with whatever its last user left in it. */
  take(bytes: number): Buffer {
    this.#lentBuffers++;
    const size = CLASS_BYTES.findIndex((classBytes) => classBytes >= bytes);
    if (size < 0) return Buffer.allocUnsafeSlow(bytes);
    const buffer = this.#free[size]!.pop();
    if (buffer === undefined) return Buffer.allocUnsafeSlow(CLASS_BYTES[size]!);
    this.#keptBytes -= buffer.length;
    return buffer;
  }

  /** Nobody may hold a view of the buffer any more. */
  give(buffer: Buffer): void {
    this.#lentBuffers--;
    const free = this.#free[CLASS_BYTES.indexOf(buffer.length)];
    if (free === undefined || this.#keptBytes + buffer.length > this.#keptBytesMax) return;
    this.#keptBytes += buffer.length;
    free.push(buffer);
  }
}
