// Metrics of traces: what becomes of spans. The traces themselves go to a collector.

import type { Define } from "./define.ts";

export function tracingFamilies(define: Define) {
  return {
    traceSpans: define.counter(
      "sluice_trace_spans_total",
      "Spans of requests that were recorded, by outcome: exported, dropped (no room, because the collector is too slow or away) or failed (the collector did not take them).",
      { labels: ["outcome"] },
    ),
  };
}
