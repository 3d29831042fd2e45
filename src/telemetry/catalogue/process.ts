// What every process tells of itself; names that prom-client made usual are kept.

import type { Define } from "./define.ts";

const of = (...labels: readonly string[]) => ({ labels, perWorker: true });

/** CPU, memory, files, garbage collection, event loop, profiler. */
export function processFamilies(define: Define) {
  return {
    cpuUser: define.counter("process_cpu_user_seconds_total", "User CPU time spent.", of()),
    cpuSystem: define.counter("process_cpu_system_seconds_total", "System CPU time spent.", of()),
    cpu: define.counter("process_cpu_seconds_total", "User and system CPU time spent.", of()),
    startTime: define.gauge("process_start_time_seconds", "Start of the process since the Unix epoch.", of()),
    residentMemory: define.gauge("process_resident_memory_bytes", "Resident memory.", of()),
    ownMemory: define.gauge(
      "sluice_process_own_memory_bytes",
      "Resident memory without mapped files, whose pages all processes share: these sums are what the service takes.",
      of(),
    ),
    virtualMemory: define.gauge("process_virtual_memory_bytes", "Virtual memory.", of()),
    openFiles: define.gauge("process_open_fds", "Open file descriptors, sockets included.", of()),
    openFilesMax: define.gauge("process_max_fds", "Limit of open file descriptors.", of()),
    heapTotal: define.gauge("nodejs_heap_size_total_bytes", "Heap that V8 has reserved.", of()),
    heapUsed: define.gauge("nodejs_heap_size_used_bytes", "Heap that V8 uses.", of()),
    heapLimit: define.gauge(
      "nodejs_heap_size_limit_bytes",
      "The most that the heap may take before the process ends.",
      of(),
    ),
    external: define.gauge(
      "nodejs_external_memory_bytes",
      "Memory outside of the heap that objects hold, buffers included.",
      of(),
    ),
    arrayBuffers: define.gauge("nodejs_array_buffers_bytes", "Memory of ArrayBuffers and Buffers.", of()),
    heapSpace: define.gauge("nodejs_heap_space_size_used_bytes", "Heap in use, by V8's spaces.", of("space")),
    gc: define.time("nodejs_gc_duration_seconds", "Garbage collections, by kind.", of("kind")),
    resources: define.gauge(
      "nodejs_active_resources",
      "Resources that keep the event loop alive, by type.",
      of("type"),
    ),
    version: define.gauge("nodejs_version_info", "The version of Node.js; always 1.", of("version")),
    eventLoopDelay: define.gauge(
      "sluice_event_loop_delay_seconds",
      "How long one turn of the event loop kept everything else waiting, within the last second; percentile 100 is the longest.",
      of("percentile"),
    ),
    profilerRestarts: define.counter(
      "sluice_profiler_restarts_total",
      "Times V8's sampling thread was found stuck and the profiler restarted.",
      of(),
    ),
    profileSlices: define.counter(
      "sluice_profile_slices_written_total",
      "Slices of profiles that were written to disk.",
      of(),
    ),
    profileWriteFailures: define.counter(
      "sluice_profile_write_failures_total",
      "Times the disk did not take a slice of a profile; it stays in memory for a while.",
      of(),
    ),
  };
}
