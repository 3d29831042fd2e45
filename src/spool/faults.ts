// What can go wrong with a spool's files: counted by kind, told in the log, and remembered for the health of the part.
//
// Rejected: throwing. Damage at rest is a fact to be told, not a reason to stop: the batches around it are served.

import type { Clock } from "../clock.ts";
import { errorCode } from "./file-system.ts";
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

/** A fault of one kind that keeps coming, as on a full disk, is a line in the log only so often. */
const LINE_EVERY_MS = 10_000;
/** Kinds that are about single bytes or files: each of them is a line, because each may be a loss. */
const ALWAYS_TOLD: ReadonlySet<FaultKind> = new Set([
  FaultKind.CORRUPT,
  FaultKind.LOST,
  FaultKind.TORN_TAIL,
  FaultKind.FOREIGN,
  FaultKind.DIRECTORY,
]);

export class Faults {
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #clock: Clock;
  /** By kind: when it was a line last, and how many were none since. */
  readonly #told = new Map<FaultKind, { readonly atMs: number; untold: number }>();

  constructor({ log, metrics, clock }: { readonly log: Logger; readonly metrics: Metrics; readonly clock: Clock }) {
    this.#log = log;
    this.#metrics = metrics;
    this.#clock = clock;
    // From the beginning, so that the first of a kind is a step that can be seen.
    for (const kind of Object.values(FaultKind)) metrics.spoolErrors.with(kind);
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
    const last = this.#told.get(kind);
    const nowMs = this.#clock.monotonic();
    if (last !== undefined && nowMs - last.atMs < LINE_EVERY_MS && !ALWAYS_TOLD.has(kind)) {
      last.untold++;
      return;
    }
    this.#told.set(kind, { atMs: nowMs, untold: 0 });
    const line = {
      ...fields,
      ...((last?.untold ?? 0) > 0 && { untold: last?.untold }),
      // What the operating system says needs no stack; anything else may be our bug.
      ...(error !== undefined &&
        (errorCode(error) === undefined ? { err: error } : { reason: (error as Error).message })),
    };
    // A torn tail is what a crash leaves behind; everything else should not be.
    if (kind === FaultKind.TORN_TAIL) this.#log.warn(line, message);
    else this.#log.error(line, message);
  }
}
