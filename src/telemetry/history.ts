// The last minutes of every process, second by second: what an incident is measured against and shown with.
//
// One value per second and series, in typed arrays that are made once: 15 minutes of 20 series are 86 KB a process, whatever
// happens. Rejected: asking a Prometheus for it. It scrapes every 15 s or less often, and is somewhere else when it is needed.
//
// Means are taken over the time that has passed: wall time, which people are shown, may be set back by an hour, and then the
// minutes before would be those of another hour.
//
// Invariants: memory does not grow. A value that is not known is NaN here and null outside, never 0.

import { told } from "./columns.ts";

/** The series, in the order in which they are shown. */
export const SERIES = [
  /** CPU seconds a second. */
  "cpu",
  /** The most CPU that the load of that second explains, generously; see history-reader.ts. */
  "cpuOfLoad",
  /** The longest turn of the event loop, in seconds. */
  "eventLoopDelayMax",
  "rssBytes",
  /** Of that, what it shares with no other process; where the system does not say, all of it. */
  "ownMemoryBytes",
  "heapBytes",
  "externalBytes",
  "openFds",
  "connections",
  /** Open HTTP/2 streams. */
  "streams",
  /** Those of the connection that has the most. */
  "connectionStreamsMax",
  "eventsPerSecond",
  /** Batches answered, on streams and alone. */
  "requestsPerSecond",
  /** From received to answered, in seconds; of the batches of that second and the four before. */
  "acknowledgedP99",
  "kafkaQueuedBytes",
  /** Produce requests without a response. */
  "kafkaInFlight",
  "spoolBytes",
  "admittedBytes",
  /** Batches refused or events failed, whichever share is larger: 0 to 1. */
  "errorRatio",
  /** Of those. */
  "errorsPerSecond",
] as const;
export type Series = (typeof SERIES)[number];
export type HistoryValues = Readonly<Record<Series, number>>;

/** Plain data. The arrays of one process are of one length; null: not known. */
export interface HistoryRange {
  readonly names: readonly Series[];
  readonly workers: Readonly<Record<string, WorkerHistory>>;
}

export interface WorkerHistory {
  /** When each second ended, in milliseconds since the epoch, oldest first. */
  readonly t: readonly number[];
  readonly series: Readonly<Partial<Record<Series, readonly (number | null)[]>>>;
}

/** When a second ended. */
export interface Moment {
  /** Wall time, in milliseconds since the epoch. */
  readonly atMs: number;
  /** In milliseconds on the clock of this process that never goes back. */
  readonly monotonicMs: number;
}

export interface Mean {
  /** NaN if there is no value. */
  readonly mean: number;
  /** Values that it is of. */
  readonly count: number;
}

export const HISTORY_SECONDS = 900;
/** Digits that a value is told with. */
const DIGITS = 6;

/** Everything about one process: a ring of rows. */
class Ring {
  readonly #t: Float64Array;
  readonly #monotonic: Float64Array;
  readonly #values: readonly Float32Array[];
  readonly #rows: number;
  #next = 0;
  #length = 0;

  constructor(rows: number) {
    this.#rows = rows;
    this.#t = new Float64Array(rows);
    this.#monotonic = new Float64Array(rows);
    this.#values = SERIES.map(() => new Float32Array(rows));
  }

  record({ atMs, monotonicMs }: Moment, values: HistoryValues): void {
    this.#t[this.#next] = atMs;
    this.#monotonic[this.#next] = monotonicMs;
    for (const [i, name] of SERIES.entries()) this.#values[i]![this.#next] = values[name];
    this.#next = (this.#next + 1) % this.#rows;
    this.#length = Math.min(this.#length + 1, this.#rows);
  }

  mean(series: Series, fromMs: number, toMs: number): Mean {
    const values = this.#values[SERIES.indexOf(series)]!;
    let sum = 0;
    let count = 0;
    for (const row of this.#in(this.#monotonic, fromMs, toMs)) {
      const value = values[row]!;
      if (Number.isNaN(value)) continue;
      sum += value;
      count += 1;
    }
    return { mean: sum / count, count };
  }

