// The rules of deploy/prometheus as their files have them, read line by line: they are written in one way, which the test of
// their form holds them to, and a YAML library for that would be one more dependency.

import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { scrapeDefinitions } from "../../../src/supervisor/metrics.ts";

export const ROOT = join(import.meta.dirname, "../../..");
export const PROMETHEUS = join(ROOT, "deploy/prometheus");

export const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

/** YAML files below deploy/prometheus, as paths from the root. */
export function ruleFiles(folder: "rules" | "tests"): string[] {
  return globSync(`deploy/prometheus/${folder}/*.yml`, { cwd: ROOT }).sort();
}

export interface RuleText {
  /** The alert's name, or the recorded metric's. */
  readonly name: string;
  readonly kind: "alert" | "record";
  /** What stands between its name and the next rule's, without comments. */
  readonly body: string;
}

/** Every rule, in order. */
export function rules(): RuleText[] {
  return ruleFiles("rules").flatMap((file) => {
    const text = read(file).replaceAll(/^ *#.*\n/gm, "");
    const parts = text.split(/^ +- (?=(?:alert|record): )/m).slice(1);
    return parts.map((part) => {
      const [, kind, name] = /^(alert|record): (\S+)\n/.exec(part) ?? [];
      if (name === undefined) throw new Error(`${file}: not a rule: ${part.slice(0, 80)}`);
      return { name, kind: kind as RuleText["kind"], body: part };
    });
  });
}

/** `expr` of a rule, on one line. */
export function expression({ name, body }: RuleText): string {
  const [, folded, plain] = /^ +expr: (?:>-\n((?: {10,}.*\n)+)|(.*)\n)/m.exec(body) ?? [];
  const text = folded ?? plain;
  if (text === undefined) throw new Error(`${name} has no expression that can be read`);
  return text.trim().replaceAll(/\s+/g, " ");
}

/** The series that the scrape may have, histograms by each of their parts. */
export function seriesNames(): ReadonlySet<string> {
  return new Set(
    scrapeDefinitions().flatMap(({ name, type }) =>
      type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    ),
  );
}

/** The names of metrics that an expression asks for; recorded ones have colons. */
export function metricsOf(query: string): string[] {
  const bare = query.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""');
  return [
    ...new Set(Array.from(bare.matchAll(/(?:\w+:)*\b(?:sluice|process|nodejs)_\w+(?::\w+)*/g), ([name]) => name)),
  ];
}

/** Metrics that are there for every target, made by Prometheus itself. */
export const OF_PROMETHEUS = ["up"];
