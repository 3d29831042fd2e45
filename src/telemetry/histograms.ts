// Histograms whose buckets are powers of two, so that a bucket is found from the binary logarithm and not by search.

import type { Exemplar, TraceRef } from "./exemplars.ts";

/** Upper bounds of a time histogram's buckets in seconds: powers of two from 100 µs to 105 s; +Inf follows. */
export const TIME_BUCKETS: readonly number[] = Array.from({ length: 21 }, (_, i) => 1e-4 * 2 ** i);

/** Upper bounds of a histogram of sizes: 2^first to 2^last; +Inf follows. */
export function powersOfTwo(first: number, last: number): readonly number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => 2 ** (first + i));
}

/** Counts by bucket, with the last observation of each that was traced. */
abstract class Histogram {
  readonly #counts: Float64Array;
  #sum = 0;
  #count = 0;
  #exemplars: (Exemplar | undefined)[] | undefined;

  /** @param bounds how many buckets there are but +Inf. */
  constructor(bounds: number) {
    this.#counts = new Float64Array(bounds + 1);
  }

  /** @param bucket may be beyond the last one, which is +Inf. */
  protected add(bucket: number, value: number, trace: TraceRef | undefined): void {
    const last = this.#counts.length - 1;
    const at = bucket < last ? bucket : last;
    this.#counts[at]! += 1;
    this.#count += 1;
    this.#sum += value;
    if (trace !== undefined) (this.#exemplars ??= [])[at] = exemplarOf(at, value, trace);
  }

  /** The counts of each bucket alone (not cumulative), the last one +Inf, then the sum. */
  snapshot(): number[] {
    return [...this.#counts, this.#sum];
  }

  /** Writes what `snapshot` is. */
  writeTo(values: Float64Array, at: number): void {
    values.set(this.#counts, at);
    values[at + this.#counts.length] = this.#sum;
  }

  /** Undefined if there is none. */
  exemplars(): Exemplar[] | undefined {
    return this.#exemplars?.filter((exemplar) => exemplar !== undefined);
  }

  /** Changes with every observation. */
  get revision(): number {
    return this.#count;
  }
}

/** A histogram of durations, in seconds. */
export class TimeHistogram extends Histogram {
  constructor() {
    super(TIME_BUCKETS.length);
  }

  /**
   * @param ms the duration in milliseconds.
   * @param trace a trace that was recorded of it; undefined: none was.
   */
  observe(ms: number, trace?: TraceRef): void {
    this.add(exponentOf(Math.ceil(ms * 10)), ms / 1000, trace);
  }
}

/** A histogram of sizes: bytes, records. */
export class SizeHistogram extends Histogram {
  readonly #firstExponent: number;

  /** @param bounds of `powersOfTwo`. */
  constructor(bounds: readonly number[]) {
    super(bounds.length);
    this.#firstExponent = Math.log2(bounds[0]!);
  }

  /** @param size a whole number, not negative. */
  observe(size: number, trace?: TraceRef): void {
    const bucket = exponentOf(size) - this.#firstExponent;
    this.add(bucket > 0 ? bucket : 0, size, trace);
  }
}

/** The smallest exponent whose power of two is not less than a whole number; Infinity beyond what clz32 takes. */
function exponentOf(value: number): number {
  if (value > 2 ** 31) return Number.POSITIVE_INFINITY;
  return value <= 1 ? 0 : 32 - Math.clz32(value - 1);
}

function exemplarOf(bucket: number, value: number, { traceId, spanId }: TraceRef): Exemplar {
  return { bucket, value, atMs: Date.now(), traceId, spanId };
}
