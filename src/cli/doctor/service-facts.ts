// What two scrapes of a service, some time apart, say of its processes: load, limits, and how often the kernel held it back.
//
// Workers push their metrics once a second, each at its own time. Two scrapes see a push more of one worker than of another, so
// they have to lie some seconds apart before their difference says anything about shares.

import { setTimeout as pause } from "node:timers/promises";
import type { LiveSnapshot } from "../../admin/live/model.ts";
import { LIVE_PATH } from "../../admin/paths.ts";
import { AdminPort, type Answered } from "../admin-port.ts";
import type { AdminTarget } from "../admin-target.ts";
import { samples } from "../ledger.ts";
import type { ClockReading } from "./clock.ts";

export interface WorkerFacts {
  readonly worker: string;
  readonly connections: number;
  /** As many as it takes; Infinity: it does not say. */
  readonly connectionsLimit: number;
  /** Open HTTP/2 streams: a gRPC call each. */
  readonly streams: number;
  /** Received between the two scrapes. */
  readonly events: number;
  /** Its share of the events of the last ten seconds over the mean, as the service counts it; undefined: it does not. */
  readonly load: number | undefined;
  readonly openFiles: number;
  /** Infinity: no limit, or the system does not say. */
  readonly openFilesMax: number;
  readonly admittedBytesLimit: number;
}

export interface Throttling {
  readonly periods: number;
  readonly throttledPeriods: number;
  readonly throttledSeconds: number;
}

/** What the service tells of the host that it runs on. */
export interface HostFacts {
  readonly cores: number;
  readonly memoryBytes: number;
}

export interface ServiceFacts {
  /** Its admin port, `host:port`. */
  readonly where: string;
  readonly elapsedMs: number;
  readonly workers: readonly WorkerFacts[];
  /** Of its control group; Infinity: no limit. */
  readonly cpuLimitCores: number;
  readonly memoryLimitBytes: number;
  /** Since the control group was made, and between the scrapes; undefined: nobody counts it. */
  readonly throttling: { readonly all: Throttling; readonly look: Throttling } | undefined;
  /** Undefined: it told none. */
  readonly clock: ClockReading | undefined;
  /** Undefined: it does not tell, or not whoever asks. */
  readonly host?: HostFacts | undefined;
}

const TIMEOUT_MS = 5_000;

/** One page of /metrics, as sums by worker. */
class Scrape {
  readonly #values = new Map<string, Map<string, number>>();

  constructor(page: string) {
    for (const { name, labels, value } of samples(page)) {
      const { worker = "" } = labels;
      let byWorker = this.#values.get(name);
      if (byWorker === undefined) this.#values.set(name, (byWorker = new Map<string, number>()));
      byWorker.set(worker, (byWorker.get(worker) ?? 0) + value);
    }
  }

  get(name: string, worker = "", otherwise = 0): number {
    return this.find(name, worker) ?? otherwise;
  }

  find(name: string, worker: string): number | undefined {
    return this.#values.get(name)?.get(worker);
  }

