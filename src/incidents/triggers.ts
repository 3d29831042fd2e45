// Sees in the values of each second that something goes wrong, and says what.
//
// A trigger compares a value with its own mean of the minutes before, so that one setting fits small and large services, and
// with absolute values, for what grows so slowly that the mean grows along; what is compared with what, is in measures.ts. It has to
// hold for some seconds, and is silent for a while after it has fired (silences.ts): one incident is one bundle, not one a second.
// Nothing fires in the first seconds of a process, which has caches to fill and a backlog to send.
//
// Invariant: all of it is measured on the clock that never goes back. Wall time is only told; whoever sets it blinds nobody.

import type { TriggerKind, TriggerSettings } from "../config/triggers.ts";
import type { Limits } from "../telemetry/history-reader.ts";
import type { History, HistoryValues, Mean, Moment } from "../telemetry/history.ts";
import { type Measure, MEASURES } from "./measures.ts";
import { exceeds, type Reading, sentence } from "./reading.ts";
import { Silences } from "./silences.ts";

/** A trigger has fired. */
export interface Trigger {
  readonly kind: TriggerKind;
  /** The `worker` label of the process; of memory, which all share, the one that grew most. */
  readonly worker: string;
  readonly value: number;
  /** Of the minutes before; undefined if the process is too young to have one. */
  readonly mean: number | undefined;
  /** What the value reached. */
  readonly limit: number;
  /** One sentence. */
  readonly why: string;
  /** In milliseconds since the epoch. */
  readonly atMs: number;
}

/** What cannot be read in the metrics. */
export interface HostLimits {
  /** Memory that all processes together may take, in bytes. */
  readonly memoryBytes: number;
}

/** The mean is of the five minutes before, without the last ten seconds, which may be the incident already. */
const MEAN_FROM_MS = 300_000;
const MEAN_TO_MS = 10_000;
/** The first seconds of a process. */
const GRACE_MS = 10_000;
/** What one value is taken to have held for at most, unless it is itself the length of a turn that was longer. */
const GAP_MAX_MS = 2_000;
/** Seconds end a little early or late. */
const HOLD_TOLERANCE_MS = 250;
/** A process that was not heard of for so long has no memory that counts. */
const STALE_MS = 10_000;

interface Watched {
  /** When the first of the seconds began in which it was too much; undefined while it is not. */
  sinceMs: number | undefined;
}

/** Of one process: on the clock that never goes back, and when it ended, in milliseconds since the epoch. */
interface Second {
  readonly beganMs: number;
  readonly nowMs: number;
  readonly atMs: number;
}

interface Process {
  firstMs: number;
  lastMs: number;
  memoryBytes: number;
}

export class Triggers {
  readonly #settings: TriggerSettings;
  readonly #history: History;
  readonly #host: () => HostLimits;
  readonly #supervisor: string;
  readonly #onTrigger: (trigger: Trigger) => void;
  /** By measure and process. */
  readonly #watched = new Map<string, Watched>();
  readonly #silences = new Silences();
  readonly #processes = new Map<string, Process>();
  #resumedMs = -Infinity;
  #lastOfAllMs = -Infinity;

  /**
   * @param supervisor the `worker` label of the process that serves nothing.
   * @param host looked up once for each time that all are evaluated.
   */
  constructor(
    dependencies: {
      readonly history: History;
      readonly host: () => HostLimits;
      readonly onTrigger: (trigger: Trigger) => void;
    },
    settings: TriggerSettings,
    supervisor: string,
  ) {
    this.#history = dependencies.history;
    this.#host = dependencies.host;
    this.#onTrigger = dependencies.onTrigger;
    this.#settings = settings;
    this.#supervisor = supervisor;
  }

  /** The process is gone; whoever comes next begins anew. */
  ended(worker: string): void {
    this.#processes.delete(worker);
    for (const measure of MEASURES) {
      const watched = this.#watched.get(keyOf(measure, worker));
      if (watched !== undefined) watched.sinceMs = undefined;
    }
  }

