// Sees in the values of each second that something goes wrong, and says what.
//
// A trigger compares a value with its own mean of the minutes before, so that one setting fits small and large services, and
// with absolute values, for what grows so slowly that the mean grows along. It has to hold for some seconds, and is silent for
// a while after it has fired: one incident is one bundle, not one a second. While the trouble stays, each silence is twice as long
// as the one before: what everybody knows shall not put the bundles of other incidents out.
//
// The mean of CPU is never taken as less than what the load explains (history-reader.ts): a service that was idle and is given
// work is healthy. That is generous, and beyond a quarter of a core of real work it explains more than a worker can take: so a
// worker that is busy all the time for half a minute is looked at as well, if its work is less than what could make it busy.
// Nothing fires in the first seconds of a process, which has caches to fill and a backlog to send.
//
// Invariant: all of it is measured on the clock that never goes back. Wall time is only told; whoever sets it blinds nobody.

import type { TriggerKind, TriggerSetting, TriggerSettings } from "../config/triggers.ts";
import { type Limits, PRICE_MARGIN } from "../telemetry/history-reader.ts";
import type { History, HistoryValues, Mean, Moment, Series } from "../telemetry/history.ts";

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
/** A mean of fewer seconds is none. */
const MEAN_SECONDS_MIN = 10;
/** The first seconds of a process. */
const GRACE_MS = 10_000;
/** Failures that are too few to be an incident, whatever their share is. */
const ERRORS_PER_SECOND_MIN = 10;
/** A worker has one main thread: this is all of it. */
const BUSY_CORES = 0.9;
/** Code that is not compiled yet takes several times as long; that is over sooner. */
const BUSY_HOLD_MS = 30_000;
/** By what the work was measured to cost, in cores, without the margin; healthy full load has three times as much and more. */
const BUSY_WORK_CORES = 0.4;
/** What one value is taken to have held for at most, unless it is itself the length of a turn that was longer. */
const GAP_MAX_MS = 2_000;
/** The most that a silence grows to. */
const SILENCE_MAX_MS = 24 * 3_600_000;
/** Seconds end a little early or late. */
const HOLD_TOLERANCE_MS = 250;
/** A process that was not heard of for so long has no memory that counts. */
const STALE_MS = 10_000;

/** One value of one process. */
interface Measure {
  readonly kind: TriggerKind;
  /** Another measure of the same kind, with settings that follow from the kind's. */
  readonly also?: { readonly name: string; readonly settingOf: (of: TriggerSetting) => TriggerSetting | undefined };
  readonly series: Series;
  /** The value is a share of it; 1 if it is none. NaN: not known. */
  readonly whole: (limits: Limits) => number;
  readonly what: string;
  readonly unit: "cores" | "s" | "share";
  /** The least that counts as the mean. */
  readonly meanMin?: (values: HistoryValues) => number;
  readonly applies?: (values: HistoryValues) => boolean;
  /** Whether it says something of the supervisor, too, which makes profiles and bundles when it is asked to. */
  readonly everyProcess?: true;
  /** Whether the value is how long something took. */
  readonly isDuration?: true;
}

const MEASURES: readonly Measure[] = [
  {
    kind: "cpu",
    series: "cpu",
    whole: () => 1,
    what: "the CPU of a worker",
    unit: "cores",
    meanMin: ({ cpuOfLoad }) => (Number.isNaN(cpuOfLoad) ? 0 : cpuOfLoad),
  },
  {
    kind: "cpu",
    also: {
      name: "busy",
      // Whoever wants no comparison wants no stand-in for it.
      settingOf: (of) =>
        of.diff === undefined
          ? undefined
          : { ...of, diff: undefined, abs: BUSY_CORES, holdMs: Math.max(of.holdMs, BUSY_HOLD_MS) },
    },
    series: "cpu",
    whole: () => 1,
    what: "the CPU of a worker, of which its load explains less than half,",
    unit: "cores",
    applies: ({ cpuOfLoad }) => cpuOfLoad < BUSY_WORK_CORES * PRICE_MARGIN,
  },
  {
    kind: "event_loop",
    series: "eventLoopDelayMax",
    whole: () => 1,
    what: "the longest turn of the event loop",
    unit: "s",
    isDuration: true,
  },
  {
    kind: "heap",
    series: "heapBytes",
    whole: ({ heapBytes }) => heapBytes,
    what: "the heap, of its limit,",
    unit: "share",
    everyProcess: true,
  },
  {
    kind: "fds",
    series: "openFds",
    whole: ({ openFds }) => openFds,
    what: "open file descriptors, of their limit,",
    unit: "share",
    everyProcess: true,
  },
  {
    kind: "connections",
    series: "connections",
    whole: ({ connections }) => connections,
    what: "connections, of GRPC_CONNECTIONS_MAX,",
    unit: "share",
  },
  {
    kind: "streams",
    series: "connectionStreamsMax",
    whole: ({ connectionStreams }) => connectionStreams,
    what: "streams of one connection, of GRPC_STREAMS_MAX,",
    unit: "share",
  },
  {
    kind: "acknowledged_p99",
    series: "acknowledgedP99",
    whole: () => 1,
    what: "the 99th percentile of the time to an answer",
    unit: "s",
  },
  {
    kind: "kafka_queue",
    series: "kafkaQueuedBytes",
    whole: ({ admittedBytes }) => admittedBytes,
    what: "bytes with the Kafka client, of ADMITTED_BYTES_MAX,",
    unit: "share",
  },
  {
    kind: "error_rate",
    series: "errorRatio",
    whole: () => 1,
    what: "batches refused or events failed, of all,",
    unit: "share",
    applies: ({ errorsPerSecond }) => errorsPerSecond >= ERRORS_PER_SECOND_MIN,
  },
];

