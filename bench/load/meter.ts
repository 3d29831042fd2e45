// What the load client has seen: answers, latencies and errors of the time that is measured, and nothing of the warm-up.

import { Histogram } from "./histogram.ts";

/** The counts of a measurement. */
export interface Counts {
  readonly requests: number;
  /** Events that answers called stored, and events that they listed as failed. */
  readonly stored: number;
  readonly failed: number;
  /** Requests without an answer that stores: a status, a refusal, an answer that does not add up. */
  readonly errors: number;
  readonly firstError: string | undefined;
}

export class Meter {
  #latency = new Histogram();
  #measuring = false;
  #requests = 0;
  #stored = 0;
  #failed = 0;
  #errors = 0;
  #firstError: string | undefined;

  start(): void {
    this.#measuring = true;
  }

  stop(): void {
    this.#measuring = false;
  }

  answered(latencyMs: number, stored: number, failed: number): void {
    if (!this.#measuring) return;
    this.#latency.record(latencyMs);
    this.#requests++;
    this.#stored += stored;
    this.#failed += failed;
  }

  /** Errors count from the start: a server that fails while it warms up must not look fine. */
  error(message: string): void {
    this.#errors++;
    this.#firstError ??= message;
  }

  get counts(): Counts {
    return {
      requests: this.#requests,
      stored: this.#stored,
      failed: this.#failed,
      errors: this.#errors,
      firstError: this.#firstError,
    };
  }

  percentile(p: number): number {
    return this.#latency.percentile(p);
  }
}