  /** @see History.align */
  align(names: readonly Series[], times: readonly number[], ageMaxMs: number): (number | null)[][] {
    const rows = [...this.#in(this.#t, (times[0] ?? 0) - ageMaxMs, times.at(-1) ?? 0)];
    let next = 0;
    const chosen = times.map((time) => {
      while (next < rows.length && this.#t[rows[next]!]! <= time) next += 1;
      const row = rows[next - 1];
      return row !== undefined && time - this.#t[row]! < ageMaxMs ? row : undefined;
    });
    return names.map((name) => {
      const values = this.#values[SERIES.indexOf(name)]!;
      return chosen.map((row) => (row === undefined ? null : told(values[row]!)));
    });
  }

  range(fromMs: number, toMs: number): WorkerHistory {
    const rows = [...this.#in(this.#t, fromMs, toMs)];
    const told = (values: Float32Array) =>
      rows.map((row) => (Number.isFinite(values[row]) ? Number(values[row]!.toPrecision(DIGITS)) : null));
    return {
      t: rows.map((row) => this.#t[row]!),
      series: Object.fromEntries(SERIES.map((name, i) => [name, told(this.#values[i]!)])),
    };
  }

  /** Rows with fromMs < t <= toMs, oldest first. */
  *#in(times: Float64Array, fromMs: number, toMs: number): Generator<number> {
    for (let i = this.#length; i > 0; i--) {
      const row = (this.#next - i + this.#rows) % this.#rows;
      const t = times[row]!;
      if (t > fromMs && t <= toMs) yield row;
    }
  }
}

export class History {
  readonly #rings: ReadonlyMap<string, Ring>;

  /** @param workers the names of all processes, by their `worker` label. @param seconds how far it reaches back. */
  constructor(workers: readonly string[], seconds = HISTORY_SECONDS) {
    this.#rings = new Map(workers.map((worker) => [worker, new Ring(seconds)]));
  }

  /** A second of a process. */
  record(worker: string, ended: Moment, values: HistoryValues): void {
    this.#rings.get(worker)?.record(ended, values);
  }

  /** Over seconds that ended after `fromMs` and not after `toMs`, on the clock that never goes back. */
  mean(worker: string, series: Series, fromMs: number, toMs: number): Mean {
    return this.#rings.get(worker)?.mean(series, fromMs, toMs) ?? { mean: Number.NaN, count: 0 };
  }

  /**
   * The values of some series on another axis of time: at each time those of the last second that ended before it, if that is
   * less than `ageMaxMs` ago. Undefined if there is no such process.
   * @param times milliseconds since the epoch, ascending.
   */
  align(
    worker: string,
    names: readonly Series[],
    times: readonly number[],
    ageMaxMs: number,
  ): (number | null)[][] | undefined {
    return this.#rings.get(worker)?.align(names, times, ageMaxMs);
  }

  /** What ended after `fromMs` and not after `toMs`, in milliseconds since the epoch. */
  range(fromMs: number, toMs: number): HistoryRange {
    const workers = Object.fromEntries(
      Array.from(this.#rings, ([worker, ring]) => [worker, ring.range(fromMs, toMs)] as const),
    );
    return { names: SERIES, workers };
  }
}

/** Values of a second of which nothing is known. */
export const UNKNOWN = Object.fromEntries(SERIES.map((name) => [name, Number.NaN])) as HistoryValues;

/** Ranges that follow each other as one; a process is as long as all of its parts. */
export function joinRanges(ranges: readonly HistoryRange[]): HistoryRange {
  const names = [...new Set([...SERIES, ...ranges.flatMap((range) => range.names)])];
  const workers: Record<string, { t: number[]; series: Partial<Record<Series, (number | null)[]>> }> = {};
  for (const range of ranges) {
    for (const [worker, { t, series }] of Object.entries(range.workers)) {
      const joined = (workers[worker] ??= { t: [], series: {} });
      for (const name of names) {
        const values = (joined.series[name] ??= joined.t.map(() => null));
        values.push(...(series[name] ?? t.map(() => null)));
      }
      joined.t.push(...t);
    }
  }
  return { names, workers };
}
