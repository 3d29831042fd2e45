// The byte budget of a worker: what is admitted and not answered yet may never be more.
//
// Backpressure comes before refusal. A batch that finds no room waits, and its stream is not read meanwhile (HTTP/2 flow
// control holds the client); only a batch that has waited too long, or comes when too much waits already, is refused, with
// the time after which a retry makes sense. Waiting is first come, first served, so a large batch cannot starve.

import type { Clock, Timer } from "../clock.ts";
import { Code, IngestError } from "../errors.ts";
import type { Gauge } from "../telemetry/instruments.ts";
import type { Metrics } from "../telemetry/metrics.ts";

/** What a batch costs beside its bytes: its own objects and those of its call. */
const BATCH_OVERHEAD_BYTES = 512;

/** Over how long the rate of release is measured, at most. */
const RATE_WINDOW_MS = 10_000;

interface Waiter {
  readonly bytes: number;
  readonly admit: () => void;
  readonly timer: Timer;
}

export interface AdmissionOptions {
  /** The budget, in bytes. */
  readonly bytesMax: number;
  /** How long a batch may wait for room. */
  readonly timeoutMs: number;
}

export class Admission {
  readonly #clock: Clock;
  readonly #options: AdmissionOptions;
  readonly #waiting = new Set<Waiter>();
  #admittedBytes = 0;
  #waitingBytes = 0;
  #releasedBytes = 0;
  #releasedSinceMs: number;
  readonly #admittedGauge: Gauge;
  readonly #waitingGauge: Gauge;

  constructor(clock: Clock, metrics: Metrics, options: AdmissionOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#releasedSinceMs = clock.monotonic();
    this.#admittedGauge = metrics.admittedBytes.with();
    this.#waitingGauge = metrics.admissionWaiting.with();
    metrics.admittedBytesLimit.with().set(options.bytesMax);
  }

  get admittedBytes(): number {
    return this.#admittedBytes;
  }

  get waitingBatches(): number {
    return this.#waiting.size;
  }

  /** What a message of this size takes of the budget. */
  cost(messageBytes: number): number {
    return messageBytes + BATCH_OVERHEAD_BYTES;
  }

  /** Admits at once, or says no without a trace. */
  tryAdmit(cost: number): boolean {
    if (this.#waiting.size > 0 || !this.#hasRoom(cost)) return false;
    this.#take(cost);
    return true;
  }

  /**
   * Waits for room. Whoever is admitted has to `release` the same cost.
   *
   * @throws IngestError RESOURCE_EXHAUSTED, with the delay after which to retry.
   */
  async admit(cost: number): Promise<void> {
    if (this.tryAdmit(cost)) return;
    // As much may wait as is admitted: unary calls are held in memory while they wait.
    if (this.#waitingBytes + cost > this.#options.bytesMax) throw this.#exhausted();
    if (this.#waiting.size === 0) this.#startRate();
    await new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        bytes: cost,
        admit: resolve,
        timer: this.#clock.setTimeout(() => {
          this.#leave(waiter);
          reject(this.#exhausted());
          // It may have been the one at the head, too large for the room that those behind it would fit into.
          this.#admitWaiting();
        }, this.#options.timeoutMs),
      };
      this.#waiting.add(waiter);
      this.#waitingBytes += cost;
      this.#waitingGauge.set(this.#waiting.size);
    });
  }

  release(cost: number): void {
    this.#take(-cost);
    this.#releasedBytes += cost;
    if (this.#waiting.size > 0) this.#admitWaiting();
  }

  /** A batch larger than the whole budget is admitted when it is alone. */
  #hasRoom(cost: number): boolean {
    return this.#admittedBytes + cost <= this.#options.bytesMax || this.#admittedBytes === 0;
  }

  #admitWaiting(): void {
    for (const waiter of this.#waiting) {
      if (!this.#hasRoom(waiter.bytes)) return;
      this.#leave(waiter);
      this.#take(waiter.bytes);
      waiter.admit();
    }
  }

  #leave(waiter: Waiter): void {
    this.#clock.clearTimeout(waiter.timer);
    this.#waiting.delete(waiter);
    this.#waitingBytes -= waiter.bytes;
    this.#waitingGauge.set(this.#waiting.size);
  }

  #take(cost: number): void {
    this.#admittedBytes += cost;
    this.#admittedGauge.set(this.#admittedBytes);
  }

  /** What was released while nobody waited tells nothing of how fast it can be. */
  #startRate(): void {
    this.#releasedSinceMs = this.#clock.monotonic();
    this.#releasedBytes = 0;
  }

  /** The delay is what the backlog takes at the recent rate of release, between 100 ms and 30 s. */
  #exhausted(): IngestError {
    const now = this.#clock.monotonic();
    const elapsedMs = Math.max(1, now - this.#releasedSinceMs);
    const bytesPerMs = this.#releasedBytes / elapsedMs;
    if (elapsedMs > RATE_WINDOW_MS) {
      // The older half of the window is forgotten, as far as a sum can tell.
      this.#releasedSinceMs = now - elapsedMs / 2;
      this.#releasedBytes /= 2;
    }
    const backlogBytes = this.#admittedBytes + this.#waitingBytes;
    const retryDelayMs = Math.min(30_000, Math.max(100, bytesPerMs > 0 ? backlogBytes / bytesPerMs : 30_000));
    return new IngestError(
      Code.RESOURCE_EXHAUSTED,
      `no room: ${this.#admittedBytes} bytes of batches wait to be stored (ADMITTED_BYTES_MAX ${this.#options.bytesMax}); send again later`,
      { retryable: true, retryDelayMs: Math.round(retryDelayMs) },
    );
  }
}
