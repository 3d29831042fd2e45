// What happened to each process second by second: fills the history from the metrics that processes push, and has the triggers
// look at it.
//
// A process that is stuck pushes nothing, and that is what has to be seen: while it is silent, its event loop is told to be
// blocked for as long as it is. If it was this process that stood still, or all of them with their machine, nobody was silent:
// what a late tick finds counts from then on.

import { join } from "node:path";
import type { Clock, Timer } from "../clock.ts";
import type { TriggerSettings } from "../config/triggers.ts";
import { type Trigger, Triggers } from "../incidents/triggers.ts";
import { Cgroup, hostMemoryBytes } from "../telemetry/cgroup.ts";
import { HistoryFile } from "../telemetry/history-file.ts";
import { HistoryReader, type MetricSource, type Prices } from "../telemetry/history-reader.ts";
import { HISTORY_SECONDS, History, type HistoryValues, UNKNOWN } from "../telemetry/history.ts";
import type { Logger } from "../telemetry/log.ts";

/** What is asked of a worker slot. */
export interface TimelineSlot {
  readonly name: string;
  /** Since its process was heard of, in milliseconds; undefined if none is ready there. */
  readonly silentMs: number | undefined;
  readonly metrics: { living: MetricSource };
}

export interface TimelineOptions {
  readonly dataDir: string;
  readonly triggers: TriggerSettings;
  readonly prices: Prices;
  /** The `worker` label of this process. */
  readonly supervisor: string;
}

export interface TimelineDependencies {
  readonly log: Logger;
  readonly clock: Clock;
  readonly slots: readonly TimelineSlot[];
  /** This process's own metrics. */
  readonly own: MetricSource;
  readonly onTrigger: (trigger: Trigger) => void;
}

const TICK_MS = 1_000;
/** Processes push every second; one that is late is not silent yet. */
const SILENT_MS = 2_000;
/** A tick that is later than this was held up together with everything that it looks at. */
const LATE_MS = 2_000;
/** What was pushed is read at once, or this process was held up; a greater age means that the clock was set. */
const AGE_MAX_MS = 60_000;
const WRITE_INTERVAL_MS = 10_000;

/** Where the history lies. */
export function historyDirectory(dataDir: string): string {
  return join(dataDir, "history");
}

export class Timeline {
  readonly history: History;
  readonly #clock: Clock;
  readonly #slots: readonly TimelineSlot[];
  readonly #own: HistoryReader;
  readonly #supervisor: string;
  readonly #prices: Prices;
  readonly #triggers: Triggers;
  readonly #readers = new Map<string, HistoryReader>();
  readonly #file: HistoryFile;
  #writtenMs: number;
  /** When the next tick is expected, and when the last one came that was late; both monotonic. */
  #dueMs = Infinity;
  #resumedMs = -Infinity;
  #timer: Timer | undefined;
  #ticking = false;

  constructor({ log, clock, slots, own, onTrigger }: TimelineDependencies, options: TimelineOptions) {
    this.#clock = clock;
    this.#slots = slots;
    this.#own = new HistoryReader(own);
    this.#supervisor = options.supervisor;
    this.#prices = options.prices;
    this.history = new History([...slots.map(({ name }) => name), options.supervisor]);
    const cgroup = new Cgroup();
    const hostBytes = hostMemoryBytes();
    this.#triggers = new Triggers(
      {
        history: this.history,
        host: () => ({ memoryBytes: Math.min(hostBytes, cgroup.memoryLimitBytes()) }),
        onTrigger,
      },
      options.triggers,
      options.supervisor,
    );
    this.#writtenMs = clock.monotonic();
    this.#file = new HistoryFile(log, this.history, historyDirectory(options.dataDir), clock.now());
  }

  start(): void {
    this.#ticking = true;
    this.#schedule();
  }

  /** Resolves when the rest is on disk. */
  async stop(): Promise<void> {
    if (!this.#ticking) return;
    this.#ticking = false;
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    await this.#file.write(this.#clock.now());
  }

  /** A slot's metrics are new. @param atMs when its process read them. */
  pushed({ name, metrics }: TimelineSlot, atMs: number): void {
    this.#noticeLateness();
    let reader = this.#readers.get(name);
    if (reader === undefined) this.#readers.set(name, (reader = new HistoryReader(metrics.living, this.#prices)));
    this.#record(name, reader, atMs);
  }

  /** A slot's process is gone. */
  ended({ name }: TimelineSlot): void {
    this.#readers.delete(name);
    this.#triggers.ended(name);
  }

  /** The last fifteen minutes. */
  recent() {
    const nowMs = this.#clock.now();
    return this.history.range(nowMs - HISTORY_SECONDS * 1000, nowMs);
  }

  #record(name: string, reader: HistoryReader, atMs: number): void {
    this.#take(name, reader, atMs, reader.read(atMs));
  }

  #take(name: string, { limits }: HistoryReader, atMs: number, values: HistoryValues): void {
    const ageMs = this.#clock.now() - atMs;
    const monotonicMs = this.#clock.monotonic() - (ageMs > 0 && ageMs < AGE_MAX_MS ? ageMs : 0);
    const ended = { atMs, monotonicMs };
    this.history.record(name, ended, values);
    this.#triggers.evaluate(name, ended, values, limits);
  }

  #schedule(): void {
    this.#dueMs = this.#clock.monotonic() + TICK_MS;
    this.#timer = this.#clock.setTimeout(() => {
      this.#noticeLateness();
      // If it was this process that was late, what others have pushed meanwhile is read first.
      this.#clock.setImmediate(() => {
        if (!this.#ticking) return;
        this.#tick();
        this.#schedule();
      });
    }, TICK_MS);
    this.#timer.unref?.();
  }

  /** Whatever comes first after a standstill, the tick or a message, has to see it. */
  #noticeLateness(): void {
    const nowMs = this.#clock.monotonic();
    if (nowMs - this.#dueMs <= LATE_MS) return;
    this.#dueMs = nowMs;
    this.#resumedMs = nowMs;
    this.#triggers.resumed(nowMs);
  }

  #tick(): void {
    const atMs = this.#clock.now();
    this.#record(this.#supervisor, this.#own, atMs);
    const heardMs = this.#clock.monotonic() - this.#resumedMs;
    for (const slot of this.#slots) {
      const { name } = slot;
      const reader = this.#readers.get(name);
      if (reader === undefined || slot.silentMs === undefined) continue;
      const silentMs = Math.min(slot.silentMs, heardMs);
      if (silentMs < SILENT_MS) continue;
      this.#take(name, reader, atMs, { ...UNKNOWN, eventLoopDelayMax: (silentMs - TICK_MS) / 1000 });
    }
    this.#triggers.evaluateAll({ atMs, monotonicMs: this.#clock.monotonic() });
    if (this.#clock.monotonic() - this.#writtenMs < WRITE_INTERVAL_MS) return;
    this.#writtenMs = this.#clock.monotonic();
    void this.#file.write(atMs);
  }
}
