// A thread that sees when the main thread does not come back to its event loop, and what it is doing there.
//
// Whoever asks the main thread gets no answer then, and its profiler cannot be cut: only another thread of the same process can
// look. It sleeps but for one comparison a second, and takes 13 MB when the compile cache is there (24 MB without, for stripping
// types), which is why it loads next to nothing.
//
// Rejected: a V8 profile started by the watchdog. Its start costs a millisecond per MB of heap, and what the compiler inlined is
// credited to the caller, so that the guilty function is not named. Pausing the thread a few dozen times names it, with the line.
//
// Invariants: the main thread's heartbeat is a timer that keeps no process alive; the thread keeps none alive either. A thread
// that fails is told once, and the process goes on without.

import { getCompileCacheDir } from "node:module";
import { dirname, extname, join } from "node:path";
import { Worker } from "node:worker_threads";

const HEARTBEAT_MS = 1_000;
/** Most of it is V8's own start; a few dozen stacks are small. */
const LIMITS = { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 32, codeRangeSizeMb: 4, stackSizeMb: 1 };

/** What the thread is given. */
export interface WatchdogData {
  /** One number, changed by the main thread's heartbeat. */
  readonly heartbeat: Int32Array;
  /** Where reports go; it is made if need be. */
  readonly dir: string;
  readonly timeoutMs: number;
  /** The process that ends this one when it is stuck; nobody does when it is gone. */
  readonly supervisorPid: number;
}

export interface WatchdogOptions {
  readonly dir: string;
  readonly timeoutMs: number;
  /** Called if the thread ended; the process is not watched any more. */
  readonly failed: (error: Error) => void;
}

export class Watchdog {
  readonly #options: WatchdogOptions;
  readonly #heartbeat = new Int32Array(new SharedArrayBuffer(4));
  #timer: NodeJS.Timeout | undefined;
  #thread: Worker | undefined;

  constructor(options: WatchdogOptions) {
    this.#options = options;
  }

  start(): void {
    const { dir, timeoutMs, failed } = this.#options;
    this.#timer = setInterval(() => Atomics.add(this.#heartbeat, 0, 1), HEARTBEAT_MS).unref();
    const workerData: WatchdogData = { heartbeat: this.#heartbeat, dir, timeoutMs, supervisorPid: process.ppid };
    const cache = getCompileCacheDir();
    const entry = join(import.meta.dirname, `watchdog-thread${extname(import.meta.filename)}`);
    this.#thread = new Worker(entry, {
      workerData,
      resourceLimits: LIMITS,
      execArgv: [],
      argv: [],
      // Node.js adds its version's folder to it.
      env: cache === undefined ? {} : { NODE_COMPILE_CACHE: dirname(cache) },
    });
    this.#thread.on("error", (error: unknown) => {
      failed(error instanceof Error ? error : new Error(String(error)));
    });
    this.#thread.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#thread?.terminate();
  }
}
