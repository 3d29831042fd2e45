// What workers tell of recorded requests, on its way to a collector.
//
// The SDK is loaded only where traces are on, and while workers start: spans that come before it is there wait for it.

import type { Clock } from "../clock.ts";
import type { Config } from "../config.ts";
import type { Logger } from "../telemetry/log.ts";
import type { OtlpExport } from "../tracing/export/otlp.ts";
import type { SpanData } from "../tracing/span-data.ts";
import type { SupervisorMetrics } from "./metrics.ts";
import type { WorkerSlot } from "./slot.ts";

/** What the last export may take; a collector that is away must not hold up the end. */
const LAST_EXPORT_MS = 1_000;

export interface TracesDependencies {
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: SupervisorMetrics;
}

export class Traces {
  readonly #config: Config;
  readonly #dependencies: TracesDependencies;
  #export: Promise<OtlpExport> | undefined;

  constructor(config: Config, dependencies: TracesDependencies) {
    this.#config = config;
    this.#dependencies = dependencies;
  }

  async start(): Promise<void> {
    if (this.#config.tracing === "none") return;
    this.#export = this.#load();
    const { url: endpoint } = await this.#export;
    this.#dependencies.log.info({ endpoint, sampleRatio: this.#config.traceSampleRatio }, "traces are exported");
  }

  take({ name: worker, pid }: WorkerSlot, spans: readonly SpanData[]): void {
    // Without it the service does not start.
    void this.#export?.then(
      (traces) => traces.take({ worker, pid }, spans),
      () => {},
    );
  }

  /** Exports what is there, in a second at most. @param leftMs what is left until the end of the service. */
  async stop(leftMs: number): Promise<void> {
    const traces = await this.#export?.catch(() => undefined);
    await traces?.close(Math.max(0, Math.min(LAST_EXPORT_MS, leftMs)));
  }

  async #load(): Promise<OtlpExport> {
    const { OtlpExport } = await import("../tracing/export/otlp.ts");
    const config = this.#config;
    const { log, clock, metrics } = this.#dependencies;
    return new OtlpExport(
      { log, clock, metrics: metrics.tracing },
      {
        endpoint: config.otelExporterOtlpEndpoint,
        tracesEndpoint: config.otelExporterOtlpTracesEndpoint,
        headers: config.otelExporterOtlpHeaders,
        serviceName: config.otelServiceName,
        resourceAttributes: config.otelResourceAttributes,
      },
    );
  }
}
