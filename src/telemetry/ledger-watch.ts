// Tells of a ledger that does not agree: when it begins and when it ends, and by a gauge for as long as it lasts.
//
// Rejected: a line for every check. A mistake in the books stays until the process ends, and a line a second about it would
// push out of the log what led there.

import type { Counter, Family, Gauge } from "./instruments.ts";
import type { Mismatch } from "./ledger.ts";
import type { Logger } from "./log.ts";

/** A mismatch, and where it was found. */
export interface Finding extends Mismatch {
  /** Its name, or ALL_TOPICS. */
  readonly topic: string;
  /** Which worker's books, or ALL_WORKERS. */
  readonly worker: string;
}

/** The `topic` of a sum over topics. */
export const ALL_TOPICS = "all topics";
/** The `worker` of a sum over workers. */
export const ALL_WORKERS = "all";

/** Findings told at most where all problems are; the log has every one. */
const PROBLEMS_MAX = 10;

export interface LedgerMetrics {
  readonly ledgerMismatches: Family<Gauge>;
  readonly ledgerChecks: Family<Counter>;
}

export class LedgerWatch {
  readonly #log: Logger;
  readonly #mismatches: Gauge;
  readonly #checks: Counter;
  /** What does not agree, by where and what it is. */
  #open = new Map<string, Finding>();

  constructor(log: Logger, metrics: LedgerMetrics) {
    this.#log = log;
    this.#mismatches = metrics.ledgerMismatches.with();
    this.#checks = metrics.ledgerChecks.with();
  }

  /** @param findings everything that does not agree now. */
  checked(findings: readonly Finding[]): void {
    const before = this.#open;
    this.#open = new Map(findings.map((finding) => [keyOf(finding), finding]));
    for (const [key, finding] of this.#open)
      if (!before.has(key)) this.#log.error(fieldsOf(finding), "the ledger does not agree");
    for (const [key, { topic, worker, equation }] of before)
      if (!this.#open.has(key)) this.#log.warn({ topic, worker, equation }, "the ledger agrees again");
    this.#mismatches.set(this.#open.size);
    this.#checks.inc();
  }

  /** What does not agree, as far as it is not too much to tell. */
  get findings(): readonly Finding[] {
    return [...this.#open.values()].slice(0, PROBLEMS_MAX);
  }
}

/** One sentence about a finding, for health and readiness. */
export function ledgerProblem({ topic, sentence }: Finding): string {
  return `the ledger of ${topic} does not agree: ${sentence}`;
}

function keyOf({ worker, topic, equation }: Finding): string {
  return [worker, topic, equation].join("\0");
}

function fieldsOf({ topic, worker, equation, left, right, sentence }: Finding) {
  return { topic, worker, equation, left, right, difference: left - right, reason: sentence };
}
