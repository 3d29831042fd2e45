// What all rows of a run say together of two targets: one that loses in each row what noise hides in any of them is seen here.
//
// A mean of ratios is geometric: 2x and 0.5x are 1x. Rows of an open loop do not count, because everybody has the same rate there,
// and neither do those of one target.

import type { Ratio } from "./rows.ts";

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
  readonly ratios: readonly Pick<Ratio, "of" | "to" | "median" | "requestsPerSecond">[];
}

/** Of each pair of targets that has two rows or more with a broker. */
export function overall(rows: readonly (LoadRow | { readonly kind: "idle" | "ready" | "curve" })[]): Overall[] {
  const closed = rows.filter((row) => row.kind === "load").filter(({ rate }) => rate === 0);
  const compared = closed.flatMap(({ broker, ratios }) => ratios.map((ratio) => ({ ...ratio, broker })));
  const pairs = Map.groupBy(compared, ({ of, to, broker }) => `${of} ${to} ${broker}`);
  return [...pairs.values()].flatMap((pair) => {
    const [first] = pair;
    if (first === undefined || pair.length < 2) return [];
    const { of, to, broker } = first;
    const eventsPerCpuSecond = geometricMean(pair.map((ratio) => ratio.median));
    const requestsPerSecond = geometricMean(pair.map((ratio) => ratio.requestsPerSecond));
    return { of, to, broker, rows: pair.length, eventsPerCpuSecond, requestsPerSecond };
  });
}

function geometricMean(ratios: readonly number[]): number {
  return Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
}
