// The metrics of the control group: its limits, and how often it was held back.

import { cgroupFamilies } from "./catalogue/cgroup.ts";
import { Define } from "./catalogue/define.ts";
import { Cgroup } from "./cgroup.ts";
import type { MetricDefinition, MetricSnapshot } from "./instruments.ts";

export function cgroupDefinitions(): MetricDefinition[] {
  return Object.values(cgroupFamilies(new Define())).map((family) => family.definition);
}

/** The group's metrics; the supervisor has them, since all processes of the service are in one group. */
export class CgroupMetrics {
  readonly #families = cgroupFamilies(new Define());
  readonly #cgroup: Cgroup;

  constructor(cgroup = new Cgroup()) {
    this.#cgroup = cgroup;
  }

  /** Reads everything anew; limits may change while a service runs. */
  snapshot(): MetricSnapshot[] {
    const { memory, memoryLimit, cpuLimit, periods, throttled, throttledSeconds } = this.#families;
    const bytes = this.#cgroup.memoryBytes();
    if (bytes === undefined) memory.remove();
    else memory.with().set(bytes);
    for (const [family, limit] of [
      [memoryLimit, this.#cgroup.memoryLimitBytes()],
      [cpuLimit, this.#cgroup.cpuLimitCores()],
    ] as const) {
      if (limit === Infinity) family.remove();
      else family.with().set(limit);
    }
    const throttling = this.#cgroup.throttling();
    if (throttling !== undefined) {
      periods.with().value = throttling.periods;
      throttled.with().value = throttling.throttledPeriods;
      throttledSeconds.with().value = throttling.throttledSeconds;
    }
    return Object.values(this.#families).map((family) => family.snapshot());
  }
}
