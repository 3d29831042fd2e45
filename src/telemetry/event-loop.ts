// How long turns of the event loop kept everything else waiting, second by second, for the last minute.
//
// Each second is a window of its own: the histogram of a process's whole life has seen everything, and says nothing of now.
//
// Turns are measured in native hooks, which wake no process. But Node.js takes from each turn what the loop had left until its
// next timer, also when a socket woke it long before: a socket's callback of 400 ms shows as 0 to 400 ms. So there is a second
// measure, a timer that sees by how much it is late; it bounds that error for the first one, too. Rejected: the timer alone,
// often enough for short turns: at 10 ms it costs 0.3 % of a core.

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
const TIMER_MS = 100;

export class EventLoopDelay {
  readonly #histogram = monitorEventLoopDelay({ samplePerIteration: true });
  /** Of the times between two timers, so at least TIMER_MS each. */
  readonly #timer = monitorEventLoopDelay({ resolution: TIMER_MS });
  readonly #seconds: EventLoopSecond[] = [];

  start(): void {
    this.#histogram.enable();
    this.#timer.enable();
    // The first sample counts from the enabling on, idle time included.
    setImmediate(() => setImmediate(() => this.#histogram.reset()));
  }

  stop(): void {
    this.#histogram.disable();
    this.#timer.disable();
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
      max: Math.max(histogram.max / NS, this.#timer.count === 0 ? 0 : this.#timer.max / NS - TIMER_MS / 1000),
    };
    histogram.reset();
    this.#timer.reset();
    this.#seconds.push(second);
    if (this.#seconds.length > SECONDS_KEPT) this.#seconds.shift();
    return second;
  }

  /** The last minute, oldest first. */
  get seconds(): readonly EventLoopSecond[] {
    return this.#seconds;
  }
}
