// The median of a few rounds: one round that a noisy neighbour spoilt does not move it.

/** @throws RangeError without values. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle];
  if (high === undefined) throw new RangeError("there is no median of nothing");
  return sorted.length % 2 === 1 ? high : (sorted[middle - 1]! + high) / 2;
}
