// A thread that sees when the main thread does not come back to its event loop, and what it is doing there.
//
// Whoever asks the main thread gets no answer then, and its profiler cannot be cut: only another thread of the same process can
// look. It sleeps but for one comparison a second, and takes 12 MB, most of it V8's for any thread, which is why it loads next to
// nothing. Run from the sources it has the compile cache as well: the first start without one takes 26 MB more, for stripping
// types.
//
// Rejected: a V8 profile started by the watchdog. Its start costs a millisecond per MB of heap, and what the compiler inlined is
// credited to the caller, so that the guilty function is not named. Pausing the thread a few dozen times names it, with the line.
//
// Invariants: the main thread's heartbeat is a timer that keeps no process alive; the thread keeps none alive either. A thread
// that fails is started again once, which is told; when that one fails, too, it is told, and the process goes on without.

import { getCompileCacheDir } from "node:module";
import { dirname, extname, join } from "node:path";
import { Worker } from "node:worker_threads";

const HEARTBEAT_MS = 500;
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
  /** Called if the thread failed, and another one takes its place. */
  readonly restarted: (error: Error) => void;
  /** Called if the thread failed, and its successor too; the process is not watched any more. */
  readonly failed: (error: Error) => void;
}

export class Watchdog {
  readonly #options: WatchdogOptions;
  readonly #heartbeat = new Int32Array(new SharedArrayBuffer(4));
  #timer: NodeJS.Timeout | undefined;
  #thread: Worker | undefined;
  #restarted = false;
  #stopped = false;

  constructor(options: WatchdogOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => Atomics.add(this.#heartbeat, 0, 1), HEARTBEAT_MS).unref();
    this.#startThread();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#thread?.terminate();
  }

  #startThread(): void {
    const { dir, timeoutMs } = this.#options;
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
      this.#failed(error instanceof Error ? error : new Error(String(error)));
    });
    this.#thread.unref();
  }

  #failed(error: Error): void {
    if (this.#stopped) return;
    if (this.#restarted) {
      clearInterval(this.#timer);
      this.#options.failed(error);
      return;
    }
    this.#restarted = true;
    this.#startThread();
    this.#options.restarted(error);
  }
}
