// What the control group of the service takes and may take; the supervisor tells it, since all processes are in one group.

import type { Define } from "./define.ts";

/** Memory and CPU of the control group. */
export function cgroupFamilies(define: Define) {
  return {
    memory: define.gauge(
      "sluice_cgroup_memory_bytes",
      "The memory that the control group of the service takes, page cache that cannot be given back at once included; absent where the system does not say.",
    ),
    memoryLimit: define.gauge(
      "sluice_cgroup_memory_limit_bytes",
      "The memory that the control group of the service may take; absent without a limit.",
    ),
    cpuLimit: define.gauge(
      "sluice_cgroup_cpu_limit_cores",
      "The CPU that the control group of the service may take; absent without a limit.",
    ),
    periods: define.counter("sluice_cgroup_cpu_periods_total", "Periods in which the control group wanted to run."),
    throttled: define.counter(
      "sluice_cgroup_cpu_throttled_periods_total",
      "Periods in which the control group had used up its CPU and was held back.",
    ),
    throttledSeconds: define.counter(
      "sluice_cgroup_cpu_throttled_seconds_total",
      "How long threads of the control group were held back so.",
    ),
  };
}
