// A worker's traces, with OpenTelemetry's SDK: to be loaded only where traces are on.
//
// What OpenTelemetry's own variables say beside the options (OTEL_EXPORTER_OTLP_TIMEOUT, _COMPRESSION, _CERTIFICATE and the
// like) the exporter reads from the environment by itself. Nothing is registered with the API's globals: whoever instruments
// this process from the outside has them, and his spans and these meet in the context of the request.

import { hostname } from "node:os";
import type { Attributes } from "@opentelemetry/api";
import { parseKeyPairsIntoRecord } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { defaultResource, type Resource, resourceFromAttributes } from "@opentelemetry/resources";
import {
  ATTR_SERVICE_INSTANCE_ID,
  ATTR_SERVICE_NAME,
  SEMRESATTRS_HOST_NAME,
  SEMRESATTRS_PROCESS_PID,
} from "@opentelemetry/semantic-conventions";
import type { Clock } from "../clock.ts";
import type { Component } from "../lifecycle.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { OWN_ATTRIBUTE } from "./attributes.ts";
import { SpanQueue } from "./span-queue.ts";
import { Spans } from "./spans.ts";
import { Tracer, type TracerOptions } from "./tracer.ts";

/** What the last export may take at the end of a drain; a collector that is away must not hold it up. */
const LAST_EXPORT_MS = 1_000;

const SERVICE_NAME = "sluice";

export interface OtlpTracingOptions extends TracerOptions {
  /** The collector; `/v1/traces` is added. */
  readonly endpoint: string;
  /** Where it takes traces, as it is; wins over `endpoint`. */
  readonly tracesEndpoint: string | undefined;
  /** name=value, percent-encoded, separated by commas. */
  readonly headers: string | undefined;
  readonly serviceName: string | undefined;
  /** As `headers`. */
  readonly resourceAttributes: string | undefined;
  readonly worker: string;
}

export interface OtlpTracingDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
}

export class OtlpTracing implements Component {
  readonly tracer: Tracer;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #queue: SpanQueue;
  readonly #spans: Spans;
  readonly #url: string;
  readonly #sampleRatio: number;

  constructor({ log, metrics, clock, random }: OtlpTracingDependencies, options: OtlpTracingOptions) {
    this.#log = log;
    this.#clock = clock;
    this.#url = options.tracesEndpoint ?? `${options.endpoint.replace(/\/+$/, "")}/v1/traces`;
    this.#sampleRatio = options.sampleRatio;
    const headers = parseKeyPairsIntoRecord(options.headers);
    const exporter = new OTLPTraceExporter({ url: this.#url, headers });
    this.#queue = new SpanQueue({ log, metrics, clock, exporter });
    this.#spans = new Spans(this.#queue, clock, resourceOf(options), { name: SERVICE_NAME });
    this.tracer = new Tracer(this.#spans, log, random, options);
  }

  start(): Promise<void> {
    this.#log.info({ endpoint: this.#url, sampleRatio: this.#sampleRatio }, "traces are exported");
    return Promise.resolve();
  }

  /** Exports what is there, in a second at most. */
  async drain(deadlineMs: number): Promise<void> {
    this.#spans.flush();
    await this.#queue.close(Math.max(0, Math.min(LAST_EXPORT_MS, deadlineMs - this.#clock.now())));
  }

  async dispose(): Promise<void> {
    this.#spans.flush();
    await this.#queue.close(0);
  }
}

function resourceOf({ serviceName, resourceAttributes, worker }: OtlpTracingOptions): Resource {
  const host = hostname();
  const attributes: Attributes = {
    [ATTR_SERVICE_NAME]: SERVICE_NAME,
    [ATTR_SERVICE_INSTANCE_ID]: `${host}/${worker}`,
    [SEMRESATTRS_HOST_NAME]: host,
    [SEMRESATTRS_PROCESS_PID]: process.pid,
    [OWN_ATTRIBUTE.WORKER]: worker,
    ...parseKeyPairsIntoRecord(resourceAttributes),
  };
  if (serviceName !== undefined) attributes[ATTR_SERVICE_NAME] = serviceName;
  return defaultResource().merge(resourceFromAttributes(attributes));
}
