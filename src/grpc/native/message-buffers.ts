// Memory for request messages that are not complete, or that wait because their call is paused: a pool with a budget.
//
// Everything that a client can make the server keep before a handler has seen it is taken from here, so one figure bounds it
// for the worker, whatever the number of connections and streams. Sizes are powers of two, so that a buffer given back fits
// the next message of about its length; what is kept for that is bounded, too. Rejected: Buffer.concat over what came (a copy
// for every frame), and a fresh buffer for each message (the collector's largest single cost under load).
//
// Invariant: every buffer goes back exactly once, and nobody reads it after that; `usedBytes` is 0 when no call holds one.

import type { Gauge } from "../../telemetry/instruments.ts";

const BUFFER_BYTES_MIN = 1 << 10;

/** What is kept for later, as a part of the budget. */
const KEPT_SHARE = 1 / 4;

export interface MessageBuffersOptions {
  /** The budget in bytes (GRPC_RECEIVE_BYTES_MAX). */
  readonly bytesMax: number;
  /** Makes room by ending a call other than the one that asks. False: there is none to end. */
  readonly evict: (requester: object) => boolean;
}

export class MessageBuffers {
  readonly #gauge: Gauge;
  readonly #options: MessageBuffersOptions;
  /** Buffers nobody holds, by the binary logarithm of their size. */
  readonly #kept: Buffer[][] = Array.from({ length: 33 }, () => []);
  #keptBytes = 0;
  #usedBytes = 0;

  constructor(gauge: Gauge, options: MessageBuffersOptions) {
    this.#gauge = gauge;
    this.#options = options;
  }

  /** Bytes of the budget that are taken. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Bytes of buffers that are kept for later. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** Would half of the budget be free beside a buffer of at least this size? */
  leavesHalf(bytes: number): boolean {
    return this.#usedBytes + 2 ** exponentOf(bytes) <= this.#options.bytesMax / 2;
  }

  /**
   * A buffer of at least this size, whose content is anything. Undefined: there is no room in the budget.
   *
   * @param requester the call that asks; it is not the one that is ended to make room.
   */
  acquire(bytes: number, requester: object): Buffer | undefined {
    const exponent = exponentOf(bytes);
    const size = 2 ** exponent;
    if (!this.reserve(size, requester)) return undefined;
    const kept = this.#kept[exponent]!.pop();
    if (kept === undefined) return Buffer.allocUnsafeSlow(size);
    this.#keptBytes -= size;
    return kept;
  }

  /** Gives a buffer back that `acquire` gave. */
  release(buffer: Buffer): void {
    const size = buffer.length;
    this.unreserve(size);
    if (this.#keptBytes + size > this.#options.bytesMax * KEPT_SHARE) return;
    this.#kept[exponentOf(size)]!.push(buffer);
    this.#keptBytes += size;
  }

  /** Takes bytes of the budget for memory that is not the pool's own. False: there is no room. */
  reserve(bytes: number, requester: object): boolean {
    while (this.#usedBytes + bytes > this.#options.bytesMax) if (!this.#options.evict(requester)) return false;
    this.#set(this.#usedBytes + bytes);
    return true;
  }

  unreserve(bytes: number): void {
    this.#set(this.#usedBytes - bytes);
  }

  #set(usedBytes: number): void {
    this.#usedBytes = usedBytes;
    this.#gauge.value = usedBytes;
  }
}

/** The binary logarithm of the smallest size that holds these bytes. */
function exponentOf(bytes: number): number {
  return bytes <= BUFFER_BYTES_MIN ? 10 : 32 - Math.clz32(bytes - 1);
}