/** A value that may be one too many. */
interface Reading {
  readonly kind: TriggerKind;
  readonly value: number;
  readonly mean: () => Mean;
  readonly what: string;
  readonly unit: Measure["unit"];
}

interface Silence {
  untilMs: number;
  /** How long the next one is. */
  nextMs: number;
  /** When it would have fired, or did, the last time. */
  neededMs: number;
}

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
  /** By kind and process. */
  readonly #silences = new Map<string, Silence>();
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

  /** Whether one of this kind has fired lately; if not, it does now. */
  #isSilent(kind: TriggerKind, worker: string, nowMs: number, { coolDownMs }: TriggerSetting): boolean {
    const key = `${kind} ${worker}`;
    let silence = this.#silences.get(key);
    if (silence === undefined) {
      silence = { untilMs: -Infinity, nextMs: coolDownMs, neededMs: nowMs };
      this.#silences.set(key, silence);
    }
    // Whatever was good for as long as the shortest silence is over.
    if (nowMs - silence.neededMs >= coolDownMs) silence.nextMs = coolDownMs;
    silence.neededMs = nowMs;
    if (nowMs < silence.untilMs) return true;
    silence.untilMs = nowMs + silence.nextMs;
    silence.nextMs = Math.max(coolDownMs, Math.min(2 * silence.nextMs, SILENCE_MAX_MS));
    return false;
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
    if (heldMs < setting.holdMs - HOLD_TOLERANCE_MS || this.#isSilent(kind, worker, nowMs, setting)) return;
    const process = worker === "all" ? this.#grownMost(nowMs) : worker;
    const why = sentence(reading, process, exceeded, heldMs);
    const { value } = reading;
    this.#onTrigger({ kind, worker: process, value, mean: exceeded.mean, limit: exceeded.limit, why, atMs });
  }
}

function keyOf({ kind, also }: Pick<Measure, "kind" | "also">, worker: string): string {
  return `${also?.name ?? kind} ${worker}`;
}

interface Exceeded {
  readonly limit: number;
  readonly mean: number | undefined;
  readonly by: "abs" | "diff";
}

/** Undefined if it does not. The mean is only looked up where it decides. */
function exceeds({ min, diff, abs }: TriggerSetting, { value, mean: meanOf }: Reading): Exceeded | undefined {
  if (!(value >= min)) return undefined;
  const { mean, count } = meanOf();
  const known = count >= MEAN_SECONDS_MIN ? mean : undefined;
  if (abs !== undefined && value >= abs) return { limit: abs, mean: known, by: "abs" };
  if (diff === undefined || known === undefined) return undefined;
  const limit = Math.max(min, known * (1 + diff));
  return value >= limit ? { limit, mean: known, by: "diff" } : undefined;
}

function sentence(
  { what, unit, value }: Reading,
  worker: string,
  { limit, mean, by }: Exceeded,
  heldMs: number,
): string {
  const of = worker === "supervisor" ? "the supervisor" : `worker ${worker}`;
  const told = (number: number) =>
    unit === "share" ? `${Number((number * 100).toPrecision(3))} %` : `${Number(number.toPrecision(3))} ${unit}`;
  const before = mean === undefined ? "" : `; the mean of the minutes before is ${told(mean)}`;
  const bound = by === "abs" ? `at least ${told(limit)}` : `${told(limit)} or more is too much`;
  return `${of}: ${what} is ${told(value)} for ${Math.round(heldMs / 1000)} s (${bound})${before}`;
}
