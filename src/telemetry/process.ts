// What every process tells of itself: CPU, memory, files, garbage collection, event loop.
//
// Rejected: prom-client's collectDefaultMetrics. It observes only the first garbage collection of each batch (18 happened,
// 11 were counted), its event-loop histogram is emptied by each scrape, so that two scrapers see half of it each, and its
// 10 ms timer and 19 MB would be paid by every worker. The names are the ones it made usual. Everything is read when it is
// pushed, once a second, which takes a fraction of a millisecond.

import { readFileSync, readdirSync, statSync } from "node:fs";
import { constants, PerformanceObserver, type PerformanceEntry } from "node:perf_hooks";
import { getHeapSpaceStatistics, getHeapStatistics } from "node:v8";
import { Define } from "./catalogue/define.ts";
import { processFamilies } from "./catalogue/process.ts";
import { EventLoopDelay, type EventLoopSecond } from "./event-loop.ts";
import type { MetricDefinition, MetricDelta, MetricSnapshot } from "./instruments.ts";

/** The definitions of every process's own metrics. */
export function processDefinitions(): MetricDefinition[] {
  return Object.values(processFamilies(new Define())).map((family) => family.definition);
}

const GC_KINDS: ReadonlyMap<number, string> = new Map([
  [constants.NODE_PERFORMANCE_GC_MAJOR, "major"],
  [constants.NODE_PERFORMANCE_GC_MINOR, "minor"],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, "incremental"],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, "weakcb"],
]);

function gcKind(entry: PerformanceEntry): string {
  // The types leave out what only some entries have.
  const { detail } = entry as PerformanceEntry & { readonly detail: { readonly kind: number } };
  return GC_KINDS.get(detail.kind) ?? "other";
}

const LIMITS = "/proc/self/limits";

/** Linux says it in the size of the directory since 6.2; before that somebody has to count. */
function countOpenFiles(): number {
  return statSync("/proc/self/fd").size || readdirSync("/proc/self/fd").length - 1;
}

/** The limit of open file descriptors of this process; Infinity where the system does not say. */
export function readOpenFilesMax(): number {
  if (statSync(LIMITS, { throwIfNoEntry: false }) === undefined) return Infinity;
  const limit = /^Max open files\s+(\d+)/m.exec(readFileSync(LIMITS, "utf8"));
  return limit?.[1] === undefined ? Infinity : Number(limit[1]);
}

/** The 23rd field of proc_pid_stat(5), in bytes; the second one is a name that may hold blanks and parentheses. */
function readVirtualMemory(): number {
  const stat = readFileSync("/proc/self/stat", "utf8");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ", 21)[20]);
}

/** RssAnon and RssShmem of proc_pid_status(5), in bytes. */
function readOwnMemory(): number {
  const status = readFileSync("/proc/self/status", "utf8");
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? 0) * 1024;
  return bytes("RssAnon") + bytes("RssShmem");
}

export class ProcessMetrics {
  readonly #families = processFamilies(new Define());
  readonly #delay = new EventLoopDelay();
  readonly #gc = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) this.#families.gc.with(gcKind(entry)).observe(entry.duration);
  });
  readonly #delayP50 = this.#families.eventLoopDelay.with("50");
  readonly #delayP99 = this.#families.eventLoopDelay.with("99");
  readonly #delayMax = this.#families.eventLoopDelay.with("100");
  readonly #resourceTypes = new Set<string>();
  readonly #proc = process.platform === "linux";

  start(): void {
    const { startTime, version, openFilesMax, profilerRestarts, profileSlices, profileWriteFailures } = this.#families;
    startTime.with().set(performance.timeOrigin / 1000);
    version.with(process.version).set(1);
    for (const family of [profilerRestarts, profileSlices, profileWriteFailures]) family.with();
    if (this.#proc) openFilesMax.with().set(readOpenFilesMax());
    this.#gc.observe({ entryTypes: ["gc"] });
    this.#delay.start();
    // It does not change while the process lives.
    this.#families.heapLimit.with().set(getHeapStatistics().heap_size_limit);
  }

  stop(): void {
    this.#gc.disconnect();
    this.#delay.stop();
  }

  /** Tells that the profiler had to be restarted. */
  profilerRestarted(): void {
    this.#families.profilerRestarts.with().inc();
  }

  sliceWritten(): void {
    this.#families.profileSlices.with().inc();
  }

  sliceNotWritten(): void {
    this.#families.profileWriteFailures.with().inc();
  }

  /** The event loop's delay in each of the last 60 windows, oldest first. */
  get eventLoop(): readonly EventLoopSecond[] {
    return this.#delay.seconds;
  }

  /** Reads everything anew; begins the next window of the event loop's delay. */
  read(): this {
    this.#readUsage();
    this.#readEventLoop();
    this.#readResources();
    return this;
  }

  /** What has changed of what was read, since the last call. */
  delta(): MetricDelta[] {
    return Object.values(this.#families).flatMap((family) => family.delta() ?? []);
  }

  snapshot(): MetricSnapshot[] {
    return Object.values(this.#families).map((family) => family.snapshot());
  }

  #readUsage(): void {
    const f = this.#families;
    const cpu = process.cpuUsage();
    f.cpuUser.with().value = cpu.user / 1e6;
    f.cpuSystem.with().value = cpu.system / 1e6;
    f.cpu.with().value = (cpu.user + cpu.system) / 1e6;
    const memory = process.memoryUsage();
    f.residentMemory.with().set(memory.rss);
    f.heapTotal.with().set(memory.heapTotal);
    f.heapUsed.with().set(memory.heapUsed);
    f.external.with().set(memory.external);
    f.arrayBuffers.with().set(memory.arrayBuffers);
    for (const space of getHeapSpaceStatistics())
      f.heapSpace.with(space.space_name.replace(/_space$/, "")).set(space.space_used_size);
    if (!this.#proc) return;
    f.openFiles.with().set(countOpenFiles());
    f.ownMemory.with().set(readOwnMemory());
    f.virtualMemory.with().set(readVirtualMemory());
  }

  #readEventLoop(): void {
    const second = this.#delay.endSecond(Date.now());
    if (second === undefined) return;
    this.#delayP50.set(second.p50);
    this.#delayP99.set(second.p99);
    this.#delayMax.set(second.max);
  }

  #readResources(): void {
    const counts = new Map<string, number>();
    for (const type of process.getActiveResourcesInfo()) {
      counts.set(type, (counts.get(type) ?? 0) + 1);
      this.#resourceTypes.add(type);
    }
    for (const type of this.#resourceTypes) this.#families.resources.with(type).set(counts.get(type) ?? 0);
  }
}
