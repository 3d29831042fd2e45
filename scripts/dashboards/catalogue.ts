// A dashboard with every metric of the catalogue, by area: what a metric is called, what it says, and how it goes.

import { scrapeDefinitions } from "../../src/supervisor/metrics.ts";
import type { MetricDefinition } from "../../src/telemetry/instruments.ts";
import type { Dashboard } from "./dashboard.ts";
import type { Panel, Row, Unit } from "./panel.ts";
import { labelsOf, quantile, rate, series, value } from "./query.ts";

/** The first that fits a name is its area. */
const AREAS: readonly (readonly [title: string, names: RegExp])[] = [
  ["Ledger", /^sluice_(?:events|ledger)_/],
  ["Dead letters", /^sluice_dead_letters/],
  ["Batches and stages", /^sluice_(?:batches|publish|stage|admitted|admission|accumulator|record_batch)/],
  ["gRPC", /^sluice_grpc_/],
  ["Kafka client", /^sluice_kafka_/],
  ["Spool", /^sluice_spool_/],
  ["Processes", /^(?:process_|nodejs_|sluice_process_|sluice_event_loop_|sluice_sockets)/],
  ["Control group", /^sluice_cgroup_/],
  ["Service", /^sluice_/],
];

/** @throws Error for a metric that has no area. */
function areaOf(name: string): string {
  const area = AREAS.find(([, names]) => names.test(name));
  if (area === undefined) throw new Error(`the dashboard has no area for ${name}`);
  return area[0];
}

export function unitOf({ name, type }: MetricDefinition): Unit {
  if (name.endsWith("_timestamp_seconds") || name.endsWith("_time_seconds")) return "dateTimeFromNow";
  if (name.endsWith("_seconds_total") || name.endsWith("_seconds")) return "s";
  if (name.endsWith("_bytes_total")) return "Bps";
  if (/_bytes(?:_limit)?$/.test(name)) return "bytes";
  return type === "counter" ? "cps" : "short";
}

function panelOf(definition: MetricDefinition): Panel {
  const { name, type, help } = definition;
  const common = { title: name, description: help, width: 8 };
  // What says something by its labels is always 1.
  if (name.endsWith("_info"))
    return { ...common, kind: "table", query: { expr: series(name), legend: "" }, hide: ["job"] };
  // One that is of no worker, topic, ... is of an instance.
  const by = labelsOf(definition).length === 0 ? { by: ["instance"] } : {};
  const unit = unitOf(definition);
  switch (type) {
    case "counter":
      return { ...common, kind: "lines", unit, queries: [rate(name, by)] };
    case "gauge": {
      const query = value(name, by);
      // Grafana's points in time are milliseconds.
      const expr = unit === "dateTimeFromNow" ? `${query.expr} * 1000` : query.expr;
      return { ...common, kind: "lines", unit, queries: [{ ...query, expr }] };
    }
    case "histogram":
      return { ...common, kind: "lines", unit, queries: [quantile(0.5, name, by), quantile(0.99, name, by)] };
  }
}

export function catalogue(): Dashboard {
  const definitions = scrapeDefinitions();
  const rows = AREAS.map(([title]): Row => {
    const panels = definitions.filter(({ name }) => areaOf(name) === title).map(panelOf);
    return { title, panels, collapsed: true };
  });
  return {
    uid: "sluice-catalogue",
    title: "sluice: every metric",
    description:
      "Every metric of docs/metrics.md, by area. Counters are rates per second, histograms medians and 99th percentiles.",
    rows,
  };
}
