// The service's ledger as the supervisor sees it: each worker slot's over all the processes that lived in it, and the sum.
//
// A worker checks its own books more closely (src/ledger-check.ts), but only for as long as it lives: that what it had in
// flight and in the spool at its death found its way into the books is seen here alone.

import { type Ledger, LEDGER_METRICS, ledgersByTopic, mismatches, sumOfLedgers } from "../telemetry/ledger.ts";
import { ALL_TOPICS, ALL_WORKERS, type Finding, type LedgerMetrics, LedgerWatch } from "../telemetry/ledger-watch.ts";
import type { Logger } from "../telemetry/log.ts";
import type { SlotMetrics } from "../telemetry/slot.ts";

export class ServiceLedger {
  readonly #slots: readonly SlotMetrics[];
  readonly #watch: LedgerWatch;

  constructor(log: Logger, metrics: LedgerMetrics, slots: readonly SlotMetrics[]) {
    this.#slots = slots;
    this.#watch = new LedgerWatch(log, metrics);
  }

  check(): void {
    const slots = this.#slots.map((slot) => ledgersByTopic(slot.snapshot(LEDGER_METRICS)));
    const sum = sumOfLedgers(slots.flatMap((topics) => [...topics.values()]));
    this.#watch.checked([
      ...slots.flatMap((topics, index) => [...topics].flatMap((of) => findings(String(index), ...of))),
      ...findings(ALL_WORKERS, ALL_TOPICS, sum),
    ]);
  }

  /** Sums over the workers. */
  byTopic(): Map<string, Ledger> {
    return ledgersByTopic(this.#slots.flatMap((slot) => slot.snapshot(LEDGER_METRICS)));
  }

  /** What did not agree at the last check. */
  get findings(): readonly Finding[] {
    return this.#watch.findings;
  }
}

function findings(worker: string, topic: string, ledger: Ledger): Finding[] {
  return mismatches(ledger).map((mismatch) => ({ ...mismatch, topic, worker }));
}
