// The sampling of one process: started once, when it boots, and never again.
//
// Rejected: starting V8's profiler when somebody asks. A start stops the event loop for about 1 ms per MB of heap, in the
// worst minute; cutting a running profile costs a few milliseconds. So the profile is cut into slices, one after the other,
// which go to the recorder (recorder.ts), and whoever wants a window gets the slices between two cuts. Callers may overlap:
// nobody waits for anybody.
//
// Invariants:
// - Slices follow each other without gaps, each at least ten sampling intervals long. A slice with fewer than two samples
//   looks to the library like a stuck sampling thread, and it restarts the profiler: the very start that this file avoids.
//   Whoever asks earlier than that shares the next cut.
// - A slice is far shorter than the profiler's buffer (2 x durationMillis / interval samples), whose overflow is silent.
// - Lines are those of the .ts files, because stripping types keeps positions; a function's line is where it begins.
// - Times are of the wall clock, so that slices of several processes can be put beside each other, but never go back.
//
// The interval is the price of idling: an idle process takes 0.6 % of a core at 10 ms, 0.35 % at 20 ms, 0.29 % at 25 ms and
// 0.15 % at 50 ms, all for waking up, and a supervisor with two workers shall stay well under 2 % (they take 1.0 %). A cut of
// deep stacks, which stops the event loop, takes 15 ms at 10 ms and 6 ms at 25 ms. At 25 ms a window of 30 s still has 1,200
// samples a worker, and their CPU time is measured, not assumed. The supervisor does little, and takes a quarter as many.

import { heap, time } from "@datadog/pprof";
import { systemClock, type Clock, type Timer } from "../clock.ts";
import { shareIdleCpu } from "./idle-cpu.ts";
import { LABEL_NAMES } from "./labels.ts";
import { NativeNames, renameNative } from "./native-frames.ts";
import { labelsOfSample, SampleContext } from "./sample-context.ts";
import type { Span } from "./slice.ts";

export const WORKER_INTERVAL_MICROS = 25_000;
export const SUPERVISOR_INTERVAL_MICROS = 100_000;

const SLICE_MS = 10_000;
const BUFFER_MS = 120_000;
/** At 2 MiB an allocating loop lost 4 % of its speed, at 8 MiB 1 %; a leak that fills a heap has dozens of samples all the same. */
const HEAP_INTERVAL_BYTES = 8 * 1024 ** 2;
const HEAP_STACK_DEPTH = 64;

/** What was sampled between two cuts. */
export interface Cut extends Span {
  /** An encoded pprof profile. */
  readonly encoded: Uint8Array;
}

export interface ProfilerOptions {
  readonly intervalMicros: number;
  readonly clock?: Clock;
  /** Takes each slice as soon as it is cut, in order. */
  readonly cut: (cut: Cut) => void;
  /** Called when the library had to restart a stuck profiler. */
  readonly restarted?: () => void;
  /** Called when the timer's cut failed. */
  readonly failed?: (error: unknown) => void;
}

/** There is one in a process at most, because there is one V8 profiler. */
export class Profiler {
  /** Takes the labels of its samples. */
  readonly context = new SampleContext();
  readonly #intervalMicros: number;
  readonly #sliceMinMs: number;
  readonly #clock: Clock;
  readonly #onCut: (cut: Cut) => void;
  readonly #restarted: () => void;
  readonly #failed: (error: unknown) => void;
  readonly #nativeNames = new NativeNames();
  /** When the last cut was, on both clocks. */
  #cutMs = 0;
  #cutMonotonicMs = 0;
  #timer: Timer | undefined;
  #nextCut: Promise<number> | undefined;
  #running = false;

  constructor(options: ProfilerOptions) {
    this.#intervalMicros = options.intervalMicros;
    this.#sliceMinMs = options.intervalMicros / 100;
    this.#clock = options.clock ?? systemClock;
    this.#onCut = options.cut;
    this.#restarted = options.restarted ?? (() => {});
    this.#failed = options.failed ?? (() => {});
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    time.start({
      intervalMicros: this.#intervalMicros,
      durationMillis: BUFFER_MS,
      withContexts: true,
      collectCpuTime: true,
      // Contexts are set and taken back within one turn (labels.ts): they need not follow promises.
      useCPED: false,
      workaroundV8Bug: false,
    });
    this.context.sliceBegins();
    heap.start(HEAP_INTERVAL_BYTES, HEAP_STACK_DEPTH);
    this.#cutMs = this.#clock.now();
    this.#cutMonotonicMs = this.#clock.monotonic();
    this.#schedule();
  }

  /** The last slice is cut, if it is long enough. */
  stop(): void {
    if (!this.#running) return;
    if (this.#clock.monotonic() - this.#cutMonotonicMs >= this.#sliceMinMs) this.#tryCut();
    this.#running = false;
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    time.stop();
    heap.stop();
  }

  /**
   * Ends a slice as soon as it may end, at most ten sampling intervals from now. Resolves with the time of the cut; rejects with
   * the library's error.
   */
  async cut(): Promise<number> {
    this.#nextCut ??= new Promise((resolve, reject) => {
      const waitMs = Math.max(0, this.#cutMonotonicMs + this.#sliceMinMs - this.#clock.monotonic());
      this.#clock.setTimeout(() => {
        this.#nextCut = undefined;
        try {
          resolve(this.#cut());
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      }, waitMs);
    });
    return await this.#nextCut;
  }

  /** Live objects by where they were allocated, sampled since the start, as an encoded pprof profile. */
  heap(): Uint8Array {
    return heap.profile().encode();
  }

  #schedule(): void {
    this.#timer = this.#clock.setTimeout(() => this.#tryCut(), SLICE_MS);
    this.#timer.unref?.();
  }

  #tryCut(): void {
    try {
      this.#cut();
    } catch (error) {
      this.#failed(error);
    }
  }

  #cut(): number {
    const fromMs = this.#cutMs;
    if (!this.#running) return fromMs;
    const toMonotonicMs = this.#clock.monotonic();
    const elapsedMs = toMonotonicMs - this.#cutMonotonicMs;
    // A clock that was put back does not make slices of no length.
    const toMs = Math.max(this.#clock.now(), Math.ceil(fromMs + elapsedMs));
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    // First: the next slice is tried if this one fails.
    this.#schedule();
    this.#cutMs = toMs;
    this.#cutMonotonicMs = toMonotonicMs;
    const profile = time.stop(true, ({ context }) => labelsOfSample(context?.context), LABEL_NAMES);
    this.context.sliceBegins();
    // The library stamps the end.
    profile.timeNanos = fromMs * 1e6;
    shareIdleCpu(profile);
    renameNative(profile, this.#nativeNames.current());
    if (time.v8ProfilerStuckEventLoopDetected() > 0) this.#restarted();
    this.#onCut({ fromMs, toMs, encoded: profile.encode() });
    return toMs;
  }
}
