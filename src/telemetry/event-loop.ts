// How long turns of the event loop kept everything else waiting, second by second, for the last minute.
//
// Each second is a window of its own: the histogram of a process's whole life has seen everything, and says nothing of now.
//
// Turns are measured in native hooks, which wake no process. But Node.js takes from each turn what the loop had left until its
// next timer, also when a socket woke it long before: a socket's callback of 400 ms shows as 0 to 400 ms. So there is a second
// measure, a timer that sees by how much it is late; it bounds that error for the first one, too. Rejected: the timer alone,
// often enough for short turns: at 10 ms it costs 0.3 % of a core.
//
// Node.js tells of its histogram what lies at a rank, but not how many lie below a bound. Where one bucket ends and the next begins
// is searched for among the ranks: 0.2 ms a second where turns are of five different buckets, next to nothing where they are of one.

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
  /** How many turns took up to 1 ms, 2 ms, and so on up to EVENT_LOOP_BOUNDS_MS' last, and how many took longer. */
  readonly buckets: readonly number[];
}

/** Powers of two, so that the buckets tell short turns apart and there are few. */
export const EVENT_LOOP_BOUNDS_MS: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

const SECONDS_KEPT = 60;
const NS = 1e9;
const NS_PER_MS = 1e6;
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
      buckets: bucketsOf(histogram.count, (rank) => histogram.percentile((rank / histogram.count) * 100)),
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

/** The first bound that is not below it; the number of bounds if there is none. */
function bucketOf(ns: number): number {
  const index = EVENT_LOOP_BOUNDS_MS.findIndex((ms) => ns <= ms * NS_PER_MS);
  return index === -1 ? EVENT_LOOP_BOUNDS_MS.length : index;
}

/**
 * How many of the values lie in each bucket.
 * @param valueAt the value of a rank from 1 to `count`, in nanoseconds; never less than that of the rank before.
 */
export function bucketsOf(count: number, valueAt: (rank: number) => number): number[] {
  const buckets = Array.from({ length: EVENT_LOOP_BOUNDS_MS.length + 1 }, () => 0);
  const highest = bucketOf(valueAt(count));
  for (let first = 1; first <= count;) {
    const bucket = bucketOf(valueAt(first));
    let last = bucket === highest ? count : first;
    let beyond = count;
    while (last + 1 < beyond) {
      const rank = Math.floor((last + beyond) / 2);
      if (bucketOf(valueAt(rank)) === bucket) last = rank;
      else beyond = rank;
    }
    buckets[bucket] = last - first + 1;
    first = last + 1;
  }
  return buckets;
}
