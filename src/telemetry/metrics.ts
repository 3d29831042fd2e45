// The catalogue's metrics of a worker: everything is declared in catalogue/, one noun a file, and nowhere else.

import { batchFamilies } from "./catalogue/batches.ts";
import { Define } from "./catalogue/define.ts";
import { grpcFamilies } from "./catalogue/grpc.ts";
import { kafkaFamilies } from "./catalogue/kafka.ts";
import { ledgerCheckFamilies, ledgerFamilies } from "./catalogue/ledger.ts";
import { spoolFamilies } from "./catalogue/spool.ts";
import { tracingFamilies } from "./catalogue/tracing.ts";
import type { MetricDefinition, MetricDelta, MetricSnapshot } from "./instruments.ts";
import { LabelLimit } from "./label-limit.ts";

/** How many values of a label are told by name; all others together are `other`. */
export interface LabelLimits {
  readonly topicsMax: number;
  readonly callersMax: number;
}

/** The defaults of METRICS_TOPICS_MAX and METRICS_CALLERS_MAX. */
export const LABEL_LIMITS: LabelLimits = { topicsMax: 500, callersMax: 100 };

/** What a process says of the ledger after each look at it; the supervisor has these too. */
export function createLedgerMetrics() {
  return ledgerCheckFamilies(new Define());
}

/** What becomes of spans; workers drop some, and the supervisor exports them. */
export function createTracingMetrics() {
  const families = tracingFamilies(new Define());
  // There without traces, too: a panel that shows nothing cannot be told from a service that is well.
  for (const outcome of ["exported", "dropped", "failed"]) families.traceSpans.with(outcome);
  return families;
}

/** One worker's instruments. */
export function createMetrics({ topicsMax, callersMax }: LabelLimits = LABEL_LIMITS) {
  const define = new Define({ topic: new LabelLimit(topicsMax), caller: new LabelLimit(callersMax) });
  return {
    ...ledgerFamilies(define),
    ...ledgerCheckFamilies(define),
    ...batchFamilies(define),
    ...grpcFamilies(define),
    ...kafkaFamilies(define),
    ...spoolFamilies(define),
    ...tracingFamilies(define),
  };
}

export type Metrics = ReturnType<typeof createMetrics>;

export function definitions(metrics: Metrics): MetricDefinition[] {
  return Object.values(metrics).map((family) => family.definition);
}

/** What has changed since the last call, for one reader. */
export function delta(families: Readonly<Record<string, { delta(): MetricDelta | undefined }>>): MetricDelta[] {
  return Object.values(families).flatMap((family) => family.delta() ?? []);
}

export function snapshot(metrics: Metrics): MetricSnapshot[] {
  return Object.values(metrics).map((family) => family.snapshot());
}
