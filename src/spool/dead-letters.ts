// Where events go that were acknowledged as PERSISTED and that Kafka refuses for good.
//
// The same segments as the spool's, in a directory of their own: a letter is written in a group, synced, and only then may
// the batch be marked as dead-lettered. Rejected: keeping such batches in the spool with a flag; one poison batch would hold
// its segment, and the oldest age would alarm for ever.
//
// Invariants:
// - A letter stays until an operator drops it: nothing here expires, and no letter is written twice into another place.
// - A dropped letter is gone when what says so is synced, not before; a crash in between leaves it lying.
// - Logs of workers that are gone are held as well, so that every log has one process that can drop from it.

import type { Clock, Timer } from "../clock.ts";
import { assert, Code, IngestError } from "../errors.ts";
import type { Component } from "../lifecycle.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { workerOf } from "./directories.ts";
import { EntryType, FORWARDED_PER_ENTRY_MAX } from "./entries.ts";
import { type DeadLetter, decodeLetter, encodeLetterHead } from "./letter.ts";
import { formatLetterId, parseLetterId } from "./letter-id.ts";
import { type IndexedLetter, LetterIndex } from "./letter-index.ts";
import { SegmentLog, type SpoolDependencies } from "./segment-log.ts";
import { SegmentKind } from "./segment.ts";

/** Takes dead letters. */
export interface DeadLetterSink {
  /** Resolves when the letter is safe; rejects with a retryable IngestError if it may be tried again with the same letter. */
  append(letter: DeadLetter): Promise<void>;
}

export interface DeadLettersOptions {
  /** An absolute path; created if need be. */
  readonly dir: string;
  /** Logs of workers that are gone. */
  readonly adopt?: readonly string[];
  readonly segmentBytes: number;
  /** How long to wait for the own directory, in milliseconds; default 0. */
  readonly lockWaitMs?: number;
}

/** What is to be dropped, and for whom. */
export interface DropRequest {
  /** Ids, as `formatLetterId` writes them; at most DROP_LETTERS_MAX. */
  readonly letters: readonly string[];
  /**
   * By the number of its worker, the random id of each log that the letters were read from, in hexadecimal digits: numbers
   * alone would also be right in the log of another service.
   */
  readonly logs: Readonly<Record<string, string>>;
  /** What became of their events. */
  readonly why: "dropped" | "retried";
  /** Who asks, for the log line. */
  readonly by: string;
}

export interface DropOutcome {
  readonly dropped: readonly string[];
  /** Of the dropped letters. */
  readonly events: number;
  /** They were dropped before. */
  readonly missing: readonly string[];
}

export const DROP_LETTERS_MAX = FORWARDED_PER_ENTRY_MAX;
const TICK_MS = 1000;
/** A log that another process still holds is tried again after so many ticks. */
const ADOPT_TICKS = 5;

interface OpenLog {
  readonly log: SegmentLog;
  readonly index: LetterIndex;
}

export class DeadLetters implements Component, DeadLetterSink {
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #clock: Clock;
  readonly #dependencies: SpoolDependencies;
  readonly #options: DeadLettersOptions;
  readonly #own: OpenLog;
  /** By the number of the worker. */
  readonly #logs = new Map<number, OpenLog>();
  /** Logs to adopt that another process holds. */
  #held: readonly string[] = [];
  #adopting: Promise<void> = Promise.resolve();
  /** Drops happen one after the other, so that no letter is dropped twice. */
  #dropping: Promise<unknown> = Promise.resolve();
  #ticks = 0;
  #timer: Timer | undefined;
  #closed = false;

  constructor(dependencies: SpoolDependencies, options: DeadLettersOptions) {
    this.#log = dependencies.log;
    this.#metrics = dependencies.metrics;
    this.#clock = dependencies.clock;
    this.#dependencies = dependencies;
    this.#options = options;
    this.#own = this.#newLog(options.dir, options.lockWaitMs);
  }

  /** @throws IngestError FAILED_PRECONDITION if another process holds the own directory, or it cannot be worked in. */
  async start(): Promise<void> {
    await this.#open(this.#own);
    this.#held = this.#options.adopt ?? [];
    await this.#adoptHeld();
    this.#tick();
  }

  /** Resolves when the letter is synced; rejects with a retryable IngestError if it could not be written. */
  append(letter: DeadLetter): Promise<void> {
    const { topic, events, atMs } = letter;
    const { log, index } = this.#own;
    return new Promise<void>((resolve, reject: (error: IngestError) => void) => {
      log.append(EntryType.LETTER, encodeLetterHead(letter), letter.bytes, {
        synced: (sequence, segment, _position, bytes) => {
          index.add({ sequence, segment, topic, events, bytes, atMs });
          resolve();
        },
        failed: reject,
      });
    });
  }

  /**
   * Drops letters for good; resolves when that is synced.
   *
   * @throws IngestError FAILED_PRECONDITION if a letter is of a log that is not open here; UNAVAILABLE if it could not be
   * written, and then letters may be dropped or not. Nothing is dropped of a request that is refused.
   */
  drop(request: DropRequest): Promise<DropOutcome> {
    const outcome = this.#dropping.then(() => this.#drop(request));
    this.#dropping = outcome.catch(() => {});
    return outcome;
  }

