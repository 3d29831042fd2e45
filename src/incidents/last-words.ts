// What the log and the ledger of this run said last, on disk, so that the bundle of its death has them.
//
// Everything else that such a bundle is made of is written by whoever has it: slices by each process, the history by the
// timeline, versions and configuration into the run's marker. Log and ledger lie in the supervisor's memory alone.
//
// Rejected: appending new lines to a file and cutting it now and then. It would need two files to be bounded, and a reader that
// puts them together; what there is to write is bounded anyway, and mostly the same as before, when it is not written at all.
//
// Invariants: whoever writes holds the lock of the marker beside it, so there is one file. It is replaced by renaming, so a reader
// finds a whole one, which may be of an earlier run if the last one never wrote. A write that fails costs ten seconds.

import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Timer } from "../clock.ts";

const WRITE_EACH_MS = 10_000;
/** Of the log's last lines. */
const CHARS_MAX = 256 * 1024;

export interface Words {
  /** Of the run that says it, in milliseconds since the epoch. */
  readonly startedAtMs: number;
  /** The last lines of all processes, oldest first. */
  readonly lines: readonly string[];
  /** The ledger by topic; see `IncidentSources`. */
  readonly ledger: unknown;
}

export class LastWords {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #take: () => Words;
  #timer: Timer | undefined;
  #written: string | undefined;
  #writing: Promise<void> = Promise.resolve();

  /**
   * @param dir exists.
   * @param take what there is to say now.
   */
  constructor(dir: string, clock: Clock, take: () => Words) {
    this.#path = join(dir, "last-words.json");
    this.#clock = clock;
    this.#take = take;
  }

  /** What the last run that wrote said; undefined if that cannot be read. To be called before `begin`. */
  async past(): Promise<Words | undefined> {
    try {
      const words: unknown = JSON.parse(await readFile(this.#path, "utf8"));
      return isWords(words) ? words : undefined;
    } catch {
      return undefined;
    }
  }

  /** Writes from now on every ten seconds. */
  begin(): void {
    this.#timer ??= this.#later();
  }

  /** This run ended as it should: nobody will ask. */
  async end(): Promise<void> {
    if (this.#timer === undefined) return;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#writing;
    await rm(this.#path, { force: true });
  }

  #later(): Timer {
    const timer = this.#clock.setTimeout(() => {
      this.#writing = this.#writing.then(() => this.#write()).catch(() => {});
      this.#timer = this.#later();
    }, WRITE_EACH_MS);
    timer.unref?.();
    return timer;
  }

  async #write(): Promise<void> {
    const words = this.#take();
    const text = JSON.stringify({ ...words, lines: lastOf(words.lines) });
    if (text === this.#written) return;
    const temporary = `${this.#path}.tmp`;
    await writeFile(temporary, text, { mode: 0o600 });
    await rename(temporary, this.#path);
    this.#written = text;
  }
}

function lastOf(lines: readonly string[]): readonly string[] {
  let chars = 0;
  let from = lines.length;
  while (from > 0 && (chars += lines[from - 1]!.length) <= CHARS_MAX) from--;
  return lines.slice(from);
}

function isWords(value: unknown): value is Words {
  if (typeof value !== "object" || value === null) return false;
  const { startedAtMs, lines, ledger } = value as Partial<Words>;
  return (
    typeof startedAtMs === "number" &&
    Array.isArray(lines) &&
    lines.every((line) => typeof line === "string") &&
    ledger !== undefined
  );
}
