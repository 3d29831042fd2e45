// What all rows of a run say together of two targets: one that loses in each row what noise hides in any of them is seen here.
//
// A mean of ratios is geometric: 2x and 0.5x are 1x. Rows of an open loop do not count, because everybody has the same rate there,
// and neither do those of one target.

import type { LoadResult } from "./load/result.ts";
import type { Ratio } from "./rows.ts";
import { median } from "./statistics.ts";

export interface Overall {
  readonly of: string;
  readonly to: string;
  readonly broker: string;
  readonly rows: number;
  /** Events of a CPU-second of the one, against the other's: the geometric mean of the rows' medians. */
  readonly eventsPerCpuSecond: number;
  /** Requests a second, likewise. */
  readonly requestsPerSecond: number;
}

/** What is needed of a row. */
interface LoadRow {
  readonly kind: "load";
  readonly broker: string;
  /** Requests per second of an open loop; 0: closed. */
  readonly rate: number;
  readonly targets: readonly {
    readonly target: string;
    readonly rounds: readonly Pick<LoadResult, "requests_per_s">[];
  }[];
  readonly ratios: readonly Pick<Ratio, "of" | "to" | "median">[];
}

/** Of each pair of targets that has two rows or more with a broker. */
export function overall(rows: readonly (LoadRow | { readonly kind: "idle" | "ready" | "curve" })[]): Overall[] {
  const compared = rows.flatMap((row) => (row.kind === "load" && row.rate === 0 ? compare(row) : []));
  const pairs = Map.groupBy(compared, ({ of, to, broker }) => `${of} ${to} ${broker}`);
  return [...pairs.values()].flatMap((pair) => {
    const [first] = pair;
    if (first === undefined || pair.length < 2) return [];
    const { of, to, broker } = first;
    const eventsPerCpuSecond = geometricMean(pair.map(({ events }) => events));
    const requestsPerSecond = geometricMean(pair.map(({ requests }) => requests));
    return { of, to, broker, rows: pair.length, eventsPerCpuSecond, requestsPerSecond };
  });
}

function compare({ targets, ratios, broker }: LoadRow) {
  return ratios.flatMap(({ of, to, median: events }) => {
    const ours = targets.find(({ target }) => target === of)?.rounds ?? [];
    const theirs = targets.find(({ target }) => target === to)?.rounds ?? [];
    const requests = ours.map((round, i) => round.requests_per_s / theirs[i]!.requests_per_s);
    return { of, to, broker, events, requests: median(requests) };
  });
}

function geometricMean(ratios: readonly number[]): number {
  return Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
}
