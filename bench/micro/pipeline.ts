// A pipeline without sockets and without Kafka, for what is measured of it: one topic, and a sink that the measurement is.

import { systemClock } from "../../src/clock.ts";
import { type BatchSink, Pipeline } from "../../src/ingest/pipeline.ts";
import type { TopicInfo } from "../../src/ingest/producer.ts";
import { type Attribution, noAttribution } from "../../src/telemetry/attribution.ts";
import type { Metrics } from "../../src/telemetry/metrics.ts";
import type { Tracing } from "../../src/telemetry/tracing.ts";

const info: TopicInfo = {
  name: "bench",
  partitions: 6,
  maxBatchBytes: 1 << 20,
  timestampBeforeMaxMs: Infinity,
  timestampAfterMaxMs: Infinity,
  keyRequired: false,
};

/** @param sink of both durabilities. */
export function benchPipeline(
  sink: BatchSink,
  metrics: Metrics,
  tracing?: Tracing,
  attribution: Attribution = noAttribution,
): Pipeline {
  return new Pipeline(
    {
      topics: { topic: () => info, lookup: async () => info },
      replicated: sink,
      persisted: sink,
      metrics,
      clock: systemClock,
      random: Math.random,
      attribution,
      tracing,
    },
    { bytesMax: 256 << 20, timeoutMs: 30_000, recordBatchBytesMax: 256 << 10, lingerMs: 5, eventsMax: 10_000 },
  );
}
