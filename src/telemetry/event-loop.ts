// How long turns of the event loop kept everything else waiting, second by second, for the last minute.
//
// Each second is a window of its own: the histogram of a process's whole life has seen everything, and says nothing of now.

import { monitorEventLoopDelay } from "node:perf_hooks";

/** The turns of one second, or of longer where the loop was blocked over its end. Delays are in seconds. */
export interface EventLoopSecond {
  /** When it ended, in milliseconds since the epoch. */
  readonly atMs: number;
  readonly turns: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

const SECONDS_KEPT = 60;
const NS = 1e9;

export class EventLoopDelay {
  // Once per turn of the loop, in native hooks: an idle process is not woken (a 10 ms timer cost 0.3 % of a core).
  readonly #histogram = monitorEventLoopDelay({ samplePerIteration: true });
  readonly #seconds: EventLoopSecond[] = [];

  start(): void {
    this.#histogram.enable();
    // The first sample counts from the enabling on, idle time included.
    setImmediate(() => setImmediate(() => this.#histogram.reset()));
  }

  stop(): void {
    this.#histogram.disable();
  }

  /** Ends the second; undefined if the loop did not turn. @param nowMs since the epoch. */
  endSecond(nowMs: number): EventLoopSecond | undefined {
    const histogram = this.#histogram;
    if (histogram.count === 0) return undefined;
    const second = {
      atMs: nowMs,
      turns: histogram.count,
      mean: histogram.mean / NS,
      p50: histogram.percentile(50) / NS,
      p90: histogram.percentile(90) / NS,
      p99: histogram.percentile(99) / NS,
      max: histogram.max / NS,
    };
    histogram.reset();
    this.#seconds.push(second);
    if (this.#seconds.length > SECONDS_KEPT) this.#seconds.shift();
    return second;
  }

  /** The last minute, oldest first. */
  get seconds(): readonly EventLoopSecond[] {
    return this.#seconds;
  }
}
