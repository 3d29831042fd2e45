// The flight recorder of one process: keeps what its sampler sees, on disk, so that it is there when the process is not.
//
// Each slice is written by the process itself as soon as it is cut: ten seconds apart, and a heap profile each minute, the first one
// after ten seconds, because the young die, too. What is killed has lost ten seconds and the time of a write. Old slices are
// taken away by the supervisor (ring.ts).
//
// A disk that does not take a slice costs no slice: it stays in memory, up to a bound, and goes to whoever asks for a window
// along with the answer. The next slice tries the disk again, and takes the held ones along. So does a disk that hangs: the bound
// holds before anything is written, and what waits for one write is no more than that.
//
// Invariants: a slice is written or held before the cut that made it is answered. Nothing here throws into the process it
// watches: what fails in a timer is a problem that it tells.

import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { type Clock, systemClock, type Timer } from "../clock.ts";
import { Profiler } from "./profiler.ts";
import type { SampleContext } from "./sample-context.ts";
import { isWithin, type ProfileKind, type Slice, type SliceKey } from "./slice.ts";
import type { WriteSlice } from "./slice-files.ts";

const HEAP_FIRST_MS = 10_000;
const HEAP_EACH_MS = 60_000;
/** What a process holds of slices that the disk does not take, in bytes: many minutes of them. */
const HELD_BYTES_MAX = 4 * 1024 ** 2;
/** What whoever asks waits for a disk that hangs: less than it waits for an answer. */
const WRITE_WAIT_MS = 1_000;

export interface CutRequest {
  /** `heap` takes a heap profile beside. */
  readonly kind: ProfileKind;
  /** Held slices that end after this are part of the answer, in milliseconds since the epoch. */
  readonly sinceMs: number;
}

export interface CutAnswer {
  /** Of the process that answered. */
  readonly pid: number;
  /** Where the slices before end and those after begin, or when the heap profile was taken; milliseconds since the epoch. */
  readonly atMs: number;
  /** Those that are not on disk. */
  readonly held: readonly Slice[];
}

export interface RecorderObserver {
  profilerRestarted(): void;
  sliceWritten(): void;
  sliceNotWritten(): void;
}

export interface RecorderOptions {
  readonly intervalMicros: number;
  readonly write: WriteSlice;
  readonly observer: RecorderObserver;
  readonly clock?: Clock;
  readonly heldBytesMax?: number;
}

const gzipAsync = promisify(gzip);

export class Recorder {
  readonly #profiler: Profiler;
  readonly #clock: Clock;
  readonly #write: WriteSlice;
  readonly #observer: RecorderObserver;
  readonly #heldBytesMax: number;
  #held: Slice[] = [];
  /** Settles when every slice so far is compressed and held; never rejects. */
  #compressed: Promise<void> = Promise.resolve();
  /** Runs while slices are held and the disk takes them; never rejects. */
  #writing: Promise<void> | undefined;
  /** Of the disk, and of the profiler. */
  #problem: string | undefined;
  #profilerProblem: string | undefined;
  #heapTimer: Timer | undefined;
  #keeps = true;

  constructor(options: RecorderOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#write = options.write;
    this.#observer = options.observer;
    this.#heldBytesMax = options.heldBytesMax ?? HELD_BYTES_MAX;
    this.#profiler = new Profiler({
      intervalMicros: options.intervalMicros,
      clock: this.#clock,
      cut: ({ fromMs, toMs, encoded }) => this.#keep({ kind: "cpu", fromMs, toMs }, encoded),
      restarted: () => options.observer.profilerRestarted(),
      failed: (error) => this.#profilerFailed(error),
    });
  }

  /** Takes the labels of the CPU's samples. */
  get context(): SampleContext {
    return this.#profiler.context;
  }

  start(): void {
    this.#profiler.start();
    this.#scheduleHeap(HEAP_FIRST_MS);
  }

  /** Ends. @param keep writes what was sampled since the last cut, too. */
  async stop(keep: boolean): Promise<void> {
    this.#keeps = keep;
    this.#profiler.stop();
    if (this.#heapTimer !== undefined) this.#clock.clearTimeout(this.#heapTimer);
    await this.#kept();
  }

  /** What keeps it from sampling or from writing, one sentence each. */
  get problems(): readonly string[] {
    return [this.#profilerProblem, this.#problem].filter((problem) => problem !== undefined);
  }

  /**
   * Ends the slice that runs, or takes a heap profile. Resolves when it is written or held. A disk that hangs is waited for a
   * second. Rejects with V8's error.
   */
  async cut({ kind, sinceMs }: CutRequest): Promise<CutAnswer> {
    const atMs = kind === "cpu" ? await this.#profiler.cut() : this.#takeHeap();
    await this.#kept();
    const held = this.#held.filter(
      (slice) => slice.kind === kind && isWithin(slice, { fromMs: sinceMs, toMs: Infinity }),
    );
    return { pid: process.pid, atMs, held };
  }

  #scheduleHeap(delayMs: number): void {
    this.#heapTimer = this.#clock.setTimeout(() => {
      try {
        this.#takeHeap();
      } catch (error) {
        this.#profilerFailed(error);
      }
      this.#scheduleHeap(HEAP_EACH_MS);
    }, delayMs);
    this.#heapTimer.unref?.();
  }

  #takeHeap(): number {
    const atMs = Math.ceil(this.#clock.now());
    this.#keep({ kind: "heap", fromMs: atMs, toMs: atMs }, this.#profiler.heap());
    return atMs;
  }

  #profilerFailed(error: unknown): void {
    this.#profilerProblem = `a profile could not be taken (${messageOf(error)}); the next one is tried`;
  }

  #keep(key: SliceKey, encoded: Uint8Array): void {
    if (!this.#keeps) return;
    const compressing = gzipAsync(encoded);
    this.#compressed = Promise.allSettled([this.#compressed, compressing]).then(([, compressed]) => {
      if (compressed.status === "rejected") {
        this.#profilerFailed(compressed.reason);
        return;
      }
      this.#profilerProblem = undefined;
      this.#hold({ ...key, bytes: compressed.value });
    });
  }

  #hold(slice: Slice): void {
    this.#held.push(slice);
    let bytes = this.#held.reduce((sum, held) => sum + held.bytes.length, 0);
    while (bytes > this.#heldBytesMax && this.#held.length > 0) bytes -= this.#held.shift()!.bytes.length;
    if (this.#held.length > 0) this.#writing ??= this.#writeHeld();
  }

  async #writeHeld(): Promise<void> {
    try {
      for (let oldest = this.#held[0]; oldest !== undefined; oldest = this.#held[0]) {
        await this.#write(oldest);
        this.#observer.sliceWritten();
        // The bound may have taken it away meanwhile.
        if (this.#held[0] === oldest) this.#held.shift();
      }
      this.#problem = undefined;
    } catch (error) {
      this.#observer.sliceNotWritten();
      this.#problem = `profiles cannot be written (${messageOf(error)}): the last ones are kept in memory; make room, or give a DATA_DIR that this user may write`;
    } finally {
      // At once: what is held from now on needs another one.
      this.#writing = undefined;
    }
  }

  /** Resolves when what was taken so far is written or held; the disk is waited for a while. */
  async #kept(): Promise<void> {
    await this.#compressed;
    if (this.#writing === undefined) return;
    const late = Promise.withResolvers<void>();
    const timer = this.#clock.setTimeout(late.resolve, WRITE_WAIT_MS);
    await Promise.race([this.#writing, late.promise]);
    this.#clock.clearTimeout(timer);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
