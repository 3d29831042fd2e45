// The scrape: every worker slot's metrics, the supervisor's own, and what the supervisor knows about the workers.

import { readFileSync } from "node:fs";
import { Define } from "../telemetry/catalogue/define.ts";
import { supervisorFamilies } from "../telemetry/catalogue/supervisor.ts";
import { CgroupMetrics, cgroupDefinitions } from "../telemetry/cgroup-metrics.ts";
import type { MetricDefinition, MetricSnapshot } from "../telemetry/instruments.ts";
import type { RecorderObserver } from "../profiling/recorder.ts";
import type { Logger } from "../telemetry/log.ts";
import { LabelLimit } from "../telemetry/label-limit.ts";
import {
  createLedgerMetrics,
  createMetrics,
  createTracingMetrics,
  definitions,
  type LabelLimits,
} from "../telemetry/metrics.ts";
import { ProcessMetrics, processDefinitions } from "../telemetry/process.ts";
import type { ProcessSnapshot, Rendered } from "../telemetry/render.ts";
import { SlotMetrics } from "../telemetry/slot.ts";
import { readSockets, SOCKET_STATES } from "../telemetry/sockets.ts";
import { DeadCallers } from "./dead-callers.ts";
import { createIncidentMetrics } from "./incident-metrics.ts";
import { ServiceLedger } from "./ledger.ts";
import { WorkerLoad } from "./worker-load.ts";

/** The supervisor's value of the `worker` label. */
export const SUPERVISOR = "supervisor";

/**
 * Events in flight in a process that died got no answer, and nobody else can tell their outcome. What it had in the spool is
 * its successor's opening balance.
 */
export const SETTLEMENT = {
  orphans: { gauge: "sluice_events_in_flight", counter: "sluice_events_failed_total", label: "worker_died" },
  legacy: { found: "sluice_events_recovered", left: "sluice_events_spooled" },
};

/** What runs here. */
export const VERSION = (
  JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { readonly version: string }
).version;

/** The definitions of everything that a scrape may show. */
export function scrapeDefinitions(): MetricDefinition[] {
  return [
    ...definitions(createMetrics()),
    ...processDefinitions(),
    ...cgroupDefinitions(),
    ...Object.values(supervisorFamilies(new Define())).map((family) => family.definition),
    ...Object.values(createIncidentMetrics()).map((family) => family.definition),
  ];
}

const READ_INTERVAL_MS = 1_000;
/** How many of those between two looks at sockets. */
const SOCKETS_EVERY = 10;

export interface SupervisorMetricsOptions extends LabelLimits {
  readonly workers: number;
  /** Does the worker of a slot take events now? */
  readonly up: (slot: number) => boolean;
  /** Where the service listens; undefined until it does. */
  readonly ports: () => readonly number[] | undefined;
}

export class SupervisorMetrics {
  readonly ledger: ServiceLedger;
  readonly incidents = createIncidentMetrics();
  readonly tracing = createTracingMetrics();
  readonly #process = new ProcessMetrics();
  readonly #definitions = scrapeDefinitions();
  readonly #cgroup = new CgroupMetrics();
  readonly #families = supervisorFamilies(new Define());
  readonly #ledgerFamilies = createLedgerMetrics();
  readonly #slots: SlotMetrics[] = [];
  readonly #load = new WorkerLoad(this.#slots);
  /** Those of all workers together. */
  readonly #limits: Readonly<Record<string, LabelLimit>>;
  readonly #deadCallers: DeadCallers;
  readonly #options: SupervisorMetricsOptions;
  #processSnapshot: readonly MetricSnapshot[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** Seconds in which the service has listened. */
  #reads = 0;

