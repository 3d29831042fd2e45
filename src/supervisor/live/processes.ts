// The series of all processes on the service's axis of time, and how evenly the workers are loaded.
//
// Load is what the metric of that name is of (worker-load.ts), over ten seconds: connections send in bursts, and what counts is
// who gets the work, not who got it just now.

import { PROCESS_SERIES, type ProcessSeries, type Values } from "../../admin/live/model.ts";
import type { History } from "../../telemetry/history.ts";
import { EVENTS_OF_A_BATCH } from "../worker-load.ts";

export interface ProcessHistory {
  readonly series: Readonly<Record<string, Readonly<Record<ProcessSeries, Values>>>>;
  /** The largest load of each second; 1 while there is none. */
  readonly imbalance: Values;
}

const LOAD_SECONDS = 10;
/** Processes tell every second; what is older is not of this second any more. */
const AGE_MAX_MS = 2_500;

const RECORDED = PROCESS_SERIES.filter((name): name is Exclude<ProcessSeries, "load"> => name !== "load");

const WORK = ["eventsPerSecond", "requestsPerSecond"] as const;

/** Sums of the last ten values of each place; null: none is known. */
function recentSums(values: Values): Values {
  let sum = 0;
  let known = 0;
  return values.map((value, i) => {
    sum += value ?? 0;
    known += value === null ? 0 : 1;
    const gone = i >= LOAD_SECONDS ? values[i - LOAD_SECONDS]! : null;
    sum -= gone ?? 0;
    known -= gone === null ? 0 : 1;
    return known === 0 ? null : Math.max(0, sum);
  });
}

/** What each has over the mean of all; null where there is no load. */
function shares(work: readonly Values[]): Values[] {
  const sums = work.map(recentSums);
  const length = sums[0]?.length ?? 0;
  const result: (number | null)[][] = sums.map(() => []);
  for (let i = 0; i < length; i++) {
    const known = sums.filter((each) => each[i] !== null);
    const mean = known.reduce((sum, each) => sum + each[i]!, 0) / known.length;
    for (const [j, each] of sums.entries()) {
      const own = each[i] ?? null;
      result[j]!.push(own === null || !(mean > 0) ? null : Math.round((own / mean) * 1000) / 1000);
    }
  }
  return result;
}

/** @param times ends of seconds, in milliseconds since the epoch, ascending. */
export function processHistory(
  history: History,
  workers: readonly string[],
  supervisor: string,
  times: readonly number[],
): ProcessHistory {
  const [first] = times;
  // The load of the first second is over the nine before it.
  const earlier =
    first === undefined ? [] : Array.from({ length: LOAD_SECONDS }, (_, i) => first - (LOAD_SECONDS - i) * 1000);
  const work = workers.map((worker) => {
    const [events, batches] = history.align(worker, WORK, [...earlier, ...times], AGE_MAX_MS) ?? [];
    return (events ?? []).map((each, i) => (each === null ? null : each + EVENTS_OF_A_BATCH * (batches?.[i] ?? 0)));
  });
  const loads = shares(work).map((each) => each.slice(earlier.length));
  const nothing = times.map(() => null);
  const seriesOf = (process: string, load: Values) => {
    const columns = history.align(process, RECORDED, times, AGE_MAX_MS);
    const recorded = RECORDED.map((name, i) => [name, columns?.[i] ?? nothing] as const);
    return { ...Object.fromEntries(recorded), load } as Record<ProcessSeries, Values>;
  };
  return {
    series: Object.fromEntries([
      ...workers.map((worker, i) => [worker, seriesOf(worker, loads[i]!)] as const),
      [supervisor, seriesOf(supervisor, nothing)] as const,
    ]),
    imbalance: times.map((_, i) => loads.reduce((most, each) => Math.max(most, each[i] ?? 1), 1)),
  };
}
