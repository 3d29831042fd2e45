// A run's result for people: faults, topics, the service's ledger, and the verdict.

import { formatCount, table } from "../../src/cli/table.ts";
import type { ChaosResult } from "./run.ts";
import type { TopicResult } from "./topic-result.ts";

const COLUMNS = [
  "acknowledged",
  "read",
  "missing",
  "duplicated",
  "reordered",
  "misplaced",
  "alien",
  "retried",
  "replayed",
  "recreated",
  "possible",
  "moved",
  "unacknowledged",
  "gone",
] as const satisfies readonly (keyof TopicResult)[];

export function report(result: ChaosResult): string {
  const { topics, faults, outcomes, ledger, ledgerLooks, possibleDuplicates, failures, directory } = result;
  const sum = (column: (typeof COLUMNS)[number]): number => topics.reduce((all, each) => all + each[column], 0);
  const rows = topics.map((each) => [each.topic, ...COLUMNS.map((column) => formatCount(each[column]))]);
  const head = ["topic", ...COLUMNS];
  const total = ["all", ...COLUMNS.map((column) => formatCount(sum(column)))];
  return [
    `seed ${result.seed}, ${formatCount(result.seconds)} s, ${faults.length} faults`,
    "",
    ...table([
      ["fault", "seconds", "seen"],
      ...faults.map(({ name, seconds, seen }) => [name, seconds.toFixed(1), seen]),
    ]),
    "",
    ...table([head, ...rows, total], "", 1),
    "",
    "not allowed: missing, duplicated, reordered, misplaced, alien; the others are explained in docs/chaos.md",
    "",
    ...table([
      ["attempts that were not simply stored", ""],
      ...Object.entries(outcomes).map(([outcome, count]) => [`  ${outcome}`, formatCount(count)]),
    ]),
    "",
    `the service's ledger since its last start, which balanced at ${formatCount(ledgerLooks)} looks unless it says so below:`,
    `  received ${formatCount(ledger.received)} = stored ${formatCount(ledger.stored)} + failed ${formatCount(ledger.failed)} + in flight ${formatCount(ledger.inFlight)}`,
    `  persisted ${formatCount(ledger.persisted)} + recovered ${formatCount(ledger.recovered)} = forwarded ${formatCount(ledger.forwarded)} + dead-lettered ${formatCount(ledger.deadLettered)} + spooled ${formatCount(ledger.spooled)}`,
    `sluice_kafka_possible_duplicates_total ${formatCount(possibleDuplicates)}`,
    "",
    ...(failures.length === 0 ? ["PASSED"] : failures.map((failure) => `FAILED: ${failure}`)),
    ...(directory === undefined ? [] : [`the record and the service's log are kept in ${directory}`]),
  ].join("\n");
}