  constructor(log: Logger, options: SupervisorMetricsOptions) {
    this.#options = options;
    const caller = new LabelLimit(options.callersMax, true);
    this.#limits = { topic: new LabelLimit(options.topicsMax), caller };
    this.#deadCallers = new DeadCallers({
      limit: caller,
      living: () => this.#slots.map(({ living }) => living("sluice_grpc_caller_requests_total")),
      forget: (gone) => this.#forgetCaller(gone),
    });
    this.#families.buildInfo.with(VERSION, process.version).set(1);
    for (let slot = 0; slot < options.workers; slot++) {
      const onGone = (...gone: Parameters<SupervisorMetrics["seriesGone"]>) => this.seriesGone(...gone);
      this.#slots.push(new SlotMetrics(this.#definitions, SETTLEMENT, this.#limits, onGone));
      this.#families.restarts.with(String(slot));
    }
    this.ledger = new ServiceLedger(log, this.#ledgerFamilies, this.#slots);
  }

  /**
   * Begins to read this process's own metrics, once a second because a scrape must not shorten another one's window, and to
   * check the ledger.
   */
  start(): void {
    this.#process.start();
    const read = () => {
      this.#processSnapshot = [...this.#process.read().snapshot(), ...this.#cgroup.snapshot()];
      this.ledger.check();
      this.#readLoad();
      this.retireCallers();
      const ports = this.#options.ports();
      if (ports !== undefined && this.#reads++ % SOCKETS_EVERY === 0) void this.#readSockets(ports);
    };
    read();
    this.#timer = setInterval(read, READ_INTERVAL_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#process.stop();
  }

  /** Takes what the supervisor's own recorder tells. */
  get recorderObserver(): RecorderObserver {
    return this.#process;
  }

  profileBytes(bytes: number): void {
    this.#families.profileBytes.with().set(bytes);
  }

  /** The event loop's delay of this process, as ProcessMetrics has it. */
  get eventLoop() {
    return this.#process.eventLoop;
  }

  /** A metric of this process. */
  readonly own = (name: string): MetricSnapshot | undefined =>
    this.#processSnapshot.find((metric) => metric.name === name);

  slot(index: number): SlotMetrics {
    return this.#slots[index]!;
  }

  restarted(slot: number): void {
    this.#families.restarts.with(String(slot)).inc();
  }

  /**
   * A worker has let a series of a topic or a caller go. If no other one has any of it, what was counted of it is forgotten, in
   * all slots at once.
   */
  seriesGone({ name, labels: names }: MetricDefinition, labels: readonly string[]): void {
    const at = names.findIndex((label) => label in this.#limits);
    const value = labels[at];
    if (value === undefined) return;
    const isKnown = ({ living }: SlotMetrics) => living(name)?.series.some(([of]) => of[at] === value) ?? false;
    if (this.#slots.some(isKnown)) return;
    for (const slot of this.#slots) slot.forget(name, at, value);
    // A topic has its place for good, because the ledger forgets nothing.
    if (names[at] === "caller") this.#limits["caller"]?.release(value);
  }

  /** Forgets callers that only dead workers have known; to be called once a second. */
  retireCallers(): void {
    this.#deadCallers.look();
  }

  async render(openMetrics: boolean): Promise<Rendered> {
    for (const slot of this.#slots.keys()) this.#families.up.with(String(slot)).set(this.#options.up(slot) ? 1 : 0);
    const families = [this.#families, this.#ledgerFamilies, this.incidents, this.tracing].flatMap((each) =>
      Object.values(each),
    );
    const supervisor = [...this.#processSnapshot, ...families.map((family) => family.snapshot())];
    const processes: ProcessSnapshot[] = [
      ...this.#slots.flatMap((slot, index) => slot.parts().map((metrics) => ({ worker: String(index), metrics }))),
      { worker: SUPERVISOR, metrics: supervisor },
    ];
    const { renderMetrics } = await import("../telemetry/render.ts");
    return await renderMetrics(this.#definitions, processes, openMetrics, this.#limits);
  }

  #forgetCaller(caller: string): void {
    for (const { name, labels } of this.#definitions) {
      const at = labels.indexOf("caller");
      if (at >= 0) for (const slot of this.#slots) slot.forget(name, at, caller);
    }
    this.#limits["caller"]?.release(caller);
  }

  #readLoad(): void {
    const { ratios, imbalance } = this.#load.read();
    for (const [worker, ratio] of ratios.entries()) this.#families.load.with(String(worker)).set(ratio);
    this.#families.imbalance.with().set(imbalance);
  }

  async #readSockets(ports: readonly number[]): Promise<void> {
    const brokers = this.#slots.flatMap(({ living }) => living("sluice_kafka_connections")?.series ?? []);
    const remote = brokers.map(([[broker = ""]]) => Number(broker.slice(broker.lastIndexOf(":") + 1)));
    const counts = await readSockets({ local: new Set(ports), remote: new Set(remote) });
    for (const [i, count] of counts?.entries() ?? []) this.#families.sockets.with(SOCKET_STATES[i]!).set(count);
  }
}