  get workers(): string[] {
    const names = [...(this.#values.get("sluice_worker_up")?.keys() ?? [])];
    return names.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  }

  get throttling(): Throttling | undefined {
    if (!this.#values.has("sluice_cgroup_cpu_periods_total")) return undefined;
    return {
      periods: this.get("sluice_cgroup_cpu_periods_total"),
      throttledPeriods: this.get("sluice_cgroup_cpu_throttled_periods_total"),
      throttledSeconds: this.get("sluice_cgroup_cpu_throttled_seconds_total"),
    };
  }
}

/** @param first and last pages of /metrics, `elapsedMs` apart. */
export function readFacts(
  where: string,
  [first, last]: readonly [first: string, last: string],
  elapsedMs: number,
  clock: ClockReading | undefined,
): ServiceFacts {
  const [before, after] = [new Scrape(first), new Scrape(last)];
  const [throttledBefore, throttledAfter] = [before.throttling, after.throttling];
  const workers = after.workers.map((worker): WorkerFacts => {
    const received = "sluice_events_received_total";
    return {
      worker,
      connections: after.get("sluice_grpc_connections", worker),
      connectionsLimit: after.get("sluice_grpc_connections_limit", worker, Infinity),
      // With GRPC_SERVER=grpc-js only those of PublishStream are known.
      streams: after.get("sluice_grpc_http2_streams", worker, after.get("sluice_grpc_streams", worker)),
      events: Math.max(0, after.get(received, worker) - before.get(received, worker)),
      load: after.find("sluice_worker_load_ratio", worker),
      openFiles: after.get("process_open_fds", worker),
      openFilesMax: after.get("process_max_fds", worker, Infinity),
      admittedBytesLimit: after.get("sluice_admitted_bytes_limit", worker),
    };
  });
  return {
    where,
    elapsedMs,
    workers,
    cpuLimitCores: after.get("sluice_cgroup_cpu_limit_cores", "", Infinity),
    memoryLimitBytes: after.get("sluice_cgroup_memory_limit_bytes", "", Infinity),
    throttling:
      throttledBefore === undefined || throttledAfter === undefined
        ? undefined
        : {
            all: throttledAfter,
            look: {
              periods: throttledAfter.periods - throttledBefore.periods,
              throttledPeriods: throttledAfter.throttledPeriods - throttledBefore.throttledPeriods,
              throttledSeconds: throttledAfter.throttledSeconds - throttledBefore.throttledSeconds,
            },
          },
    clock,
  };
}

/** Undefined: it does not answer, or not with metrics; why is told elsewhere. */
export async function lookAtService(
  target: AdminTarget,
  lookMs: number,
  signal: AbortSignal,
): Promise<ServiceFacts | undefined> {
  if (target.address.port === 0) return undefined;
  const port = new AdminPort(target, signal);
  const scrape = async (): Promise<Answered> => {
    const answered = await port.ask("/metrics", { timeoutMs: TIMEOUT_MS });
    if (answered.status !== 200) throw new Error(`status ${answered.status}`);
    return answered;
  };
  try {
    const host = hostFacts(port);
    const askedMs = Date.now();
    const first = await scrape();
    const answeredMs = Date.now();
    const startMs = performance.now();
    await pause(lookMs, undefined, { signal });
    const last = await scrape();
    const { date } = first;
    const clock =
      date === undefined
        ? undefined
        : { whose: `the service at ${port.where}`, atMs: date, askedMs, answeredMs, stepMs: 1_000 };
    const facts = readFacts(port.where, [first.body, last.body], performance.now() - startMs, clock);
    return { ...facts, host: await host };
  } catch {
    return undefined;
  }
}

/** Metrics are for everybody and do not tell; the live data does, to whom the service lets in. */
async function hostFacts(port: AdminPort): Promise<HostFacts | undefined> {
  try {
    const { status, body } = await port.ask(`${LIVE_PATH}?seconds=0`, { timeoutMs: TIMEOUT_MS });
    if (status !== 200) return undefined;
    const { cores, hostMemoryBytes: memoryBytes } = (JSON.parse(body) as LiveSnapshot).service;
    return Number.isFinite(cores) && Number.isFinite(memoryBytes) ? { cores, memoryBytes } : undefined;
  } catch {
    return undefined;
  }
}

/** What stands for topics that are too many to have series of their own. */
const OTHER = "other";

/** The topics that a service has taken events for; empty if it does not answer. */
export async function topicsOfService(target: AdminTarget, signal: AbortSignal): Promise<string[]> {
  if (target.address.port === 0) return [];
  try {
    const { status, body } = await new AdminPort(target, signal).ask("/metrics", { timeoutMs: TIMEOUT_MS });
    if (status !== 200) return [];
    const topics = new Set<string>();
    for (const { name, labels } of samples(body)) {
      const { topic = OTHER } = labels;
      if (name === "sluice_events_stored_total" && topic !== OTHER) topics.add(topic);
    }
    return [...topics].sort();
  } catch {
    return [];
  }
}