  /**
   * This process was stopped, or did not come to read what others said: what lasted until now, lasted because of that, or
   * nobody knows how long.
   */
  resumed(monotonicMs: number): void {
    this.#resumedMs = monotonicMs;
    for (const watched of this.#watched.values()) watched.sinceMs = undefined;
  }

  /** Takes the values of a second that is in the history already. */
  evaluate(worker: string, ended: Moment, values: HistoryValues, limits: Limits): void {
    let process = this.#processes.get(worker);
    const nowMs = Math.max(ended.monotonicMs, process?.lastMs ?? -Infinity);
    if (process === undefined) {
      process = { firstMs: nowMs, lastMs: nowMs, memoryBytes: Number.NaN };
      this.#processes.set(worker, process);
    }
    const beganMs = process.lastMs;
    process.lastMs = nowMs;
    if (!Number.isNaN(values.ownMemoryBytes)) process.memoryBytes = values.ownMemoryBytes;
    if (nowMs - process.firstMs < GRACE_MS) return;
    const second: Second = { beganMs, nowMs, atMs: ended.atMs };
    for (const measure of MEASURES) {
      if (worker === this.#supervisor && measure.everyProcess !== true) continue;
      if (measure.applies !== undefined && !measure.applies(values)) this.#see(worker, second, undefined, measure);
      else this.#see(worker, second, this.#reading(worker, nowMs, values, limits, measure), measure);
    }
  }

  /** Looks at what all processes have together; called once a second. */
  evaluateAll({ atMs, monotonicMs: nowMs }: Moment): void {
    const beganMs = this.#lastOfAllMs;
    this.#lastOfAllMs = nowMs;
    if (![...this.#processes.values()].some(({ firstMs }) => nowMs - firstMs >= GRACE_MS)) return;
    this.#see("all", { beganMs, nowMs, atMs }, this.#memory(nowMs), { kind: "rss" });
  }

  #reading(worker: string, nowMs: number, values: HistoryValues, limits: Limits, measure: Measure): Reading {
    const { kind, series, what, unit, meanMin } = measure;
    const whole = measure.whole(limits);
    return {
      kind,
      what,
      unit,
      value: values[series] / whole,
      mean: () => {
        const { mean, count } = this.#history.mean(worker, series, nowMs - MEAN_FROM_MS, nowMs - MEAN_TO_MS);
        return { mean: Math.max(mean, meanMin?.(values) ?? 0) / whole, count };
      },
    };
  }

  /** All processes share one limit. */
  #memory(nowMs: number): Reading | undefined {
    if (this.#settings.rss === undefined) return undefined;
    const living = [...this.#processes].filter(
      ([, { lastMs, memoryBytes }]) => memoryBytes > 0 && nowMs - lastMs < STALE_MS,
    );
    const hostBytes = this.#host().memoryBytes;
    return {
      kind: "rss",
      what: "memory of all processes, of what they may take,",
      unit: "share",
      value: living.reduce((sum, [, { memoryBytes }]) => sum + memoryBytes, 0) / hostBytes,
      mean: () => {
        const means = living.map(([worker]) => this.#meanMemory(worker, nowMs));
        const sum = means.reduce((total, { mean }) => total + mean, 0);
        return { mean: sum / hostBytes, count: Math.min(...means.map(({ count }) => count)) };
      },
    };
  }

  #meanMemory(worker: string, nowMs: number): Mean {
    return this.#history.mean(worker, "ownMemoryBytes", nowMs - MEAN_FROM_MS, nowMs - MEAN_TO_MS);
  }

  #grownMost(nowMs: number): string {
    const grown = Array.from(this.#processes, ([worker, { memoryBytes }]) => {
      const { mean, count } = this.#meanMemory(worker, nowMs);
      return { worker, bytes: count === 0 ? memoryBytes : memoryBytes - mean };
    });
    return grown.reduce((most, one) => (one.bytes > most.bytes ? one : most)).worker;
  }

  /** @param worker "all", where the value is of all. */
  #see(
    worker: string,
    { beganMs, nowMs, atMs }: Second,
    reading: Reading | undefined,
    measure: Pick<Measure, "kind" | "also" | "isDuration">,
  ): void {
    const { kind, also, isDuration } = measure;
    const ofKind = this.#settings[kind];
    const setting = ofKind === undefined || also === undefined ? ofKind : also.settingOf(ofKind);
    if (setting === undefined) return;
    const key = keyOf(measure, worker);
    let watched = this.#watched.get(key);
    if (watched === undefined) this.#watched.set(key, (watched = { sinceMs: undefined }));
    const exceeded = reading === undefined ? undefined : exceeds(setting, reading);
    if (reading === undefined || exceeded === undefined) {
      watched.sinceMs = undefined;
      return;
    }
    const coveredMs = isDuration === true ? Math.max(GAP_MAX_MS, reading.value * 1000) : GAP_MAX_MS;
    watched.sinceMs ??= Math.max(beganMs, nowMs - coveredMs, this.#resumedMs);
    const heldMs = nowMs - watched.sinceMs;
    if (heldMs < setting.holdMs - HOLD_TOLERANCE_MS || this.#silences.isSilent(kind, worker, nowMs, setting)) return;
    const process = worker === "all" ? this.#grownMost(nowMs) : worker;
    const why = sentence(reading, process, exceeded, heldMs);
    const { value } = reading;
    this.#onTrigger({ kind, worker: process, value, mean: exceeded.mean, limit: exceeded.limit, why, atMs });
  }
}

function keyOf({ kind, also }: Pick<Measure, "kind" | "also">, worker: string): string {
  return `${also?.name ?? kind} ${worker}`;
}
