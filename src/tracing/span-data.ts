// A span that is over, as a worker tells the supervisor: plain data, since a channel between processes knows no classes.

import type { Attributes, HrTime, SpanContext, SpanKind, SpanStatus } from "@opentelemetry/api";

export interface ContextData {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
  /** As the header `tracestate` has it; undefined: none. */
  readonly traceState: string | undefined;
  /** It came with the request. */
  readonly isRemote: boolean;
}

export interface SpanData {
  readonly name: string;
  readonly kind: SpanKind;
  readonly context: ContextData;
  readonly parent: ContextData | undefined;
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  readonly attributes: Attributes;
  readonly status: SpanStatus;
  readonly links: readonly ContextData[];
  /** Links that there was no room for. */
  readonly linksLeftOut: number;
}

/** Takes spans to where they are exported. Resolves when they have left this process, or never will. */
export type SendSpans = (spans: readonly SpanData[]) => Promise<void>;

export function contextData({ traceId, spanId, traceFlags, traceState, isRemote }: SpanContext): ContextData {
  return { traceId, spanId, traceFlags, traceState: traceState?.serialize(), isRemote: isRemote === true };
}
