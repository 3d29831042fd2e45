// How the next start knows that this run ended badly: a file that is there for as long as the service runs.
//
// Its time is the last sign of life, renewed every few seconds; its content says who it was. A lock beside it, which ends with
// the process whatever happens, keeps two services of one DATA_DIR from taking each other for dead.

import { rmSync } from "node:fs";
import { readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Timer } from "../clock.ts";
import { type FileLock, nodeFileSystem } from "../spool/file-system.ts";

const RENEW_MS = 5_000;

/** Who runs, or ran. */
export interface Run {
  readonly pid: number;
  readonly startedAtMs: number;
  readonly version: string;
  /** As a bundle has them; unknown of a run that did not tell. */
  readonly versions?: unknown;
  /** The same, without secrets. */
  readonly config?: Readonly<Record<string, unknown>>;
}

export interface PastRun extends Run {
  /** The last sign of life, in milliseconds since the epoch. */
  readonly lastSeenMs: number;
}

export class RunMarker {
  readonly #path: string;
  readonly #lockPath: string;
  readonly #clock: Clock;
  #lock: FileLock | undefined;
  #timer: Timer | undefined;
  #isWritten = false;

  /** @param dir exists. */
  constructor(dir: string, clock: Clock) {
    this.#path = join(dir, "run.json");
    this.#lockPath = join(dir, "run.lock");
    this.#clock = clock;
  }

  /** False if another service runs here. May be called again. */
  async lock(): Promise<boolean> {
    this.#lock ??= await nodeFileSystem.lock(this.#lockPath);
    return this.#lock !== undefined;
  }

  /** The run before this one, if it did not end as it should. */
  async past(): Promise<PastRun | undefined> {
    try {
      const run = JSON.parse(await readFile(this.#path, "utf8")) as Partial<Run>;
      const { mtimeMs } = await stat(this.#path);
      const { pid = 0, startedAtMs = mtimeMs, version = "unknown" } = run;
      return { ...run, pid, startedAtMs, version, lastSeenMs: Math.round(mtimeMs) };
    } catch {
      return undefined;
    }
  }

  /** Rejects if the disk takes nothing; it is tried again then at each renewal. */
  async begin(run: Run): Promise<void> {
    this.#renewLater(run);
    await this.#write(run);
  }

  /** This run ended as it should. */
  async end(): Promise<void> {
    if (this.#timer !== undefined) {
      this.#clock.clearTimeout(this.#timer);
      this.#timer = undefined;
      await rm(this.#path, { force: true });
    }
    await this.#lock?.release();
    this.#lock = undefined;
  }

  async #write(run: Run): Promise<void> {
    await writeFile(this.#path, `${JSON.stringify(run)}\n`, { mode: 0o600 });
    this.#isWritten = true;
  }

  /** The same, for a process that ends now because somebody told it to; the lock ends with it. Never throws. */
  endNow(): void {
    if (this.#timer === undefined) return;
    try {
      rmSync(this.#path, { force: true });
    } catch {
      // The next start tells of a death that was none.
    }
  }

  #renewLater(run: Run): void {
    this.#timer = this.#clock.setTimeout(() => {
      const now = this.#clock.now() / 1000;
      const renewed = this.#isWritten ? utimes(this.#path, now, now) : this.#write(run);
      void renewed.catch(() => {});
      this.#renewLater(run);
    }, RENEW_MS);
    this.#timer.unref?.();
  }
}
