// A span as a worker tells it.

import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import type { ContextData, SpanData } from "../../../src/tracing/span-data.ts";

export const CONTEXT: ContextData = {
  traceId: "1".repeat(32),
  spanId: "2".repeat(16),
  traceFlags: 1,
  traceState: undefined,
  isRemote: false,
};

export function spanData(fields: Partial<SpanData> = {}): SpanData {
  return {
    name: "s",
    kind: SpanKind.INTERNAL,
    context: CONTEXT,
    parent: undefined,
    startTime: [0, 0],
    endTime: [0, 0],
    attributes: {},
    status: { code: SpanStatusCode.UNSET },
    links: [],
    linksLeftOut: 0,
    ...fields,
  };
}
