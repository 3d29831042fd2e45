// Makes spans: their ids, their times on the wall's clock, and whose they are.

import { type SpanContext, TraceFlags } from "@opentelemetry/api";
import type { InstrumentationScope } from "@opentelemetry/core";
import type { Resource } from "@opentelemetry/resources";
import { RandomIdGenerator } from "@opentelemetry/sdk-trace";
import type { Clock } from "../clock.ts";
import { FinishedSpan, hrTimeOf, type SpanFields } from "./span.ts";
import type { SpanQueue } from "./span-queue.ts";

/** How long one reading of the difference between the two clocks is used; spans of one time have to fit together. */
const OFFSET_MS = 10_000;

/** A span whose times are milliseconds on the monotonic clock. */
export type NewSpan = Omit<SpanFields, "startTime" | "endTime"> & { readonly startMs: number; readonly endMs: number };

export class Spans {
  readonly #queue: SpanQueue;
  readonly #clock: Clock;
  readonly #resource: Resource;
  readonly #scope: InstrumentationScope;
  readonly #ids = new RandomIdGenerator();
  #offsetMs = 0;
  #offsetUntilMs = Number.NEGATIVE_INFINITY;

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

  add({ startMs, endMs, ...span }: NewSpan, offsetMs: number): void {
    const startTime = hrTimeOf(startMs + offsetMs);
    const endTime = hrTimeOf(Math.max(startMs, endMs) + offsetMs);
    this.#queue.add(new FinishedSpan({ ...span, startTime, endTime }, this.#resource, this.#scope));
  }
}
