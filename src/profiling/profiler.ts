// The sampling of one process: started once, when it boots, and never again.
//
// Rejected: starting V8's profiler when somebody asks. A start stops the event loop for about 1 ms per MB of heap, in the
// worst minute; cutting a running profile costs a few milliseconds. So the profile is cut into slices, the last minute of
// them stays in memory, and whoever wants a window gets the slices between two cuts. Callers may overlap: nobody waits for
// anybody.
//
// Invariants:
// - Slices follow each other without gaps, each at least ten sampling intervals long. A slice with fewer than two samples
//   looks to the library like a stuck sampling thread, and it restarts the profiler: the very start that this file avoids.
//   Whoever asks earlier than that shares the next cut.
// - A slice is far shorter than the profiler's buffer (2 x durationMillis / interval samples), whose overflow is silent.
// - Lines are those of the .ts files, because stripping types keeps positions; a function's line is where it begins.
//
// The interval is the price of idling: an idle process takes 0.6 % of a core at 10 ms, 0.35 % at 20 ms, 0.29 % at 25 ms and
// 0.15 % at 50 ms, all for waking up, and a supervisor with two workers shall stay well under 2 % (they take 1.0 %). A cut of
// deep stacks, which stops the event loop, takes 15 ms at 10 ms and 6 ms at 25 ms. At 25 ms a window of 30 s still has 1,200
// samples a worker, and their CPU time is measured, not assumed. The supervisor does little, and samples less.

import { heap, time } from "@datadog/pprof";
import type { CaptureRequest } from "./collect.ts";
import { systemClock, type Clock, type Timer } from "../clock.ts";

export const WORKER_INTERVAL_MICROS = 25_000;
export const SUPERVISOR_INTERVAL_MICROS = 50_000;

const SLICE_MS = 10_000;
const KEEP_MS = 60_000;
const BUFFER_MS = 120_000;
const HEAP_INTERVAL_BYTES = 2 * 1024 ** 2;
const HEAP_STACK_DEPTH = 64;

interface Slice {
  readonly fromMs: number;
  readonly toMs: number;
  readonly profile: ReturnType<typeof time.stop>;
}

export interface ProfilerOptions {
  readonly intervalMicros: number;
  readonly clock?: Clock;
  /** Called when the library had to restart a stuck profiler. */
  readonly restarted?: () => void;
}

/** There is one in a process at most, because there is one V8 profiler. */
export class Profiler {
  readonly #intervalMicros: number;
  readonly #sliceMinMs: number;
  readonly #clock: Clock;
  readonly #restarted: () => void;
  #slices: Slice[] = [];
  #windowStarts: number[] = [];
  #cutMs = 0;
  #timer: Timer | undefined;
  #nextCut: Promise<number> | undefined;
  #running = false;

  constructor(options: ProfilerOptions) {
    this.#intervalMicros = options.intervalMicros;
    this.#sliceMinMs = options.intervalMicros / 100;
    this.#clock = options.clock ?? systemClock;
    this.#restarted = options.restarted ?? (() => {});
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    time.start({
      intervalMicros: this.#intervalMicros,
      durationMillis: BUFFER_MS,
      withContexts: true,
      collectCpuTime: true,
      useCPED: true,
      workaroundV8Bug: false,
    });
    heap.start(HEAP_INTERVAL_BYTES, HEAP_STACK_DEPTH);
    this.#cutMs = this.#clock.monotonic();
    this.#schedule();
  }

  stop(): void {
    if (!this.#running) return;
    this.#running = false;
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    time.stop();
    heap.stop();
    this.#slices = [];
  }

  /**
   * Samples of the next while, as the slices that make it up, each an encoded pprof profile. It begins with the next cut, at
   * most ten sampling intervals from now.
   * @param durationMs the least length of the window, in milliseconds.
   */
  async window(durationMs: number): Promise<Uint8Array[]> {
    const fromMs = await this.#cutSoon();
    this.#windowStarts.push(fromMs);
    try {
      await new Promise<void>((resolve) => {
        this.#clock.setTimeout(resolve, durationMs);
      });
      const toMs = await this.#cutSoon();
      return this.#slices
        .filter((slice) => slice.fromMs >= fromMs && slice.toMs <= toMs)
        .map(({ profile }) => profile.encode());
    } finally {
      this.#windowStarts.splice(this.#windowStarts.indexOf(fromMs), 1);
    }
  }

  /** Live objects by where they were allocated, sampled since the start, as an encoded pprof profile. */
  heap(): Uint8Array {
    return heap.profile().encode();
  }

  /** Answers what a ProfileSource is asked. */
  async capture(request: CaptureRequest): Promise<Uint8Array[]> {
    return request.kind === "heap" ? [this.heap()] : await this.window(request.seconds * 1000);
  }

  #schedule(): void {
    this.#timer = this.#clock.setTimeout(() => this.#cut(), SLICE_MS);
    this.#timer.unref?.();
  }

  /** Ends a slice as soon as it may end. Resolves with the time of the cut. */
  async #cutSoon(): Promise<number> {
    this.#nextCut ??= new Promise((resolve) => {
      const waitMs = Math.max(0, this.#cutMs + this.#sliceMinMs - this.#clock.monotonic());
      this.#clock.setTimeout(() => {
        this.#nextCut = undefined;
        resolve(this.#cut());
      }, waitMs);
    });
    return await this.#nextCut;
  }

  #cut(): number {
    const fromMs = this.#cutMs;
    if (!this.#running) return fromMs;
    const toMs = this.#clock.monotonic();
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    const profile = time.stop(true);
    // The library stamps the end.
    profile.timeNanos = (this.#clock.now() - (toMs - fromMs)) * 1e6;
    if (time.v8ProfilerStuckEventLoopDetected() > 0) this.#restarted();
    this.#slices.push({ fromMs, toMs, profile });
    this.#cutMs = toMs;
    const keepFromMs = Math.min(toMs - KEEP_MS, ...this.#windowStarts);
    this.#slices = this.#slices.filter((slice) => slice.toMs > keepFromMs);
    this.#schedule();
    return toMs;
  }
}
