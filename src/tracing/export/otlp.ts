// The export of all workers' traces, with OpenTelemetry's SDK: in the supervisor, and to be loaded only where traces are on.
//
// Rejected: an exporter in each worker. It sends with Node's HTTP client, whose sockets go through the same functions of Node's
// streams as gRPC's and Kafka's. V8 compiles those for the one kind of socket that it has seen; with two kinds, each write of an
// answer asks which one it is, whether its request is recorded or not (docs/adr/0013-tracing.md).
//
// What OpenTelemetry's own variables say beside the options (OTEL_EXPORTER_OTLP_TIMEOUT, _COMPRESSION, _CERTIFICATE and the
// like) the exporter reads from the environment by itself.

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
import { OWN_ATTRIBUTE } from "../attributes.ts";
import type { SpanData } from "../span-data.ts";
import { FinishedSpan } from "./span.ts";
import { SpanQueue, type SpanQueueDependencies } from "./span-queue.ts";

const SERVICE_NAME = "sluice";
const SCOPE = { name: SERVICE_NAME };

export interface OtlpExportOptions {
  /** The collector; `/v1/traces` is added. */
  readonly endpoint: string;
  /** Where it takes traces, as it is; wins over `endpoint`. */
  readonly tracesEndpoint: string | undefined;
  /** name=value, percent-encoded, separated by commas. */
  readonly headers: string | undefined;
  readonly serviceName: string | undefined;
  /** As `headers`. */
  readonly resourceAttributes: string | undefined;
}

/** Whose spans they are. */
export interface SpanSource {
  readonly worker: string;
  readonly pid: number | undefined;
}

export class OtlpExport {
  readonly url: string;
  readonly #queue: SpanQueue;
  readonly #options: OtlpExportOptions;
  /** What is said of a worker; the exporter encodes it once for all spans that have the same one. */
  readonly #resources = new Map<string, { readonly pid: number | undefined; readonly resource: Resource }>();

  constructor(dependencies: Omit<SpanQueueDependencies, "exporter">, options: OtlpExportOptions) {
    this.#options = options;
    this.url = options.tracesEndpoint ?? `${options.endpoint.replace(/\/+$/, "")}/v1/traces`;
    const headers = parseKeyPairsIntoRecord(options.headers);
    this.#queue = new SpanQueue({ ...dependencies, exporter: new OTLPTraceExporter({ url: this.url, headers }) });
  }

  take(source: SpanSource, spans: readonly SpanData[]): void {
    const resource = this.#resourceOf(source);
    for (const span of spans) this.#queue.add(new FinishedSpan(span, resource, SCOPE));
  }

  /** Exports what is there, as far as that goes within the time. Takes nothing from then on. */
  async close(withinMs: number): Promise<void> {
    await this.#queue.close(withinMs);
  }

  #resourceOf(source: SpanSource): Resource {
    const known = this.#resources.get(source.worker);
    if (known !== undefined && known.pid === source.pid) return known.resource;
    const resource = resourceOf(source, this.#options);
    this.#resources.set(source.worker, { pid: source.pid, resource });
    return resource;
  }
}

function resourceOf({ worker, pid }: SpanSource, { serviceName, resourceAttributes }: OtlpExportOptions): Resource {
  const host = hostname();
  const attributes: Attributes = {
    [ATTR_SERVICE_NAME]: SERVICE_NAME,
    [ATTR_SERVICE_INSTANCE_ID]: `${host}/${worker}`,
    [SEMRESATTRS_HOST_NAME]: host,
    ...(pid !== undefined && { [SEMRESATTRS_PROCESS_PID]: pid }),
    [OWN_ATTRIBUTE.WORKER]: worker,
    ...parseKeyPairsIntoRecord(resourceAttributes),
  };
  if (serviceName !== undefined) attributes[ATTR_SERVICE_NAME] = serviceName;
  return defaultResource().merge(resourceFromAttributes(attributes));
}
