// Inflates gzipped messages off the main thread, a few at a time, each to no more than a message may have.
//
// How many bytes come out is known only while they come out: a few kilobytes can make gigabytes. So zlib is told where to
// stop, and only so many run at once that what they have made so far is bounded as well. The others wait here, in order.

import { gunzip } from "node:zlib";

/** As many as libuv's threads: more at once would only hold more memory. */
const CONCURRENCY = 4;

export type InflateFailure = "malformed" | "too_large";

/** Whose message it is. */
export interface InflateOwner {
  /** The call is over: there is nobody to inflate for. */
  readonly over: boolean;
  /** Called once for each message that was handed over, even if the call is over. `bytes` is the owner's. */
  inflated(bytes: Buffer | undefined, failure: InflateFailure | undefined): void;
}

interface Job {
  readonly bytes: Uint8Array;
  readonly owner: InflateOwner;
}

export class Inflater {
  readonly #bytesMax: number;
  readonly #waiting: Job[] = [];
  #running = 0;

  /** @param bytesMax of an inflated message. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** @param bytes must not change until `owner.inflated` is called, which is never before this returns. */
  inflate(bytes: Uint8Array, owner: InflateOwner): void {
    const job = { bytes, owner };
    if (this.#running < CONCURRENCY) this.#run(job);
    else this.#waiting.push(job);
  }

  #run(job: Job): void {
    this.#running++;
    gunzip(job.bytes, { maxOutputLength: this.#bytesMax }, (error, inflated) => {
      this.#running--;
      this.#runWaiting();
      if (error === null) job.owner.inflated(inflated, undefined);
      else job.owner.inflated(undefined, failureOf(error));
    });
  }

  #runWaiting(): void {
    while (this.#running < CONCURRENCY) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      if (next.owner.over) next.owner.inflated(undefined, "malformed");
      else this.#run(next);
    }
  }
}

function failureOf(error: NodeJS.ErrnoException): InflateFailure {
  return error.code === "ERR_BUFFER_TOO_LARGE" ? "too_large" : "malformed";
}
