// The incidents of the whole service: the store, the recorder, and who tells them what.

import { join } from "node:path";
import type { Readable } from "node:stream";
import type { IncidentState } from "../admin/state.ts";
import type { Clock } from "../clock.ts";
import type { Config } from "../config.ts";
import { type Incident, INCIDENT_KINDS } from "../incidents/incident.ts";
import { IncidentRecorder } from "../incidents/recorder.ts";
import type { IncidentSources } from "../incidents/sources.ts";
import { IncidentStore } from "../incidents/store.ts";
import { Counter, Family, Gauge, type MetricDefinition } from "../telemetry/instruments.ts";
import type { Logger } from "../telemetry/log.ts";

const own = (type: "counter" | "gauge", name: string, help: string, labels: readonly string[]): MetricDefinition => ({
  name,
  help,
  type,
  labels,
  perWorker: false,
});

/** What the supervisor counts of incidents. */
export function createIncidentMetrics() {
  const families = {
    incidents: new Family(
      own("counter", "sluice_incidents_total", "Incidents whose recording began, by kind.", ["kind"]),
      () => new Counter(),
    ),
    incidentBytes: new Family(
      own("gauge", "sluice_incident_bytes", "Bytes of the incidents that are kept (INCIDENTS_BYTES_MAX).", []),
      () => new Gauge(),
    ),
  };
  for (const kind of INCIDENT_KINDS) families.incidents.with(kind);
  return families;
}

export type IncidentMetrics = ReturnType<typeof createIncidentMetrics>;

export interface ServiceIncidentsOptions {
  readonly config: Config;
  readonly sources: IncidentSources;
  readonly metrics: IncidentMetrics;
  readonly log: Logger;
  readonly clock: Clock;
}

export class ServiceIncidents implements IncidentState {
  readonly #store: IncidentStore;
  readonly #recorder: IncidentRecorder;
  readonly #metrics: IncidentMetrics;
  readonly #clock: Clock;

  constructor({ config, sources, metrics, log, clock }: ServiceIncidentsOptions) {
    const { incidentsMax: countMax, incidentsBytesMax: bytesMax } = config;
    this.#store = new IncidentStore({ dir: join(config.dataDir, "incidents"), countMax, bytesMax });
    this.#metrics = metrics;
    this.#clock = clock;
    this.#recorder = new IncidentRecorder({
      store: this.#store,
      sources,
      log,
      clock,
      counted: (kind) => {
        metrics.incidents.with(kind).inc();
      },
      written: () => {
        this.#written();
      },
    });
  }

  async start(): Promise<void> {
    await this.#store.open();
    this.#written();
    await this.#recorder.completeInterrupted();
  }

  async stop(): Promise<void> {
    await this.#recorder.stop();
  }

  incidents(): Incident[] {
    return this.#store.list();
  }

  incident(id: string): Incident | undefined {
    return this.#store.get(id);
  }

  incidentFile(id: string, name: string): string | undefined {
    return this.#store.file(id, name);
  }

  async incidentArchive(id: string): Promise<Readable | undefined> {
    return await this.#store.archive(id);
  }

  async forceIncident(why: string): Promise<Incident | undefined> {
    return await this.#recorder.begin({ kind: "forced", worker: undefined, atMs: this.#clock.now(), why });
  }

  #written(): void {
    this.#metrics.incidentBytes.with().set(this.#store.bytes);
  }
}
