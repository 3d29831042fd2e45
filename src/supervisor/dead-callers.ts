// Callers that only dead processes have known.
//
// A living worker lets a caller go that has been quiet for a while (grpc/callers.ts). One that dies lets nobody go: what its
// callers have counted stays, as everything of the dead does, and with it their places. Addresses change with every deployment,
// so a few deaths later all places would be taken by callers that never come back, and all others be `other`. So whoever is not
// with any living worker for as long as that is forgotten here.
//
// Invariant: between a death and the time when the caller is back with another process, nothing of it is forgotten.

import type { MetricSnapshot } from "../telemetry/instruments.ts";
import type { LabelLimit } from "../telemetry/label-limit.ts";

/** Looks, one a second, at which a caller has to have been with no living worker. */
const ABSENT_LOOKS = 300;

export interface DeadCallersDependencies {
  /** Of all workers together. */
  readonly limit: LabelLimit;
  /** A metric by caller of each living worker. */
  readonly living: () => readonly (MetricSnapshot | undefined)[];
  readonly forget: (caller: string) => void;
}

export class DeadCallers {
  readonly #dependencies: DeadCallersDependencies;
  /** At how many looks in a row they were with nobody. */
  #absent: ReadonlyMap<string, number> = new Map();

  constructor(dependencies: DeadCallersDependencies) {
    this.#dependencies = dependencies;
  }

  /** To be called once a second. */
  look(): void {
    const { limit, living, forget } = this.#dependencies;
    const known = new Set(living().flatMap((metric) => metric?.series.map(([[caller]]) => caller) ?? []));
    const absent = new Map<string, number>();
    for (const caller of limit.values) {
      if (known.has(caller)) continue;
      const looks = (this.#absent.get(caller) ?? 0) + 1;
      if (looks < ABSENT_LOOKS) absent.set(caller, looks);
      else forget(caller);
    }
    this.#absent = absent;
  }
}
