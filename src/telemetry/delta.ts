// Leaves out of a snapshot what has not changed since the last one, so that an idle worker pushes next to nothing.
//
// The unit is the metric, not the series: whoever receives it replaces the metric's series, so a series that was removed
// is gone there too.

import type { MetricSnapshot } from "./instruments.ts";

type Value = MetricSnapshot["series"][number][1];

function sameValue(a: Value, b: Value): boolean {
  if (typeof a === "number" || typeof b === "number") return a === b;
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

function same(a: MetricSnapshot, b: MetricSnapshot): boolean {
  if (a.series.length !== b.series.length) return false;
  return a.series.every(([labels, value], i) => {
    const other = b.series[i]!;
    return sameValue(value, other[1]) && labels.every((label, j) => label === other[0][j]);
  });
}

export class SnapshotDelta {
  readonly #last = new Map<string, MetricSnapshot>();

  /** The metrics that differ from what the last call was given. */
  changed(snapshots: readonly MetricSnapshot[]): MetricSnapshot[] {
    return snapshots.filter((snapshot) => {
      const last = this.#last.get(snapshot.name);
      if (last !== undefined && same(last, snapshot)) return false;
      this.#last.set(snapshot.name, snapshot);
      return true;
    });
  }
}
