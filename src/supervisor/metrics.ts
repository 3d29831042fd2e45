// The scrape: every worker slot's metrics, the supervisor's own, and what the supervisor knows about the workers.

import { readFileSync } from "node:fs";
import { Define } from "../telemetry/catalogue/define.ts";
import { supervisorFamilies } from "../telemetry/catalogue/supervisor.ts";
import { CgroupMetrics, cgroupDefinitions } from "../telemetry/cgroup.ts";
import type { MetricDefinition, MetricSnapshot } from "../telemetry/instruments.ts";
import type { RecorderObserver } from "../profiling/recorder.ts";
import type { Logger } from "../telemetry/log.ts";
import { createLedgerMetrics, createMetrics, definitions } from "../telemetry/metrics.ts";
import { ProcessMetrics, processDefinitions } from "../telemetry/process.ts";
import type { ProcessSnapshot, Rendered } from "../telemetry/render.ts";
import { SlotMetrics } from "../telemetry/slot.ts";
import { createIncidentMetrics } from "./incident-metrics.ts";
import { ServiceLedger } from "./ledger.ts";

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

export class SupervisorMetrics {
  readonly ledger: ServiceLedger;
  readonly incidents = createIncidentMetrics();
  readonly #process = new ProcessMetrics();
  readonly #definitions = scrapeDefinitions();
  readonly #cgroup = new CgroupMetrics();
  readonly #families = supervisorFamilies(new Define());
  readonly #ledgerFamilies = createLedgerMetrics();
  readonly #slots: SlotMetrics[] = [];
  readonly #up: (slot: number) => boolean;
  #processSnapshot: readonly MetricSnapshot[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** @param up whether the worker of a slot takes events now. */
  constructor(workers: number, log: Logger, up: (slot: number) => boolean) {
    this.#up = up;
    this.#families.buildInfo.with(VERSION, process.version).set(1);
    for (let slot = 0; slot < workers; slot++) {
      this.#slots.push(new SlotMetrics(this.#definitions, SETTLEMENT));
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
      this.#processSnapshot = [...this.#process.snapshot(), ...this.#cgroup.snapshot()];
      this.ledger.check();
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

  async render(openMetrics: boolean): Promise<Rendered> {
    for (const slot of this.#slots.keys()) this.#families.up.with(String(slot)).set(this.#up(slot) ? 1 : 0);
    const families = [this.#families, this.#ledgerFamilies, this.incidents].flatMap((each) => Object.values(each));
    const supervisor = [...this.#processSnapshot, ...families.map((family) => family.snapshot())];
    const processes: ProcessSnapshot[] = [
      ...this.#slots.map((slot, index) => ({ worker: String(index), metrics: slot.snapshot() })),
      { worker: SUPERVISOR, metrics: supervisor },
    ];
    const { renderMetrics } = await import("../telemetry/render.ts");
    return await renderMetrics(this.#definitions, processes, openMetrics);
  }
}
