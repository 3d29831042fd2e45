// The charts of an incident, from its history.json.

import type { Incident } from "../../incidents/incident.ts";
import type { HistoryRange } from "../../telemetry/history.ts";
import { chart, legend, type Line } from "./chart.ts";
import { html, type Html } from "./html.ts";
import { orderedSeries } from "./kinds.ts";

function isHistory(value: unknown): value is HistoryRange {
  if (typeof value !== "object" || value === null) return false;
  const { names, workers } = value as Partial<Record<keyof HistoryRange, unknown>>;
  return Array.isArray(names) && typeof workers === "object" && workers !== null;
}

/** Worker 2 before worker 10, and the supervisor last. */
function inOrder(names: readonly string[]): string[] {
  return [...names].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
}

/** Undefined if there is nothing to show. */
export function historyCharts({ kind, worker, atMs }: Incident, history: unknown): Html | undefined {
  if (!isHistory(history)) return undefined;
  const processes = inOrder(Object.keys(history.workers));
  const times = processes.flatMap((name) => [history.workers[name]!.t[0], history.workers[name]!.t.at(-1)]);
  const known = times.filter((time) => time !== undefined);
  if (known.length === 0) return undefined;
  const fromMs = Math.min(...known, atMs);
  const toMs = Math.max(...known, atMs);
  const charts = orderedSeries(kind).flatMap(([name, { title, unit }]) => {
    const lines = processes.map((process): Line => {
      const { t, series } = history.workers[process]!;
      return { name: process, t, values: series[name] ?? [] };
    });
    // A metric that nobody has, as Kafka's without brokers, would be an empty box.
    if (!lines.some(({ values }) => values.some((value) => typeof value === "number"))) return [];
    return [chart({ title, unit, lines, fromMs, toMs, atMs, worker })];
  });
  return html`${legend(processes, worker)}
    <div class="charts">${charts}</div>`;
}
