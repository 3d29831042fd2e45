// Renders the snapshots of all processes as one scrape, in Prometheus' text format or in OpenMetrics.
//
// The snapshots become prom-client's JSON metrics, and its public AggregatorRegistry renders them: names, help, escaping and
// exposition are its business. What it must not do is aggregate, because it averages what must not be averaged, so every
// series arrives here only once: a metric that is told per worker carries a `worker` label, the others are added up first.

import {
  AggregatorRegistry,
  openMetricsContentType,
  prometheusContentType,
  type RegistryContentType,
} from "prom-client";
import { TIME_BUCKETS } from "./histograms.ts";
import type { MetricDefinition, MetricSnapshot } from "./instruments.ts";
import { SeriesSum } from "./slot.ts";

/** One process's metrics. */
export interface ProcessSnapshot {
  /** The value of its `worker` label. */
  readonly worker: string;
  readonly metrics: readonly MetricSnapshot[];
}

export interface Rendered {
  readonly contentType: string;
  readonly body: string;
}

interface JsonValue {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  readonly metricName?: string;
}

/** [...counts, sum] as cumulative buckets. */
function histogramValues(
  name: string,
  labels: Readonly<Record<string, string>>,
  value: readonly number[],
  bounds: readonly number[],
): JsonValue[] {
  let count = 0;
  const buckets = [...bounds.map(String), "+Inf"].map((le, i) => {
    count += value[i]!;
    return { labels: { ...labels, le }, value: count, metricName: `${name}_bucket` };
  });
  return [
    ...buckets,
    { labels, value: value.at(-1)!, metricName: `${name}_sum` },
    { labels, value: count, metricName: `${name}_count` },
  ];
}

function toJson(definition: MetricDefinition, name: string, processes: readonly ProcessSnapshot[]) {
  const names = definition.perWorker ? [...definition.labels, "worker"] : definition.labels;
  const sum = new SeriesSum();
  for (const { worker, metrics } of processes) {
    for (const [labels, value] of metrics.find((metric) => metric.name === definition.name)?.series ?? [])
      sum.add(definition.perWorker ? [...labels, worker] : labels, value);
  }
  const values = sum.series.flatMap(([labels, value]): JsonValue[] => {
    const named = Object.fromEntries(names.map((label, i) => [label, labels[i] ?? ""]));
    return typeof value === "number"
      ? [{ labels: named, value }]
      : histogramValues(name, named, value, definition.bounds ?? TIME_BUCKETS);
  });
  return { name, help: definition.help, type: definition.type, values, aggregator: "sum" };
}

/**
 * @param definitions every metric there may be; one without a series is left out.
 * @param processes the metrics of each process, each told once.
 */
export async function renderMetrics(
  definitions: readonly MetricDefinition[],
  processes: readonly ProcessSnapshot[],
  openMetrics: boolean,
): Promise<Rendered> {
  const metrics = definitions.map((definition) => {
    // OpenMetrics names a counter without its suffix, and prom-client puts it back behind each value.
    const bare =
      openMetrics && definition.type === "counter" ? definition.name.replace(/_total$/, "") : definition.name;
    return toJson(definition, bare, processes);
  });
  const contentType = openMetrics ? openMetricsContentType : prometheusContentType;
  const registry = AggregatorRegistry.aggregate<RegistryContentType>([
    metrics.filter(({ values }) => values.length > 0),
  ]);
  registry.setContentType(contentType);
  return { contentType, body: await registry.metrics() };
}
