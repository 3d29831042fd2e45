// The metrics of the control group: its limits, and how often it was held back.

import { Cgroup } from "./cgroup.ts";
import { Counter, Family, Gauge, type MetricDefinition, type MetricSnapshot } from "./instruments.ts";

function own(name: string, help: string): Omit<MetricDefinition, "type"> {
  return { name, help, labels: [], perWorker: false };
}

function createFamilies() {
  const gauge = (name: string, help: string) =>
    new Family({ ...own(name, help), type: "gauge" as const }, () => new Gauge());
  const counter = (name: string, help: string) =>
    new Family({ ...own(name, help), type: "counter" as const }, () => new Counter());
  return {
    memoryLimit: gauge(
      "sluice_cgroup_memory_limit_bytes",
      "The memory that the control group of the service may take; absent without a limit.",
    ),
    cpuLimit: gauge(
      "sluice_cgroup_cpu_limit_cores",
      "The CPU that the control group of the service may take; absent without a limit.",
    ),
    periods: counter("sluice_cgroup_cpu_periods_total", "Periods in which the control group wanted to run."),
    throttled: counter(
      "sluice_cgroup_cpu_throttled_periods_total",
      "Periods in which the control group had used up its CPU and was held back.",
    ),
    throttledSeconds: counter(
      "sluice_cgroup_cpu_throttled_seconds_total",
      "How long threads of the control group were held back so.",
    ),
  };
}

export function cgroupDefinitions(): MetricDefinition[] {
  return Object.values(createFamilies()).map((family) => family.definition);
}

/** The group's metrics; the supervisor has them, since all processes of the service are in one group. */
export class CgroupMetrics {
  readonly #families = createFamilies();
  readonly #cgroup: Cgroup;

  constructor(cgroup = new Cgroup()) {
    this.#cgroup = cgroup;
  }

  /** Reads everything anew; limits may change while a service runs. */
  snapshot(): MetricSnapshot[] {
    const { memoryLimit, cpuLimit, periods, throttled, throttledSeconds } = this.#families;
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