  /** `problems` are one sentence each. */
  health(): { readonly problems: string[] } {
    const problems = [...this.#logs.values()].flatMap(({ log }) => log.problem ?? []);
    const events = [...this.#logs.values()].reduce((sum, { index }) => sum + index.events, 0);
    if (events > 0)
      problems.push(
        `${events} ${events === 1 ? "event lies" : "events lie"} in the dead-letter log: \`sluice dead-letters list\` shows why`,
      );
    for (const dir of this.#held)
      problems.push(`the dead-letter log in ${dir}, of a worker that is gone, is in use by another process`);
    return { problems };
  }

  async drain(): Promise<void> {
    await Promise.all([...this.#logs.values()].map(({ log }) => log.flush()));
  }

  async dispose(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    await this.#adopting;
    for (const { log, index } of this.#logs.values()) {
      await log.close();
      index.clear();
    }
  }

  #newLog(dir: string, lockWaitMs = 0): OpenLog {
    const { segmentBytes } = this.#options;
    const log = new SegmentLog(this.#dependencies, { dir, segmentBytes, lockWaitMs, kind: SegmentKind.DEAD_LETTERS });
    return { log, index: new LetterIndex(this.#metrics) };
  }

  async #open(opened: OpenLog): Promise<void> {
    const { log, index } = opened;
    const worker = workerOf(log.dir);
    assert(worker !== undefined, `${log.dir} is the directory of a worker`);
    const found: IndexedLetter[] = [];
    await log.open(({ sequence, payload, bytes }, segment) => {
      const { topic, events, atMs } = decodeLetter(payload);
      found.push({ sequence, segment, topic, events, bytes, atMs });
    });
    for (const letter of found) if (!letter.segment.isDone(letter.sequence)) index.add(letter);
    this.#logs.set(worker, opened);
  }

  async #adoptHeld(): Promise<void> {
    for (const dir of this.#held) {
      if (this.#closed) return;
      try {
        await this.#open(this.#newLog(dir));
      } catch (error) {
        this.#log.warn({ dir, err: error }, "the dead-letter log of a worker that is gone cannot be adopted yet");
        continue;
      }
      this.#held = this.#held.filter((other) => other !== dir);
    }
  }

  async #drop({ letters, logs, why, by }: DropRequest): Promise<DropOutcome> {
    assert(letters.length <= DROP_LETTERS_MAX, `at most ${DROP_LETTERS_MAX} letters are dropped at once`);
    for (const [worker, id] of Object.entries(logs)) this.#logOf(Number(worker), id);
    const missing: string[] = [];
    const found = new Map<OpenLog, Map<string, IndexedLetter>>();
    for (const text of letters) {
      const id = parseLetterId(text);
      if (id === undefined) throw refused(`${JSON.stringify(text)} is not the id of a dead letter`);
      const log = this.#logOf(id.worker, logs[id.worker]);
      const letter = log.index.get(id.sequence);
      if (letter === undefined) missing.push(text);
      else found.set(log, (found.get(log) ?? new Map<string, IndexedLetter>()).set(formatLetterId(id), letter));
    }
    const dropped: string[] = [];
    let events = 0;
    for (const [{ log, index }, those] of found) {
      await log.drop([...those.values()]);
      for (const [id, letter] of those) {
        index.remove(letter);
        const total = why === "retried" ? this.#metrics.deadLettersRetried : this.#metrics.deadLettersDropped;
        total.with(letter.topic).inc(letter.events);
        events += letter.events;
        dropped.push(id);
      }
    }
    if (dropped.length > 0) {
      const facts = { by, letters: dropped.length, events, ids: dropped };
      if (why === "retried") this.#log.info(facts, "dead letters were published again, and dropped");
      else this.#log.warn(facts, "dead letters were dropped");
    }
    return { dropped, events, missing };
  }

  #logOf(worker: number, id: string | undefined): OpenLog {
    const opened = this.#logs.get(worker);
    if (opened === undefined) throw refused(`the dead-letter log of worker ${worker} is not open here`);
    if (opened.log.spoolId.toString("hex") === id) return opened;
    throw refused(
      `the dead-letter log of worker ${worker} is another one here: give the DATA_DIR and the ADMIN_LISTEN of one service`,
    );
  }

  /** Once a second: what changes by time alone. */
  #tick(): void {
    if (this.#closed) return;
    const oldest = Math.min(...[...this.#logs.values()].map(({ index }) => index.oldestAtMs));
    const ageMs = oldest === Infinity ? 0 : Math.max(0, this.#clock.now() - oldest);
    this.#metrics.deadLetterOldest.with().set(ageMs / 1000);
    for (const { log } of this.#logs.values()) void log.verify();
    this.#ticks++;
    if (this.#held.length > 0 && this.#ticks % ADOPT_TICKS === 0)
      this.#adopting = this.#adopting.then(() => this.#adoptHeld());
    this.#timer = this.#clock.setTimeout(() => this.#tick(), TICK_MS);
    this.#timer.unref?.();
  }
}

function refused(message: string): IngestError {
  return new IngestError(Code.FAILED_PRECONDITION, message);
}
