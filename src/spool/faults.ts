// What can go wrong with a spool's files: counted by kind, told in the log, and remembered for the health of the part.
//
// Rejected: throwing. Damage at rest is a fact to be told, not a reason to stop: the batches around it are served.

import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";

/** The values of the `kind` label of sluice_spool_errors_total. */
export const FaultKind = {
  /** Writing failed; `full` if for want of room. */
  WRITE: "write",
  FULL: "full",
  /** fdatasync failed: what the segment holds behind the last success is unknown. */
  SYNC: "sync",
  /** Reading back failed. */
  READ: "read",
  /** Bytes that had been synced are not what was written. */
  CORRUPT: "corrupt",
  /** Entries that had been synced are not there. */
  LOST: "lost",
  /** The end of what was being written when the process or the machine died; it was never acknowledged. */
  TORN_TAIL: "torn_tail",
  /** A segment of another spool, or of another kind. */
  FOREIGN: "foreign",
  CHECKPOINT: "checkpoint",
  /** Trimming or closing failed; disk space comes back later than it could. */
  TRIM: "trim",
  /** How a batch is going to be sent could not be kept; a crash before it is in Kafka may store it twice. */
  STAMP: "stamp",
  /** The spool's directory was removed under the running service. */
  DIRECTORY: "directory",
} as const;
export type FaultKind = (typeof FaultKind)[keyof typeof FaultKind];

export class Faults {
  readonly #log: Logger;
  readonly #metrics: Metrics;

  constructor(log: Logger, metrics: Metrics) {
    this.#log = log;
    this.#metrics = metrics;
  }

  /** Counts one of many faults that somebody else tells about. */
  count(kind: FaultKind): void {
    this.#metrics.spoolErrors.with(kind).inc();
  }

  /** @param message one sentence for the operator: what, where, and what follows from it. */
  tell(
    kind: FaultKind,
    message: string,
    details: { readonly error?: unknown; readonly [field: string]: unknown },
  ): void {
    this.count(kind);
    const { error, ...fields } = details;
    const line = error === undefined ? fields : { ...fields, err: error };
    // A torn tail is what a crash leaves behind; everything else should not be.
    if (kind === FaultKind.TORN_TAIL) this.#log.warn(line, message);
    else this.#log.error(line, message);
  }
}
