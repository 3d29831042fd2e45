// Quantiles of the last seconds, from histograms that only ever grow.

import { TIME_BUCKETS } from "./histograms.ts";

/**
 * Over how long quantiles are taken, in milliseconds: five seconds, which end a little early or late. Whoever is slow answers in
 * bursts: the seconds between them have no answers, or only the fast ones.
 */
export const QUANTILE_WINDOW_MS = 5_500;

/** What came to each bucket since `before`. What a topic that is gone has counted is missing now, and is no less than nothing. */
export function grownSince(before: readonly number[] | undefined, counts: readonly number[]): number[] {
  return counts.map((count, i) => Math.max(0, count - (before?.[i] ?? 0)));
}

/**
 * A quantile of durations that were counted in the buckets of TIME_BUCKETS, in seconds: interpolated within its bucket, as
 * Prometheus' histogram_quantile does. What is beyond the last bound is told as that. NaN of nothing.
 */
export function quantile(q: number, counts: readonly number[]): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return Number.NaN;
  let rank = q * total;
  for (const [i, bound] of TIME_BUCKETS.entries()) {
    const count = counts[i]!;
    if (count > 0 && rank <= count) {
      const below = i === 0 ? 0 : TIME_BUCKETS[i - 1]!;
      return below + ((bound - below) * rank) / count;
    }
    rank -= count;
  }
  return TIME_BUCKETS.at(-1)!;
}
