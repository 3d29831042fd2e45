// Which requests are recorded, and what their record batches tell of them.
//
// A request with a context is recorded if whoever sent it records; one without, by chance. That is ParentBased over a ratio, as
// the SDK has it, but decided with nothing made: no id, no span, no context that follows the request around. By chance, no more
// are recorded than a bound per second: a recorded request costs about as much as ten that are not, and a worker that takes a
// hundred thousand a second would spend a tenth of its time on traces that nobody can read any more.
//
// A record batch with records of one recorded request is that request's produce span. With several, it is a span of its own, a
// trace of its own that links to each of them, and each has a produce span that links to it.

import {
  type Attributes,
  type Link,
  type SpanContext,
  SpanKind,
  type SpanStatus,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import type { Logger } from "../telemetry/log.ts";
import type { RequestTrace, TracedCall, TracedFailure, TracedRecords, Tracing } from "../telemetry/tracing.ts";
import { ATTRIBUTE, OWN_ATTRIBUTE } from "./attributes.ts";
import { RecordedRequest, splitAddress, UNSET } from "./request-span.ts";
import type { Spans } from "./spans.ts";
import { headersOf, isSampled, parentOf, TRACESTATE } from "./trace-context.ts";

/** Requests that the span of a record batch links to, as many as the SDK's default limit. */
const LINKS_MAX = 128;

/** A small integer to V8, which counts down without memory. */
const SKIP_MAX = 0x3fff_ffff;

export interface TracerOptions {
  /** Which part of the requests without a context is recorded, from 0 to 1. */
  readonly sampleRatio: number;
  /** How many of them a second, at most; 1 or more. */
  readonly sampleRateMax: number;
  /** A span may be active when a request comes, because something instruments the server (grpc-js); it is the parent then. */
  readonly joinActive: boolean;
}

/** A recorded request, and which of its records are meant. */
interface Part {
  readonly request: RecordedRequest;
  count: number;
  /** The first of them, as a record of the batch. */
  readonly first: number;
}

export class Tracer implements Tracing {
  readonly #spans: Spans;
  readonly #log: Logger;
  readonly #random: () => number;
  readonly #ratio: number;
  /** Requests without a context that are not recorded before the next that is. */
  #skip: number;
  /** Between two that are recorded, while the bound holds; what was not used of the last second comes on top. */
  readonly #intervalMs: number;
  readonly #burstMs: number;
  /** Until then none may be recorded, so nobody draws: under load that would be thousands of draws a second. */
  #closedUntilMs = Number.NEGATIVE_INFINITY;
  readonly #joinActive: boolean;
  /** The last context that was passed on: a stream sends the same one with each of its batches. */
  #passed:
    | { readonly traceparent: string; readonly tracestate: string | undefined; readonly trace: RequestTrace }
    | undefined;

  /** @param random a number in [0, 1). */
  constructor(
    spans: Spans,
    log: Logger,
    random: () => number,
    { sampleRatio, sampleRateMax, joinActive }: TracerOptions,
  ) {
    this.#spans = spans;
    this.#log = log;
    this.#random = random;
    this.#ratio = sampleRatio;
    this.#skip = this.#nextSkip();
    this.#intervalMs = 1000 / sampleRateMax;
    this.#burstMs = 1000 - this.#intervalMs;
    this.#joinActive = joinActive;
  }

  /** Small enough to become part of the code of a request: what is rare would take room there that is missed elsewhere. */
  request(method: string, call: TracedCall, receivedAtMs: number): RequestTrace | undefined {
    if (this.#joinActive || call.traceparent !== undefined) return this.#join(method, call, receivedAtMs);
    return this.#draw(method, call, receivedAtMs);
  }

  settled(
    records: TracedRecords,
    first: number,
    count: number,
    isFirst: boolean,
    nowMs: number,
    baseOffset: number,
    failure: TracedFailure | undefined,
  ): void {
    const parts = partsOf(records, first, count);
    const [only] = parts;
    if (only === undefined) return;
    const { topic, partition, persisted, sentTo, sentAtMs } = records;
    const bytes = records.bytes.length;
    const place = (): Attributes => placeOf(topic, partition);
    const status: SpanStatus = failure === undefined ? UNSET : { code: SpanStatusCode.ERROR, message: failure.message };
    const attributesOf = (count: number, firstOffset: number): Attributes => {
      const attributes = placeOf(topic, partition);
      attributes[ATTRIBUTE.MESSAGING_BATCH_MESSAGE_COUNT] = count;
      if (!persisted) addProduce(attributes, sentTo);
      if (firstOffset >= 0) attributes[ATTRIBUTE.MESSAGING_KAFKA_OFFSET] = firstOffset;
      if (failure !== undefined) attributes[ATTRIBUTE.ERROR_TYPE] = failure.type;
      return attributes;
    };
    const name = `${persisted ? "persist" : "produce"} ${topic}`;
    let links: Link[] | undefined;
    if (parts.length > 1) {
      const context = this.#spans.context(undefined);
      links = [{ context }];
      this.#spans.add({
        name,
        // Records carry the contexts of their requests, not this one: it only sends.
        kind: persisted ? SpanKind.INTERNAL : SpanKind.CLIENT,
        context,
        parent: undefined,
        startMs: sentAtMs ?? nowMs,
        endMs: nowMs,
        offsetMs: only.request.offsetMs,
        attributes: () => ({ ...attributesOf(count, baseOffset), [OWN_ATTRIBUTE.RECORD_BATCH_BYTES]: bytes }),
        status,
        links: parts.slice(0, LINKS_MAX).map(({ request }) => ({ context: request.context })),
        linksLeftOut: Math.max(0, parts.length - LINKS_MAX),
      });
    }
    for (const part of parts) {
      const offset = baseOffset < 0 ? -1 : baseOffset + part.first - first;
      part.request.produced({
        name,
        kind: persisted ? SpanKind.INTERNAL : SpanKind.PRODUCER,
        attributes: () => attributesOf(part.count, offset),
        place,
        status,
        links,
        sentAtMs,
        settledAtMs: nowMs,
        endsQueue: isFirst,
      });
    }
  }

  /** Of a request without a context. */
  #draw(method: string, call: TracedCall, receivedAtMs: number): RequestTrace | undefined {
    if (receivedAtMs < this.#closedUntilMs || this.#skip-- > 0) return undefined;
    return this.#recordDrawn(method, call, receivedAtMs);
  }

  /** Of a request that has a context, or may have one. */
  #join(method: string, call: TracedCall, receivedAtMs: number): RequestTrace | undefined {
    if (this.#joinActive) {
      const active = trace.getActiveSpan()?.spanContext();
      if (active !== undefined && trace.isSpanContextValid(active)) {
        if (!isSampled(active)) return { ...headersOf(active), span: undefined };
        return this.#record(method, call, receivedAtMs, active);
      }
    }
    const { traceparent } = call;
    if (traceparent !== undefined) {
      const tracestate = call.header(TRACESTATE);
      const passed = this.#passed;
      if (passed?.traceparent === traceparent && passed.tracestate === tracestate) return passed.trace;
      const parent = parentOf(traceparent, tracestate);
      if (parent !== undefined) {
        if (isSampled(parent)) return this.#record(method, call, receivedAtMs, parent);
        this.#passed = { traceparent, tracestate, trace: { ...headersOf(parent), span: undefined } };
        return this.#passed.trace;
      }
    }
    return this.#draw(method, call, receivedAtMs);
  }

  #recordDrawn(method: string, call: TracedCall, receivedAtMs: number): RequestTrace | undefined {
    this.#skip = this.#nextSkip();
    if (this.#ratio === 0) return undefined;
    this.#closedUntilMs = Math.max(receivedAtMs - this.#burstMs, this.#closedUntilMs) + this.#intervalMs;
    return this.#record(method, call, receivedAtMs, undefined);
  }

  /** One draw for all requests up to the next that is recorded has the same outcomes as one for each (it is geometric). */
  #nextSkip(): number {
    if (this.#ratio === 0) return SKIP_MAX;
    return Math.min(SKIP_MAX, Math.floor(Math.log(1 - this.#random()) / Math.log(1 - this.#ratio)));
  }

  #record(method: string, call: TracedCall, receivedAtMs: number, parent: SpanContext | undefined): RequestTrace {
    const span = new RecordedRequest(this.#spans, this.#log, parent, method, call.peer, receivedAtMs);
    return { ...headersOf(span.context), span };
  }
}

/** The recorded requests with records in [first, first + count). */
function partsOf({ runs, runCounts }: TracedRecords, first: number, count: number): Part[] {
  const parts: Part[] = [];
  const end = first + count;
  let start = 0;
  for (let run = 0; run < runs.length && start < end; run++) {
    const from = Math.max(first, start);
    start += runCounts[run]!;
    const records = Math.min(end, start) - from;
    const span = runs[run]!.trace?.span;
    if (records <= 0 || !(span instanceof RecordedRequest)) continue;
    const last = parts.at(-1);
    // Runs of one request lie side by side, unless it names topics by event.
    if (last?.request === span) last.count += records;
    else parts.push({ request: span, count: records, first: from });
  }
  return parts;
}

function placeOf(topic: string, partition: number): Attributes {
  const attributes: Attributes = { [ATTRIBUTE.MESSAGING_DESTINATION_NAME]: topic };
  // Without one, its topic's are not known yet.
  if (partition >= 0) attributes[ATTRIBUTE.MESSAGING_DESTINATION_PARTITION_ID] = String(partition);
  return attributes;
}

function addProduce(attributes: Attributes, sentTo: string | undefined): void {
  attributes[ATTRIBUTE.MESSAGING_SYSTEM] = "kafka";
  attributes[ATTRIBUTE.MESSAGING_OPERATION_NAME] = "produce";
  attributes[ATTRIBUTE.MESSAGING_OPERATION_TYPE] = "send";
  if (sentTo === undefined) return;
  const [address, port] = splitAddress(sentTo);
  attributes[ATTRIBUTE.SERVER_ADDRESS] = address;
  if (port !== undefined) attributes[ATTRIBUTE.SERVER_PORT] = port;
}
