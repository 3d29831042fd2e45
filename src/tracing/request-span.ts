// The span of one recorded PublishRequest, and those of its stages.
//
//   Publish ─┬─ admit     from its bytes until its events are in record batches
//            ├─ queue     for each record batch, until that is sent
//            └─ produce   for each record batch, until its outcome is known
//
// Each stage is a span when it is over, so a request that never gets an outcome leaves only what was over before. A request
// of very many record batches has spans for the first of them only.

import {
  type Attributes,
  type Link,
  type SpanContext,
  SpanKind,
  type SpanStatus,
  SpanStatusCode,
} from "@opentelemetry/api";
import type { Logger } from "../telemetry/log.ts";
import type { RequestSpan, TraceIds } from "../telemetry/tracing.ts";
import { ATTRIBUTE, OWN_ATTRIBUTE } from "./attributes.ts";
import type { Spans } from "./spans.ts";

/** Record batches of a request that have spans. */
const RECORD_BATCHES_MAX = 32;

export const UNSET: SpanStatus = { code: SpanStatusCode.UNSET };
const NO_ATTRIBUTES = (): Attributes => ({});

/** What happened to a request's records in one record batch. */
export interface Produced {
  readonly name: string;
  readonly kind: SpanKind;
  readonly attributes: () => Attributes;
  /** Those that say which record batch it is. */
  readonly place: () => Attributes;
  readonly status: SpanStatus;
  /** The span of the record batch itself, where it has one. */
  readonly links: Link[] | undefined;
  /** When the record batch was sent and settled; the first is undefined if it never was. */
  readonly sentAtMs: number | undefined;
  readonly settledAtMs: number;
  /** Only the first outcome of a record batch ends its wait. */
  readonly endsQueue: boolean;
}

export class RecordedRequest implements RequestSpan {
  readonly ids: TraceIds;
  readonly context: SpanContext;
  /** See Spans.offsetMs. */
  readonly offsetMs: number;
  readonly #spans: Spans;
  readonly #log: Logger;
  readonly #parent: SpanContext | undefined;
  readonly #method: string;
  readonly #peer: string;
  readonly #receivedAtMs: number;
  #admittedAtMs: number;
  #events = 0;
  #topic: string | undefined;
  #recordBatches = 0;

  /** @param method as gRPC has it, `/sluice.v1.EventIngest/Publish`. */
  constructor(
    spans: Spans,
    log: Logger,
    parent: SpanContext | undefined,
    method: string,
    peer: string,
    receivedAtMs: number,
  ) {
    this.#spans = spans;
    this.#log = log;
    this.#parent = parent;
    this.context = spans.context(parent);
    this.ids = { trace_id: this.context.traceId, span_id: this.context.spanId };
    this.offsetMs = spans.offsetMs();
    this.#method = method.slice(1);
    this.#peer = peer;
    this.#receivedAtMs = receivedAtMs;
    this.#admittedAtMs = receivedAtMs;
  }

  admitted(nowMs: number, events: number, topic: string | undefined): void {
    this.#admittedAtMs = nowMs;
    this.#events = events;
    this.#topic = topic;
    this.#child("admit", SpanKind.INTERNAL, this.#receivedAtMs, nowMs, NO_ATTRIBUTES, UNSET);
  }

  produced(produced: Produced): void {
    if (produced.endsQueue) this.#recordBatches++;
    if (this.#recordBatches > RECORD_BATCHES_MAX) return;
    const { name, kind, attributes, status, links, sentAtMs, settledAtMs } = produced;
    // A record batch may be open before the request comes, and be sent before the last of its other events is in one.
    const queuedAtMs = Math.max(this.#receivedAtMs, Math.min(this.#admittedAtMs, sentAtMs ?? settledAtMs));
    if (produced.endsQueue) {
      this.#child("queue", SpanKind.INTERNAL, queuedAtMs, sentAtMs ?? settledAtMs, produced.place, UNSET);
    }
    this.#child(name, kind, sentAtMs ?? settledAtMs, settledAtMs, attributes, status, links);
  }

  answered(nowMs: number, stored: number, failures: readonly { readonly message: string }[]): void {
    const failed = failures.length;
    const outcome = (): Attributes => ({
      [OWN_ATTRIBUTE.EVENTS_STORED]: stored,
      [OWN_ATTRIBUTE.EVENTS_FAILED]: failed,
      ...(failed > 0 && { [ATTRIBUTE.ERROR_TYPE]: "partial_failure" }),
    });
    const [failure] = failures;
    if (failure === undefined) return this.#end(nowMs, "OK", outcome, UNSET);
    const message = `${failed} of ${stored + failed} events are not stored: ${failure.message}`;
    this.#end(nowMs, "OK", outcome, { code: SpanStatusCode.ERROR, message });
    this.#log.debug({ ...this.ids, stored, failed, reason: failure.message }, "events are not stored");
  }

  refused(nowMs: number, code: string, message: string): void {
    this.#end(nowMs, code, () => ({ [ATTRIBUTE.ERROR_TYPE]: code }), { code: SpanStatusCode.ERROR, message });
    this.#log.debug({ ...this.ids, code, reason: message }, "batch refused");
  }

  /** @param outcome its attributes; what is known of every request is added. */
  #end(nowMs: number, code: string, outcome: () => Attributes, status: SpanStatus): void {
    this.#spans.add({
      name: this.#method,
      kind: SpanKind.SERVER,
      context: this.context,
      parent: this.#parent,
      startMs: this.#receivedAtMs,
      endMs: nowMs,
      offsetMs: this.offsetMs,
      attributes: () => this.#addRequest(outcome(), code),
      status,
    });
  }

  #addRequest(attributes: Attributes, code: string): Attributes {
    const [address, port] = splitAddress(this.#peer);
    attributes[ATTRIBUTE.RPC_SYSTEM_NAME] = "grpc";
    attributes[ATTRIBUTE.RPC_METHOD] = this.#method;
    attributes[ATTRIBUTE.RPC_STATUS_CODE] = code;
    attributes[ATTRIBUTE.NETWORK_PEER_ADDRESS] = address;
    if (port !== undefined) attributes[ATTRIBUTE.NETWORK_PEER_PORT] = port;
    if (this.#topic !== undefined) attributes[ATTRIBUTE.MESSAGING_DESTINATION_NAME] = this.#topic;
    if (this.#events > 0) attributes[ATTRIBUTE.MESSAGING_BATCH_MESSAGE_COUNT] = this.#events;
    const leftOut = this.#recordBatches - RECORD_BATCHES_MAX;
    if (leftOut > 0) attributes[OWN_ATTRIBUTE.RECORD_BATCHES_LEFT_OUT] = leftOut;
    return attributes;
  }

  #child(
    name: string,
    kind: SpanKind,
    startMs: number,
    endMs: number,
    attributes: () => Attributes,
    status: SpanStatus,
    links?: Link[],
  ): void {
    const { context: parent, offsetMs } = this;
    this.#spans.add({ name, kind, context: undefined, parent, startMs, endMs, offsetMs, attributes, status, links });
  }
}

/** `host:port` of IPv4 and of IPv6, with or without brackets; no port where there is none. */
export function splitAddress(address: string): readonly [host: string, port: number | undefined] {
  const colon = address.lastIndexOf(":");
  const port = Number(address.slice(colon + 1));
  if (colon < 0 || !Number.isInteger(port)) return [address, undefined];
  const host = address.slice(0, colon);
  return [host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host, port];
}
