// A span that is over, as the SDK's processors and exporters take it.
//
// Rejected: the SDK's own spans. They are made by a tracer that asks its sampler only after ids, links and attributes are built,
// they read the clock twice, and their context is chosen by them. Here a span is made when all of it is known: one object, and
// its attributes are used as they are.

import type { Attributes, HrTime, Link, SpanContext, SpanKind, SpanStatus } from "@opentelemetry/api";
import { type InstrumentationScope, TraceState } from "@opentelemetry/core";
import type { Resource } from "@opentelemetry/resources";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import type { ContextData, SpanData } from "../span-data.ts";

const NO_EVENTS: ReadableSpan["events"] = [];

export class FinishedSpan implements ReadableSpan {
  readonly name: string;
  readonly kind: SpanKind;
  readonly parentSpanContext?: SpanContext;
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  readonly status: SpanStatus;
  readonly attributes: Attributes;
  readonly links: Link[];
  readonly events = NO_EVENTS;
  readonly ended = true;
  readonly resource: Resource;
  readonly instrumentationScope: InstrumentationScope;
  readonly droppedAttributesCount = 0;
  readonly droppedEventsCount = 0;
  readonly droppedLinksCount: number;
  readonly #context: SpanContext;

  constructor(data: SpanData, resource: Resource, scope: InstrumentationScope) {
    this.name = data.name;
    this.kind = data.kind;
    if (data.parent !== undefined) this.parentSpanContext = spanContext(data.parent);
    this.startTime = data.startTime;
    this.endTime = data.endTime;
    this.status = data.status;
    this.attributes = data.attributes;
    this.links = data.links.map((link) => ({ context: spanContext(link) }));
    this.droppedLinksCount = data.linksLeftOut;
    this.resource = resource;
    this.instrumentationScope = scope;
    this.#context = spanContext(data.context);
  }

  get duration(): HrTime {
    const nanos = this.endTime[1] - this.startTime[1];
    const seconds = this.endTime[0] - this.startTime[0];
    return nanos < 0 ? [seconds - 1, nanos + 1e9] : [seconds, nanos];
  }

  spanContext(): SpanContext {
    return this.#context;
  }
}

function spanContext({ traceState, ...context }: ContextData): SpanContext {
  return traceState === undefined ? context : { ...context, traceState: new TraceState(traceState) };
}
