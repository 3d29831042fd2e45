// Queries of dashboards, made from the catalogue: a metric or a label that it does not have cannot be asked for.
//
// Every query is restricted to what the dashboard's variables say, by the labels that the metric has.

import type { MetricDefinition } from "../../src/telemetry/instruments.ts";
import { scrapeDefinitions } from "../../src/supervisor/metrics.ts";

/** What a panel asks for, and how its series are called. */
export interface Query {
  readonly expr: string;
  /** With `{{label}}`; empty: the one series is called as the panel is. */
  readonly legend: string;
  /** Has dots that lead to traces. */
  readonly exemplars?: boolean;
}

export interface By {
  /** The labels that remain; by default those of the metric. */
  readonly by?: readonly string[];
  /** More matchers, for example `stage!="acknowledge"`. */
  readonly where?: string;
  /** Instead of the labels that remain. */
  readonly legend?: string;
  /** Only the largest so many: for labels of which there may be hundreds. */
  readonly top?: number;
  /** How series are put together where labels do not remain. */
  readonly sum?: "sum" | "max" | "min" | "avg";
}

/** Labels that a dashboard has a variable for; every series has the first two. */
const VARIABLES = ["job", "instance", "topic", "worker", "broker"];
/** Labels with so many values that a panel shows the largest alone. */
const MANY = new Set(["topic", "caller"]);
const TOP = 15;

const definitions: ReadonlyMap<string, MetricDefinition> = new Map(
  scrapeDefinitions().map((definition) => [definition.name, definition]),
);

/** @throws Error for a name that the catalogue does not have. */
export function metric(name: string): MetricDefinition {
  const definition = definitions.get(name);
  if (definition === undefined) throw new Error(`the catalogue has no metric ${name}`);
  return definition;
}

export function labelsOf({ labels, perWorker }: MetricDefinition): readonly string[] {
  return perWorker ? [...labels, "worker"] : labels;
}

/** Of `labels` and those that every target has. */
function selector(labels: readonly string[], where = ""): string {
  const matchers = VARIABLES.filter((name) => name === "job" || name === "instance" || labels.includes(name));
  return `{${[...matchers.map((name) => `${name}=~"$${name}"`), ...(where === "" ? [] : [where])].join(", ")}}`;
}

/** A metric's series, for expressions that are written by hand. @param suffix of a histogram's part. */
export function series(name: string, where = "", suffix = ""): string {
  checked(
    name,
    Array.from(where.matchAll(/(\w+)(?==|!=)/g), ([, label]) => label!),
  );
  return `${name}${suffix}${selector(labelsOf(metric(name)), where)}`;
}

/** A recorded metric's series; rules.test.ts knows whether it is recorded. @param labels those that it has. */
export function recorded(name: string, labels: readonly string[], where = ""): string {
  return `${name}${selector(labels, where)}`;
}

export function rateOf(name: string, where = "", suffix = ""): string {
  return `rate(${series(name, where, suffix)}[$__rate_interval])`;
}

/** How much a counter grows a second. */
export function rate(name: string, options: By = {}): Query {
  return aggregated(name, rateOf(name, options.where), { sum: "sum", ...options });
}

/** A gauge as it is. */
export function value(name: string, options: By = {}): Query {
  return aggregated(name, series(name, options.where), { sum: isAdditive(name) ? "sum" : "max", ...options });
}

/** A histogram's quantile. */
export function quantile(q: number, name: string, options: By = {}): Query {
  const by = checked(name, options.by ?? labelsOf(metric(name)));
  const expr = `histogram_quantile(${q}, sum by (${["le", ...by].join(", ")}) (${rateOf(name, options.where, "_bucket")}))`;
  const legend = [`p${q * 100}`, options.legend ?? legendOf(by)].filter((part) => part !== "").join(" ");
  return { expr: topped(expr, by, options.top), legend, exemplars: true };
}

/** A histogram's mean. */
export function mean(name: string, options: By = {}): Query {
  const by = checked(name, options.by ?? labelsOf(metric(name)));
  const part = (suffix: string) => `sum by (${by.join(", ")}) (${rateOf(name, options.where, suffix)})`;
  const expr = `${part("_sum")} / ${part("_count")}`;
  return { expr: topped(expr, by, options.top), legend: options.legend ?? legendOf(by) };
}

function aggregated(name: string, expr: string, { sum = "sum", by, legend, top }: By): Query {
  const labels = checked(name, by ?? labelsOf(metric(name)));
  const whole = `${sum}${labels.length === 0 ? "" : ` by (${labels.join(", ")})`} (${expr})`;
  return { expr: topped(whole, labels, top), legend: legend ?? legendOf(labels) };
}

/** @throws Error for a label that the metric does not have. */
function checked(name: string, by: readonly string[]): readonly string[] {
  const known = ["instance", ...labelsOf(metric(name))];
  for (const label of by) if (!known.includes(label)) throw new Error(`${name} has no label ${label}`);
  return by;
}

function topped(expr: string, by: readonly string[], top?: number): string {
  const most = top ?? (by.some((label) => MANY.has(label)) ? TOP : undefined);
  return most === undefined ? expr : `topk(${most}, ${expr})`;
}

function legendOf(labels: readonly string[]): string {
  return labels.map((label) => `{{${label}}}`).join(" ");
}

/** Whether a sum over workers or instances says something: not of ages, limits, ratios, delays and what is always 1. */
function isAdditive(name: string): boolean {
  return !/_(?:age_seconds|delay_seconds|timestamp_seconds|time_seconds|ratio|limit|limit_\w+|max|max_fds|info|up)$/.test(
    name,
  );
}
