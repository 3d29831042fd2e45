// CPU time that a sampler finds when it is too late: it was spent in bursts between two samples, and at the second one the thread
// waited again.
//
// The library credits a sample with the CPU time since the one before it, so a process whose turns are shorter than the sampling
// interval shows much of what it did, 40 % of a worker that is half busy, under `(idle)`. The samples that did hit a burst are a
// fair choice of what all of them did, each worth as much as the others. So what is under `(idle)` is shared out among them by
// their number, within one slice of one process: ten seconds, in which the load is mostly the same.
//
// Rejected: sharing it out by their CPU time, which weighs a sample the more, the longer before it the thread was busy; leaving it
// out, because the sum is what the process really took; a shorter interval, which costs idle processes their rest; and doing it
// when profiles are merged, which would have to know what is one process and one slice.
//
// Invariants: the sum of the CPU time is the same before and after. Other threads, which have no samples of their own, get
// nothing. If nothing but `(idle)` was hit, it stays.

import type { Profile } from "pprof-format";

const IDLE = "(idle)";

/** What is read and changed of a profile, whichever of pprof-format's two builds made it. */
type Slice = Pick<Profile, "sampleType" | "sample" | "function" | "location"> & {
  readonly stringTable: { readonly strings: readonly string[] };
};

/** Shares the CPU time of `(idle)` out among the other samples of a slice, in place. */
export function shareIdleCpu(profile: Slice): void {
  const { strings } = profile.stringTable;
  const typeIndex = (name: string) => profile.sampleType.findIndex(({ type }) => strings[Number(type)] === name);
  const [hits, cpu] = [typeIndex("sample"), typeIndex("cpu")];
  if (hits < 0 || cpu < 0) return;
  const idle = locationsOf(profile, IDLE);
  const isIdle = ({ locationId }: Slice["sample"][number]) => idle.has(Number(locationId[0]));
  const busy = profile.sample.filter((sample) => !isIdle(sample));
  const hitsInAll = busy.reduce((sum, { value }) => sum + Number(value[hits]), 0);
  if (hitsInAll === 0) return;
  const idleNanos = profile.sample.filter(isIdle).reduce((sum, { value }) => sum + Number(value[cpu]), 0);
  let hitsBefore = 0;
  // Each gets what the rounded sums up to it and to the one before differ by, so nothing is lost in rounding.
  const shareOf = (upTo: number) => Math.round((idleNanos * upTo) / hitsInAll);
  for (const { value } of busy) {
    const hitsUpTo = hitsBefore + Number(value[hits]);
    value[cpu] = Number(value[cpu]) + shareOf(hitsUpTo) - shareOf(hitsBefore);
    hitsBefore = hitsUpTo;
  }
  profile.sample = busy;
}

function locationsOf({ stringTable, function: functions, location }: Slice, name: string): ReadonlySet<number> {
  const ids = new Set(
    functions.filter((each) => stringTable.strings[Number(each.name)] === name).map(({ id }) => Number(id)),
  );
  return new Set(
    location
      .filter(({ line }) => line.some(({ functionId }) => ids.has(Number(functionId))))
      .map(({ id }) => Number(id)),
  );
}
