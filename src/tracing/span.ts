// A span that is over, as the SDK's processors and exporters take it.
//
// Rejected: the SDK's own spans. They are made by a tracer that asks its sampler only after ids, links and attributes are built,
// they read the clock twice, and their context is chosen by them. Here a span is made when all of it is known: one object, and
// its attributes are used as they are.

import type { Attributes, HrTime, Link, SpanContext, SpanKind, SpanStatus } from "@opentelemetry/api";
import type { InstrumentationScope } from "@opentelemetry/core";
import type { Resource } from "@opentelemetry/resources";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";

const NO_LINKS: Link[] = [];
const NO_EVENTS: ReadableSpan["events"] = [];

export interface SpanFields {
  readonly name: string;
  readonly kind: SpanKind;
  readonly context: SpanContext;
  readonly parent: SpanContext | undefined;
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  readonly attributes: Attributes;
  readonly status: SpanStatus;
  readonly links?: Link[] | undefined;
  /** Links that there was no room for. */
  readonly linksLeftOut?: number | undefined;
}

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

  constructor(fields: SpanFields, resource: Resource, scope: InstrumentationScope) {
    this.name = fields.name;
    this.kind = fields.kind;
    if (fields.parent !== undefined) this.parentSpanContext = fields.parent;
    this.startTime = fields.startTime;
    this.endTime = fields.endTime;
    this.status = fields.status;
    this.attributes = fields.attributes;
    this.links = fields.links ?? NO_LINKS;
    this.droppedLinksCount = fields.linksLeftOut ?? 0;
    this.resource = resource;
    this.instrumentationScope = scope;
    this.#context = fields.context;
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

/** @param epochMs milliseconds since the epoch, with fractions. */
export function hrTimeOf(epochMs: number): HrTime {
  const seconds = Math.floor(epochMs / 1000);
  return [seconds, Math.floor((epochMs - seconds * 1000) * 1e6)];
}
