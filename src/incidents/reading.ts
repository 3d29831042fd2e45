// A value that may be one too many: whether it is, and how that is told.

import type { TriggerKind, TriggerSetting } from "../config/triggers.ts";
import type { Mean } from "../telemetry/history.ts";
import type { Measure } from "./measures.ts";

/** A mean of fewer seconds is none. */
const MEAN_SECONDS_MIN = 10;

export interface Reading {
  readonly kind: TriggerKind;
  readonly value: number;
  readonly mean: () => Mean;
  readonly what: string;
  readonly unit: Measure["unit"];
}

export interface Exceeded {
  readonly limit: number;
  readonly mean: number | undefined;
  readonly by: "abs" | "diff";
}

/** Undefined if it does not. The mean is only looked up where it decides. */
export function exceeds({ min, diff, abs }: TriggerSetting, { value, mean: meanOf }: Reading): Exceeded | undefined {
  if (!(value >= min)) return undefined;
  const { mean, count } = meanOf();
  const known = count >= MEAN_SECONDS_MIN ? mean : undefined;
  if (abs !== undefined && value >= abs) return { limit: abs, mean: known, by: "abs" };
  if (diff === undefined || known === undefined) return undefined;
  const limit = Math.max(min, known * (1 + diff));
  return value >= limit ? { limit, mean: known, by: "diff" } : undefined;
}

export function sentence(
  { what, unit, value }: Reading,
  worker: string,
  { limit, mean, by }: Exceeded,
  heldMs: number,
): string {
  const of = worker === "supervisor" ? "the supervisor" : `worker ${worker}`;
  const told = (number: number) =>
    unit === "share" ? `${Number((number * 100).toPrecision(3))} %` : `${Number(number.toPrecision(3))} ${unit}`;
  const before = mean === undefined ? "" : `; the mean of the minutes before is ${told(mean)}`;
  const bound = by === "abs" ? `at least ${told(limit)}` : `${told(limit)} or more is too much`;
  return `${of}: ${what} is ${told(value)} for ${Math.round(heldMs / 1000)} s (${bound})${before}`;
}
