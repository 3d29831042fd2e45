// How fast a backlog has been going away lately, and so when somebody who found no room should come back.
//
//   delay = bytes that have to go first / recent rate, 100 ms to 30 s, ±20 %
//
// The rate is measured over the last ten seconds, but only while the backlog is large: what drains while hardly anything comes
// says how little came, not how fast it could go. When nothing has gone for a while, the delay is at least as long as that
// while, so that it doubles from one attempt to the next. Rejected: measuring from the first refusal on. At the moment of the
// first refusals nothing is known then, and every client is sent away for the longest time.
//
// Invariants: the delay is never the same for all who are refused at once; it stays within its bounds with the jitter.

import type { Clock } from "../clock.ts";

const BUCKET_MS = 1_000;
const BUCKETS = 10;

const DELAY_MIN_MS = 100;
const DELAY_MAX_MS = 30_000;
/** Clients that were refused together come back over a time of twice this part of their delay. */
const JITTER = 0.2;

export class DrainRate {
  readonly #clock: Clock;
  readonly #random: () => number;
  /** By bucket: bytes that went, and milliseconds of a large backlog. */
  readonly #bytes = new Float64Array(BUCKETS);
  readonly #busyMs = new Float64Array(BUCKETS);
  /** What the buckets cover ends here. */
  #untilMs: number;
  #backlogBytes = 0;
  /** When something went last, or the backlog became large. */
  #movedMs: number;
  readonly #largeBytes: number;

  /**
   * @param random a number in [0, 1).
   * @param largeBytes from how many bytes on a backlog drains as fast as it can.
   */
  constructor(clock: Clock, random: () => number, largeBytes: number) {
    this.#clock = clock;
    this.#random = random;
    this.#largeBytes = largeBytes;
    this.#untilMs = clock.monotonic();
    this.#movedMs = this.#untilMs;
  }

  /** Bytes came to the backlog. */
  added(bytes: number): void {
    if (!this.#isLarge() && this.#backlogBytes + bytes >= this.#largeBytes) {
      this.#movedMs = this.#clock.monotonic();
      this.#advance(this.#movedMs);
    }
    this.#backlogBytes += bytes;
  }

  /** Bytes went from it. @param nowMs on the monotonic clock. */
  drained(bytes: number, nowMs = this.#clock.monotonic()): void {
    if (this.#isLarge()) {
      this.#advance(nowMs);
      this.#bytes[bucketOf(nowMs)]! += bytes;
      this.#movedMs = nowMs;
    }
    this.#backlogBytes -= bytes;
  }

  /** After how many milliseconds so many bytes will have gone, as far as one can tell. */
  retryDelayMs(bytesToGo: number): number {
    const nowMs = this.#clock.monotonic();
    this.#advance(nowMs);
    const bytes = sum(this.#bytes);
    const stillMs = this.#isLarge() ? nowMs - this.#movedMs : 0;
    const estimateMs = bytes > 0 ? (bytesToGo * sum(this.#busyMs)) / bytes : 0;
    const delayMs = Math.max(DELAY_MIN_MS / (1 - JITTER), stillMs, estimateMs);
    const jitter = 1 - JITTER + 2 * JITTER * this.#random();
    return Math.round(Math.min(DELAY_MAX_MS / (1 + JITTER), delayMs) * jitter);
  }

  #isLarge(): boolean {
    return this.#backlogBytes >= this.#largeBytes;
  }

  /** Gives the time since the last call to the buckets, and empties those that have become too old. */
  #advance(nowMs: number): void {
    let fromMs = Math.max(this.#untilMs, nowMs - BUCKETS * BUCKET_MS);
    this.#untilMs = nowMs;
    for (;;) {
      const endMs = (Math.floor(fromMs / BUCKET_MS) + 1) * BUCKET_MS;
      if (this.#isLarge()) this.#busyMs[bucketOf(fromMs)]! += Math.min(endMs, nowMs) - fromMs;
      if (endMs > nowMs) return;
      fromMs = endMs;
      this.#bytes[bucketOf(fromMs)] = 0;
      this.#busyMs[bucketOf(fromMs)] = 0;
    }
  }
}

function bucketOf(ms: number): number {
  return Math.floor(ms / BUCKET_MS) % BUCKETS;
}

function sum(numbers: Float64Array): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
