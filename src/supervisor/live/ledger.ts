// The ledger as rows: those of the topics with the most events, and the sum over all.

import type { LiveLedger } from "../../admin/live/model.ts";
import { type Ledger, mismatches, sumOfLedgers } from "../../telemetry/ledger.ts";
import { ALL_TOPICS } from "../../telemetry/ledger-watch.ts";

export const TOPICS_MAX = 25;

function row(topic: string, ledger: Ledger): LiveLedger {
  return { ...ledger, topic, agrees: mismatches(ledger).length === 0 };
}

export function ledgerRows(topics: ReadonlyMap<string, Ledger>): {
  readonly ledger: readonly LiveLedger[];
  readonly ledgerLeftOut: number;
  readonly ledgerSum: LiveLedger;
} {
  const rows = Array.from(topics, ([topic, ledger]) => row(topic, ledger));
  // What does not agree is never left out.
  rows.sort((a, b) => Number(a.agrees) - Number(b.agrees) || b.received - a.received || (a.topic < b.topic ? -1 : 1));
  const ledger = rows.slice(0, TOPICS_MAX);
  const ledgerSum = row(ALL_TOPICS, sumOfLedgers(topics.values()));
  return { ledger, ledgerLeftOut: rows.length - ledger.length, ledgerSum };
}
