// Exemplars: for each bucket of a histogram, the last observation that a trace was recorded of, so that a slow bucket leads to a
// trace that shows why.
//
// A histogram has none until the first observation with a trace, so without tracing they cost one comparison.

/** What an exemplar points to; an OpenTelemetry SpanContext is one. */
export interface TraceRef {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
}

/** Plain data that crosses process borders. */
export interface Exemplar extends TraceRef {
  /** The index of its bucket. */
  readonly bucket: number;
  /** What was observed, in the unit of the histogram. */
  readonly value: number;
  /** When, in milliseconds since the epoch. */
  readonly atMs: number;
}

/** The newer one of each bucket, in the order of buckets. */
export function newestExemplars(
  a: readonly Exemplar[] | undefined,
  b: readonly Exemplar[] | undefined,
): readonly Exemplar[] | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const newest: Exemplar[] = [];
  for (const exemplar of [...a, ...b]) {
    const known = newest[exemplar.bucket];
    if (known === undefined || known.atMs < exemplar.atMs) newest[exemplar.bucket] = exemplar;
  }
  return newest.filter((exemplar) => exemplar !== undefined);
}
