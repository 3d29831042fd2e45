// The byte budget of a worker: what is admitted and not answered yet may never be more.
//
// Backpressure comes before refusal. A batch that finds no room waits, and its stream is not read meanwhile (HTTP/2 flow
// control holds the client); only a batch that has waited too long, or comes when too much waits already, is refused, with
// the time after which a retry makes sense. Waiting is first come, first served, so a large batch cannot starve.

import type { Clock, Timer } from "../clock.ts";
import { Code, IngestError } from "../errors.ts";
import type { Gauge } from "../telemetry/instruments.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { DrainRate } from "./drain-rate.ts";

/** What a batch costs beside its bytes: its own objects and those of its call. */
const BATCH_OVERHEAD_BYTES = 512;

/** With this part of the budget taken, batches are stored as fast as they can be. */
const LARGE_SHARE = 1 / 4;

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
  readonly #rate: DrainRate;
  readonly #admittedGauge: Gauge;
  readonly #waitingGauge: Gauge;

  /** @param random a number in [0, 1). */
  constructor(clock: Clock, metrics: Metrics, options: AdmissionOptions, random: () => number) {
    this.#clock = clock;
    this.#options = options;
    this.#rate = new DrainRate(clock, random, options.bytesMax * LARGE_SHARE);
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
    if (this.#waitingBytes + cost > this.#options.bytesMax) throw this.#exhausted(cost);
    await new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        bytes: cost,
        admit: resolve,
        timer: this.#clock.setTimeout(() => {
          this.#leave(waiter);
          reject(this.#exhausted(cost));
          // It may have been the one at the head, too large for the room that those behind it would fit into.
          this.#admitWaiting();
        }, this.#options.timeoutMs),
      };
      this.#waiting.add(waiter);
      this.#waitingBytes += cost;
      this.#waitingGauge.set(this.#waiting.size);
    });
  }

  /** Takes more for what is admitted already, be there room or not: what it grew by is there. It is to be released, too. */
  charge(bytes: number): void {
    this.#take(bytes);
  }

  /** @param nowMs on the monotonic clock, if it is known. */
  release(cost: number, nowMs?: number): void {
    this.#rate.drained(cost, nowMs);
    this.#setAdmitted(this.#admittedBytes - cost);
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
    this.#rate.added(cost);
    this.#setAdmitted(this.#admittedBytes + cost);
  }

  #setAdmitted(bytes: number): void {
    this.#admittedBytes = bytes;
    this.#admittedGauge.set(this.#admittedBytes);
  }

  /** The delay is what it takes until everything before it has room, and then this batch too. */
  #exhausted(cost: number): IngestError {
    const before = this.#admittedBytes + this.#waitingBytes;
    const retryDelayMs = this.#rate.retryDelayMs(Math.min(before, before + cost - this.#options.bytesMax));
    return new IngestError(
      Code.RESOURCE_EXHAUSTED,
      `no room: ${this.#admittedBytes} bytes of batches wait to be stored (ADMITTED_BYTES_MAX ${this.#options.bytesMax}); send again later`,
      { retryable: true, retryDelayMs },
    );
  }
}
