// Body bytes that came while their call was paused, in order, until somebody takes them.
//
// They are copied, because what arrives is only lent, and no flow-control credit is given for them: so they are never more
// than the stream's window.

import type { MessageBuffers } from "./message-buffers.ts";

const CHUNK_BYTES_MIN = 4 << 10;

interface Chunk {
  readonly buffer: Buffer;
  start: number;
  end: number;
}

export class HeldBytes {
  readonly #chunks: Chunk[] = [];

  get empty(): boolean {
    return this.#chunks.length === 0;
  }

  /** Adds a copy of `buffer[start, end)`. @returns false if there is no memory for it. */
  push(buffers: MessageBuffers, requester: object, buffer: Buffer, start: number, end: number): boolean {
    let at = start;
    const last = this.#chunks.at(-1);
    if (last !== undefined) {
      const fits = Math.min(end - at, last.buffer.length - last.end);
      buffer.copy(last.buffer, last.end, at, at + fits);
      last.end += fits;
      at += fits;
    }
    if (at === end) return true;
    const fresh = buffers.acquire(Math.max(end - at, CHUNK_BYTES_MIN), requester);
    if (fresh === undefined) return false;
    buffer.copy(fresh, 0, at, end);
    this.#chunks.push({ buffer: fresh, start: 0, end: end - at });
    return true;
  }

  /** The oldest bytes. They are the caller's, who gives them back by `restore` or their buffer to the pool. */
  shift(): Chunk | undefined {
    return this.#chunks.shift();
  }

  /** Puts back what `shift` has given, from `start` on. */
  restore(chunk: Chunk, start: number): void {
    chunk.start = start;
    this.#chunks.unshift(chunk);
  }

  release(buffers: MessageBuffers): void {
    for (const { buffer } of this.#chunks) buffers.release(buffer);
    this.#chunks.length = 0;
  }
}
