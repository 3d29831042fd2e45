// The findings as a table for people: what is so, below it why it matters, and what to do.

import { plural, printable, table } from "../table.ts";
import type { Finding, Level, NamedFinding } from "./finding.ts";

export function report(findings: readonly NamedFinding[]): string[] {
  const rows = findings.flatMap(({ level, subject, message, why, remedy }: Finding) => [
    [level, subject, message],
    ...(why === undefined ? [] : [["", "", `   ${why}`]]),
    ...(remedy === undefined ? [] : [["", "", `-> ${remedy}`]]),
  ]);
  // Names of topics, groups and clients are what others chose, and remedies name them, too.
  return [...table(rows.map((row) => row.map(printable))), "", summary(findings)];
}

function summary(findings: readonly Finding[]): string {
  const count = (level: Level) => findings.filter((finding) => finding.level === level).length;
  const unknown = count("unknown");
  const parts = [plural(count("error"), "error"), plural(count("warning"), "warning")];
  return [...parts, ...(unknown === 0 ? [] : [`${unknown} unknown`])].join(", ");
}
