// The scrape: every worker slot's metrics, the supervisor's own, and what the supervisor knows about the workers.

import { readFileSync } from "node:fs";
import { Counter, Family, Gauge, type MetricDefinition, type MetricSnapshot } from "../telemetry/instruments.ts";
import { createMetrics, definitions } from "../telemetry/metrics.ts";
import { ProcessMetrics, processDefinitions } from "../telemetry/process.ts";
import type { ProcessSnapshot, Rendered } from "../telemetry/render.ts";
import { SeriesSum, SlotMetrics } from "../telemetry/slot.ts";

/** The supervisor's value of the `worker` label. */
export const SUPERVISOR = "supervisor";

/** The ledger's terms, in the order in which they are shown. */
const LEDGER = [
  "sluice_events_received_total",
  "sluice_events_stored_total",
  "sluice_events_failed_total",
  "sluice_events_in_flight",
  "sluice_events_recovered",
  "sluice_events_forwarded_total",
  "sluice_events_dead_lettered_total",
  "sluice_events_spooled",
] as const;

/**
 * Events in flight in a process that died got no answer, and nobody else can tell their outcome. What it had in the spool is
 * its successor's opening balance.
 */
const SETTLEMENT = {
  orphans: { gauge: "sluice_events_in_flight", counter: "sluice_events_failed_total", label: "worker_died" },
  legacy: { found: "sluice_events_recovered", left: "sluice_events_spooled" },
};

const VERSION = (
  JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { readonly version: string }
).version;

const own = (type: "counter" | "gauge", name: string, help: string, labels: readonly string[]) => ({
  name,
  help,
  type,
  labels,
  perWorker: false,
});

function createFamilies() {
  return {
    up: new Family(
      own("gauge", "sluice_worker_up", "1 if the worker takes events, else 0.", ["worker"]),
      () => new Gauge(),
    ),
    restarts: new Family(
      own("counter", "sluice_worker_restarts_total", "Times a worker was started again after it had died.", ["worker"]),
      () => new Counter(),
    ),
    buildInfo: new Family(
      own("gauge", "sluice_build_info", "What runs here; always 1.", ["version", "node_version"]),
      () => new Gauge(),
    ),
  };
}

/** The definitions of everything that a scrape may show. */
export function scrapeDefinitions(): MetricDefinition[] {
  return [
    ...definitions(createMetrics()),
    ...processDefinitions(),
    ...Object.values(createFamilies()).map((family) => family.definition),
  ];
}

const READ_INTERVAL_MS = 1_000;

export class SupervisorMetrics {
  readonly #process = new ProcessMetrics();
  readonly #definitions = scrapeDefinitions();
  readonly #families = createFamilies();
  readonly #slots: SlotMetrics[] = [];
  readonly #up: (slot: number) => boolean;
  #processSnapshot: readonly MetricSnapshot[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** @param up whether the worker of a slot takes events now. */
  constructor(workers: number, up: (slot: number) => boolean) {
    this.#up = up;
    this.#families.buildInfo.with(VERSION, process.version).set(1);
    for (let slot = 0; slot < workers; slot++) {
      this.#slots.push(new SlotMetrics(this.#definitions, SETTLEMENT));
      this.#families.restarts.with(String(slot));
    }
  }

  /** Begins to read this process's own metrics, once a second: a scrape must not shorten another one's window. */
  start(): void {
    this.#process.start();
    const read = () => {
      this.#processSnapshot = this.#process.snapshot();
    };
    read();
    this.#timer = setInterval(read, READ_INTERVAL_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#process.stop();
  }

  profilerRestarted(): void {
    this.#process.profilerRestarted();
  }

  slot(index: number): SlotMetrics {
    return this.#slots[index]!;
  }

  restarted(slot: number): void {
    this.#families.restarts.with(String(slot)).inc();
  }

  async render(openMetrics: boolean): Promise<Rendered> {
    for (const slot of this.#slots.keys()) this.#families.up.with(String(slot)).set(this.#up(slot) ? 1 : 0);
    const supervisor = [...this.#processSnapshot, ...Object.values(this.#families).map((family) => family.snapshot())];
    const processes: ProcessSnapshot[] = [
      ...this.#slots.map((slot, index) => ({ worker: String(index), metrics: slot.snapshot() })),
      { worker: SUPERVISOR, metrics: supervisor },
    ];
    const { renderMetrics } = await import("../telemetry/render.ts");
    return await renderMetrics(this.#definitions, processes, openMetrics);
  }

  /** The ledger's sums over workers and topics, by metric. */
  ledger(): [name: string, events: number][] {
    const all = this.#slots.flatMap((slot) => slot.snapshot());
    return LEDGER.map((name) => [name, total(all.filter((metric) => metric.name === name))]);
  }
}

function total(snapshots: readonly MetricSnapshot[]): number {
  const sum = new SeriesSum();
  for (const { series } of snapshots) for (const [, value] of series) sum.add([], value);
  const value = sum.series[0]?.[1];
  return typeof value === "number" ? value : 0;
}
