// The history on disk, so that it is there after a supervisor that ended without a word.
//
// Every ten seconds the seconds that are new are appended as one line; a line that was cut short by the end is left out when it
// is read. Rejected: writing everything anew each time, which for 64 workers is 7 MB of JSON every ten seconds.
//
//   <directory>/<ms since the epoch>.ndjson   a HistoryRange a line; the next file begins when one holds fifteen minutes
//
// Invariants: a failed write costs nothing that came before or comes after it, and is told once: it may have left half a line,
// so the next one ends that first. (A new file instead would, on a full disk, put all earlier ones out.) A few files are kept, those of earlier runs
// among them, so the directory is bounded.

import { appendFile, mkdir, readdir, readFile, unlink } from "node:fs/promises";
import { join } from "node:path";
import { HISTORY_SECONDS, type History, type HistoryRange, joinRanges } from "./history.ts";
import type { Logger } from "./log.ts";

/** Of this run and of earlier ones: enough for the last fifteen minutes of a run and of the one before, and for two that failed. */
const FILES_MAX = 6;
/** What is taken again after writing has failed, at most: a process and minute are 10 KB of JSON. */
const RETRY_MS_MAX = 120_000;
const NAME = /^\d{13,}\.ndjson$/;

export class HistoryFile {
  readonly #log: Logger;
  readonly #history: History;
  readonly #directory: string;
  #file: string | undefined;
  #fileFromMs = 0;
  #writtenMs: number;
  #writing: Promise<void> | undefined;
  #failed = false;

  /** @param nowMs since the epoch. */
  constructor(log: Logger, history: History, directory: string, nowMs: number) {
    this.#log = log;
    this.#history = history;
    this.#directory = directory;
    this.#writtenMs = nowMs;
  }

  /** Appends what came since the last time. Resolves when it is written, or cannot be. */
  async write(nowMs: number): Promise<void> {
    // A disk that is slower than this gets more at the next time.
    this.#writing ??= this.#append(nowMs).finally(() => (this.#writing = undefined));
    await this.#writing;
  }

  async #append(nowMs: number): Promise<void> {
    // After a long time without a disk only the latest minutes are worth writing again.
    const fromMs = this.#failed ? Math.max(this.#writtenMs, nowMs - RETRY_MS_MAX) : this.#writtenMs;
    const line = `${JSON.stringify(this.#history.range(fromMs, nowMs))}\n`;
    try {
      // The clock may have been set back.
      const coversMs = Math.abs(nowMs - this.#fileFromMs);
      if (this.#file === undefined || coversMs > HISTORY_SECONDS * 1000) await this.#begin(nowMs);
      await appendFile(this.#file!, this.#failed ? `\n${line}` : line, { mode: 0o600 });
      this.#writtenMs = nowMs;
      this.#failed = false;
    } catch (error) {
      if (!this.#failed) this.#log.warn({ dir: this.#directory, err: error }, "the history cannot be written to disk");
      this.#failed = true;
    }
  }

  async #begin(nowMs: number): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    this.#file = join(this.#directory, `${nowMs}.ndjson`);
    this.#fileFromMs = nowMs;
    const names = await historyFiles(this.#directory);
    for (const name of names.slice(0, Math.max(0, names.length - FILES_MAX + 1)))
      await unlink(join(this.#directory, name));
  }
}

/** Oldest first. */
async function historyFiles(directory: string): Promise<string[]> {
  return (await readdir(directory))
    .filter((name) => NAME.test(name))
    .sort((a, b) => Number.parseInt(a) - Number.parseInt(b));
}

/**
 * What is on disk of the time after `fromMs` and not after `toMs`, of whichever run; no workers if there is nothing.
 * @throws what reading fails with, unless it is that the directory is not there.
 */
export async function readHistory(directory: string, fromMs = 0, toMs = Infinity): Promise<HistoryRange> {
  const ranges: HistoryRange[] = [];
  let names: string[] = [];
  try {
    names = await historyFiles(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  for (const name of names) {
    for (const line of (await readFile(join(directory, name), "utf8")).split("\n")) {
      const range = parse(line);
      if (range !== undefined) ranges.push(within(range, fromMs, toMs));
    }
  }
  return joinRanges(ranges);
}

/** Undefined if it was cut short. */
function parse(line: string): HistoryRange | undefined {
  try {
    return JSON.parse(line) as HistoryRange;
  } catch {
    return undefined;
  }
}

function within({ names, workers }: HistoryRange, fromMs: number, toMs: number): HistoryRange {
  const cut = Object.entries(workers).flatMap(([worker, { t, series }]) => {
    const isIn = t.map((ms) => ms > fromMs && ms <= toMs);
    if (!isIn.includes(true)) return [];
    const kept = Object.entries(series).map(([name, values]) => [name, values.filter((_, i) => isIn[i])]);
    return [[worker, { t: t.filter((_, i) => isIn[i]), series: Object.fromEntries(kept) }] as const];
  });
  return { names, workers: Object.fromEntries(cut) };
}
