// What is kept of all processes' slices: those of the last while, and no more than so many bytes.
//
// The supervisor takes the old ones away, because only it sees all of them: those of slots that no longer exist as well, and what a
// killed process has left half-written. Between two looks the processes write a few slices each, which is all that the
// bound can be exceeded by.
//
// Files that are not slices are left alone and not counted. Sizes are asked once for each file.

import { readdir, rm, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Timer } from "../clock.ts";
import { parseSliceFileName } from "./slice.ts";
import { processesOf, type SliceFile, sliceFilesOf, UNFINISHED } from "./slice-files.ts";

const EACH_MS = 10_000;
/** Nobody takes as long as this to write a slice. */
const UNFINISHED_AGE_MS = 60_000;

export interface RingOptions {
  /** DATA_DIR/profiles. */
  readonly dir: string;
  /** How long ago a slice may have ended, in milliseconds. */
  readonly ageMaxMs: number;
  /** Of all slices. */
  readonly bytesMax: number;
}

export class ProfileRing {
  readonly #clock: Clock;
  readonly #options: RingOptions;
  readonly #onBytes: (bytes: number) => void;
  #sizes = new Map<string, number>();
  #timer: Timer | undefined;
  #pruning: Promise<void> | undefined;
  #stopped = false;

  /** @param onBytes is told what is kept, after each look. */
  constructor(clock: Clock, options: RingOptions, onBytes: (bytes: number) => void) {
    this.#clock = clock;
    this.#options = options;
    this.#onBytes = onBytes;
  }

  /** Looks every ten seconds; the first time ten seconds from now, when a second service on this directory has ended itself. */
  start(): void {
    this.#timer = this.#clock.setTimeout(() => {
      void this.prune().then(() => {
        if (!this.#stopped) this.start();
      });
    }, EACH_MS);
    this.#timer.unref?.();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    await this.#pruning;
  }

  /** Never rejects: what cannot be taken away now is tried again. */
  async prune(): Promise<void> {
    this.#pruning ??= this.#prune().finally(() => {
      this.#pruning = undefined;
    });
    await this.#pruning;
  }

  async #prune(): Promise<void> {
    const { dir, ageMaxMs, bytesMax } = this.#options;
    const processes = await processesOf(dir);
    const files = (await Promise.all(processes.map((process) => sliceFilesOf(dir, process)))).flat();
    files.sort((a, b) => b.toMs - a.toMs);
    const sizes = new Map<string, number>();
    const oldestMs = this.#clock.now() - ageMaxMs;
    let keptBytes = 0;
    let full = false;
    for (const slice of files) {
      const bytes = this.#sizes.get(slice.file) ?? (await sizeOf(slice));
      full ||= keptBytes + bytes > bytesMax;
      if (full || slice.toMs < oldestMs) {
        await remove(slice.file);
        continue;
      }
      keptBytes += bytes;
      sizes.set(slice.file, bytes);
    }
    this.#sizes = sizes;
    for (const process of processes) await this.#tidy(join(dir, process));
    this.#onBytes(keptBytes);
  }

  /** Half-written slices go, and with the last file the directory: a process that lives makes it again. */
  async #tidy(directory: string): Promise<void> {
    let names: string[];
    try {
      names = await readdir(directory);
    } catch {
      return;
    }
    const oldestMs = this.#clock.now() - UNFINISHED_AGE_MS;
    for (const name of names) {
      if (!name.endsWith(UNFINISHED)) continue;
      const key = parseSliceFileName(name.slice(0, -UNFINISHED.length));
      if (key !== undefined && key.toMs < oldestMs) await remove(join(directory, name));
    }
    if (names.length === 0) await rmdir(directory).catch(() => {});
  }
}

async function sizeOf({ file }: SliceFile): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch {
    return 0;
  }
}

async function remove(file: string): Promise<void> {
  // It is gone, or it cannot be removed now.
  await rm(file, { force: true }).catch(() => {});
}
