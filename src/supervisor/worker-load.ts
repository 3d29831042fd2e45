// How evenly load lies on the workers: each one's share of the last seconds' work over the mean of all.
//
// Work is events, and batches as what fifteen events cost (history-reader.ts has the prices): events alone would call a worker
// idle that answers thousands of small batches. Rejected: the CPU that workers take; one that spins without work is not busy,
// and to find that out is what the share of work is compared with.

import type { MetricSnapshot } from "../telemetry/instruments.ts";

const WINDOW_SECONDS = 10;
export const EVENTS_OF_A_BATCH = 15;

/** A worker's metrics. */
export interface LoadSource {
  living(name: string): MetricSnapshot | undefined;
}

export interface Load {
  /** For each worker; 1 is even, or none of all. */
  readonly ratios: readonly number[];
  /** The largest of them. */
  readonly imbalance: number;
}

function sum(metric: MetricSnapshot | undefined): number {
  let total = 0;
  for (const [, value] of metric?.series ?? []) if (typeof value === "number") total += value;
  return total;
}

export class WorkerLoad {
  readonly #workers: readonly LoadSource[];
  /** What each worker had done, a second apart, the latest last. */
  readonly #done: (readonly number[])[] = [];

  constructor(workers: readonly LoadSource[]) {
    this.#workers = workers;
  }

  /** To be called once a second. */
  read(): Load {
    this.#done.push(
      this.#workers.map(
        (worker) =>
          sum(worker.living("sluice_events_received_total")) +
          EVENTS_OF_A_BATCH * sum(worker.living("sluice_batches_total")),
      ),
    );
    if (this.#done.length > WINDOW_SECONDS + 1) this.#done.shift();
    const [before, now] = [this.#done[0]!, this.#done.at(-1)!];
    // Whoever has less than before is a new process: what it has done, it has done since.
    const work = now.map((done, i) => (done < before[i]! ? done : done - before[i]!));
    const mean = work.reduce((total, each) => total + each, 0) / work.length;
    const ratios = work.map((each) => (mean > 0 ? each / mean : 1));
    return { ratios, imbalance: Math.max(1, ...ratios) };
  }
}
