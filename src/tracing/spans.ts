// Makes spans: their ids and their times on the wall's clock.
//
// What is told of a span is kept as it was told, and the span is made up to a second later, together with others. Fifty recorded
// requests a second lie thousands of others apart: each time the processor has forgotten this code, and it took 190 µs a request
// where many in a row take 26.

import {
  type Attributes,
  type HrTime,
  type Link,
  type SpanContext,
  type SpanKind,
  type SpanStatus,
  TraceFlags,
} from "@opentelemetry/api";
import type { Clock, Timer } from "../clock.ts";
import { newSpanId, newTraceId } from "./ids.ts";
import { contextData, type SpanData } from "./span-data.ts";
import type { SpanSender } from "./span-sender.ts";

/** How long one reading of the difference between the two clocks is used; spans of one time have to fit together. */
const OFFSET_MS = 10_000;

const MAKE_AFTER_MS = 1_000;
/** More are not kept, but made at once. */
const KEPT_MAX = 512;

/** What is known of a span that is over. Whatever it refers to stays alive until it is made. */
export interface NewSpan {
  readonly name: string;
  readonly kind: SpanKind;
  /** Undefined: nobody else has to know it. */
  readonly context: SpanContext | undefined;
  readonly parent: SpanContext | undefined;
  /** Milliseconds on the monotonic clock. */
  readonly startMs: number;
  readonly endMs: number;
  /** See Spans.offsetMs. */
  readonly offsetMs: number;
  readonly attributes: () => Attributes;
  readonly status: SpanStatus;
  readonly links?: readonly Link[] | undefined;
  /** Links that there was no room for. */
  readonly linksLeftOut?: number;
}

export class Spans {
  readonly #sender: SpanSender;
  readonly #clock: Clock;
  #offsetMs = 0;
  #offsetUntilMs = Number.NEGATIVE_INFINITY;
  #kept: NewSpan[] = [];
  #timer: Timer | undefined;

  constructor(sender: SpanSender, clock: Clock) {
    this.#sender = sender;
    this.#clock = clock;
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
    const spanId = newSpanId();
    if (parent === undefined) return { traceId: newTraceId(), spanId, traceFlags: TraceFlags.SAMPLED };
    const { traceId, traceFlags, traceState } = parent;
    return { traceId, spanId, traceFlags, ...(traceState !== undefined && { traceState }) };
  }

  add(span: NewSpan): void {
    this.#kept.push(span);
    if (this.#kept.length >= KEPT_MAX) this.flush();
    else this.#timer ??= this.#clock.setTimeout(() => this.flush(), MAKE_AFTER_MS);
  }

  /** Makes what was added, and sends it. */
  flush(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    const kept = this.#kept;
    this.#kept = [];
    if (kept.length > 0) this.#sender.send(kept.map((span) => this.#make(span)));
  }

  #make(span: NewSpan): SpanData {
    const { name, kind, context, parent, startMs, endMs, offsetMs, attributes, status, links, linksLeftOut } = span;
    return {
      name,
      kind,
      context: contextData(context ?? this.context(parent)),
      parent: parent && contextData(parent),
      startTime: hrTimeOf(startMs + offsetMs),
      endTime: hrTimeOf(Math.max(startMs, endMs) + offsetMs),
      attributes: attributes(),
      status,
      links: links?.map((link) => contextData(link.context)) ?? [],
      linksLeftOut: linksLeftOut ?? 0,
    };
  }
}

/** @param epochMs milliseconds since the epoch, with fractions. */
function hrTimeOf(epochMs: number): HrTime {
  const seconds = Math.floor(epochMs / 1000);
  return [seconds, Math.floor((epochMs - seconds * 1000) * 1e6)];
}
