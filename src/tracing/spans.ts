// Makes spans: their ids, their times on the wall's clock, and whose they are.
//
// What is told of a span is kept as it was told, and the span is made up to a second later, together with others. Fifty recorded
// requests a second lie thousands of others apart: each time the processor has forgotten this code, and it took 190 µs a request
// where many in a row take 26. And until it is exported a span is young, so the collector does not carry it to the old generation.

import { type Attributes, type SpanContext, TraceFlags } from "@opentelemetry/api";
import type { InstrumentationScope } from "@opentelemetry/core";
import type { Resource } from "@opentelemetry/resources";
import { RandomIdGenerator } from "@opentelemetry/sdk-trace";
import type { Clock, Timer } from "../clock.ts";
import { FinishedSpan, hrTimeOf, type SpanFields } from "./span.ts";
import type { SpanQueue } from "./span-queue.ts";

/** How long one reading of the difference between the two clocks is used; spans of one time have to fit together. */
const OFFSET_MS = 10_000;

const MAKE_AFTER_MS = 1_000;
/** More are not kept, but made at once. */
const KEPT_MAX = 512;

/** What is known of a span that is over. Whatever it refers to stays alive until it is made. */
export interface NewSpan extends Omit<SpanFields, "startTime" | "endTime" | "context" | "attributes"> {
  /** Undefined: nobody else has to know it. */
  readonly context: SpanContext | undefined;
  /** Milliseconds on the monotonic clock. */
  readonly startMs: number;
  readonly endMs: number;
  /** See Spans.offsetMs. */
  readonly offsetMs: number;
  readonly attributes: () => Attributes;
}

export class Spans {
  readonly #queue: SpanQueue;
  readonly #clock: Clock;
  readonly #resource: Resource;
  readonly #scope: InstrumentationScope;
  readonly #ids = new RandomIdGenerator();
  #offsetMs = 0;
  #offsetUntilMs = Number.NEGATIVE_INFINITY;
  #kept: NewSpan[] = [];
  #timer: Timer | undefined;

  constructor(queue: SpanQueue, clock: Clock, resource: Resource, scope: InstrumentationScope) {
    this.#queue = queue;
    this.#clock = clock;
    this.#resource = resource;
    this.#scope = scope;
  }

  /** What has to be added to the monotonic clock for milliseconds since the epoch; the same for all spans of a trace. */
  offsetMs(): number {
    const nowMs = this.#clock.monotonic();
    if (nowMs >= this.#offsetUntilMs) {
      this.#offsetMs = this.#clock.now() - nowMs;
      this.#offsetUntilMs = nowMs + OFFSET_MS;
    }
    return this.#offsetMs;
  }

  /** @param parent one that is recorded; undefined: the span begins a trace. */
  context(parent: SpanContext | undefined): SpanContext {
    const spanId = this.#ids.generateSpanId();
    if (parent === undefined) {
      return { traceId: this.#ids.generateTraceId(), spanId, traceFlags: TraceFlags.SAMPLED };
    }
    const { traceId, traceFlags, traceState } = parent;
    return { traceId, spanId, traceFlags, ...(traceState !== undefined && { traceState }) };
  }

  add(span: NewSpan): void {
    this.#kept.push(span);
    if (this.#kept.length >= KEPT_MAX) this.flush();
    else this.#timer ??= this.#clock.setTimeout(() => this.flush(), MAKE_AFTER_MS);
  }

  /** Makes what was added, and gives it to the queue. */
  flush(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    const kept = this.#kept;
    this.#kept = [];
    for (const span of kept) this.#queue.add(this.#make(span));
  }

  #make(span: NewSpan): FinishedSpan {
    const { name, kind, parent, startMs, endMs, offsetMs, status, links, linksLeftOut } = span;
    const fields = {
      name,
      kind,
      parent,
      status,
      links,
      linksLeftOut,
      context: span.context ?? this.context(parent),
      startTime: hrTimeOf(startMs + offsetMs),
      endTime: hrTimeOf(Math.max(startMs, endMs) + offsetMs),
      attributes: span.attributes(),
    };
    return new FinishedSpan(fields, this.#resource, this.#scope);
  }
}
