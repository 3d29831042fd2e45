// The ledger: every event that was received is stored, failed or on its way, and every persisted one is in Kafka, among the
// dead letters or in the spool.
//
//   received              = stored + failed + in_flight
//   persisted + recovered = forwarded + dead_lettered + spooled      (recovered: what an earlier run left in the spool)
//
// A process changes its counts synchronously, so both hold for each topic at the end of every turn of its event loop; a
// snapshot is taken in one turn, so they hold in every scrape; and what holds for each topic holds for any sum.

import type { MetricSnapshot } from "./instruments.ts";

/** The ledger of one topic, or a sum of such. */
export interface Ledger {
  received: number;
  stored: number;
  failed: number;
  inFlight: number;
  /** Of the stored ones, those acknowledged from the disk. */
  persisted: number;
  recovered: number;
  forwarded: number;
  deadLettered: number;
  spooled: number;
}

/** Two amounts that have to be the same and are not. */
export interface Mismatch {
  /** What was compared; the same for every mismatch of its kind. */
  readonly equation: string;
  readonly left: number;
  readonly right: number;
  /** With all the terms. */
  readonly sentence: string;
}

/** The metrics that the ledger is made of, and the term of each. */
const TERMS: ReadonlyMap<string, keyof Ledger> = new Map([
  ["sluice_events_received_total", "received"],
  ["sluice_events_stored_total", "stored"],
  ["sluice_events_failed_total", "failed"],
  ["sluice_events_in_flight", "inFlight"],
  ["sluice_events_recovered", "recovered"],
  ["sluice_events_forwarded_total", "forwarded"],
  ["sluice_events_dead_lettered_total", "deadLettered"],
  ["sluice_events_spooled", "spooled"],
]);

/** The names of these metrics. */
export const LEDGER_METRICS: ReadonlySet<string> = new Set(TERMS.keys());

export function emptyLedger(): Ledger {
  return {
    received: 0,
    stored: 0,
    failed: 0,
    inFlight: 0,
    persisted: 0,
    recovered: 0,
    forwarded: 0,
    deadLettered: 0,
    spooled: 0,
  };
}

/** Adds one series of a metric; those that are not the ledger's change nothing. @param durability in any case. */
export function addSeries(ledger: Ledger, metric: string, durability: string | undefined, value: number): void {
  const term = TERMS.get(metric);
  if (term === undefined) return;
  ledger[term] += value;
  if (term === "stored" && durability?.toLowerCase() === "persisted") ledger.persisted += value;
}

/** By topic, from one or more processes. */
export function ledgersByTopic(metrics: Iterable<MetricSnapshot>): Map<string, Ledger> {
  const ledgers = new Map<string, Ledger>();
  for (const { name, series } of metrics) {
    if (!TERMS.has(name)) continue;
    for (const [[topic = "", durability], value] of series) {
      let ledger = ledgers.get(topic);
      if (ledger === undefined) ledgers.set(topic, (ledger = emptyLedger()));
      if (typeof value === "number") addSeries(ledger, name, durability, value);
    }
  }
  return ledgers;
}

export function sumOfLedgers(ledgers: Iterable<Ledger>): Ledger {
  const sum = emptyLedger();
  for (const ledger of ledgers) {
    for (const term of Object.keys(sum) as (keyof Ledger)[]) sum[term] += ledger[term];
  }
  return sum;
}

/** The equations that do not hold. */
export function mismatches(ledger: Ledger): Mismatch[] {
  const { received, stored, failed, inFlight, persisted, recovered, forwarded, deadLettered, spooled } = ledger;
  return [
    ...compare(
      "received = stored + failed + in_flight",
      received,
      stored + failed + inFlight,
      `received ${received} is not stored ${stored} + failed ${failed} + in flight ${inFlight}`,
    ),
    ...compare(
      "persisted + recovered = forwarded + dead_lettered + spooled",
      persisted + recovered,
      forwarded + deadLettered + spooled,
      `persisted ${persisted} + recovered ${recovered} is not forwarded ${forwarded} + dead-lettered ${deadLettered} + spooled ${spooled}`,
    ),
  ];
}

/** Nothing if both are the same. */
export function compare(equation: string, left: number, right: number, sentence: string): Mismatch[] {
  return left === right ? [] : [{ equation, left, right, sentence }];
}
