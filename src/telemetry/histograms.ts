// Histograms whose buckets are powers of two, so that a bucket is found from the binary logarithm and not by search.

import type { Exemplar, TraceRef } from "./exemplars.ts";

/** Upper bounds of a time histogram's buckets in seconds: powers of two from 100 µs to 105 s; +Inf follows. */
export const TIME_BUCKETS: readonly number[] = Array.from({ length: 21 }, (_, i) => 1e-4 * 2 ** i);

/** Upper bounds of a histogram of sizes: 2^first to 2^last; +Inf follows. */
export function powersOfTwo(first: number, last: number): readonly number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => 2 ** (first + i));
}

/** A histogram of durations. */
export class TimeHistogram {
  readonly #counts = new Float64Array(TIME_BUCKETS.length + 1);
  #sum = 0;
  #count = 0;
  #exemplars: (Exemplar | undefined)[] | undefined;

  /**
   * @param ms the duration in milliseconds.
   * @param trace a trace that was recorded of it; undefined: none was.
   */
  observe(ms: number, trace?: TraceRef): void {
    const units = Math.ceil(ms * 10);
    const exact = units <= 1 ? 0 : 32 - Math.clz32(units - 1);
    // clz32 takes 32 bits.
    const bucket = units < 2 ** 31 && exact < TIME_BUCKETS.length ? exact : TIME_BUCKETS.length;
    this.#counts[bucket]! += 1;
    this.#count += 1;
    this.#sum += ms / 1000;
    if (trace !== undefined) (this.#exemplars ??= [])[bucket] = exemplarOf(bucket, ms / 1000, trace);
  }

  /** The counts of each bucket alone (not cumulative), the last one +Inf, then the sum in seconds. */
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

/** A histogram of sizes: bytes, records. */
export class SizeHistogram {
  readonly #counts: Float64Array;
  readonly #firstExponent: number;
  readonly #last: number;
  #sum = 0;
  #count = 0;
  #exemplars: (Exemplar | undefined)[] | undefined;

  /** @param bounds of `powersOfTwo`. */
  constructor(bounds: readonly number[]) {
    this.#counts = new Float64Array(bounds.length + 1);
    this.#firstExponent = Math.log2(bounds[0]!);
    this.#last = bounds.length;
  }

  /** @param size a whole number, not negative. */
  observe(size: number, trace?: TraceRef): void {
    const exponent = size <= 1 ? 0 : 32 - Math.clz32(size - 1);
    const exact = exponent <= this.#firstExponent ? 0 : exponent - this.#firstExponent;
    const bucket = size < 2 ** 31 && exact < this.#last ? exact : this.#last;
    this.#counts[bucket]! += 1;
    this.#count += 1;
    this.#sum += size;
    if (trace !== undefined) (this.#exemplars ??= [])[bucket] = exemplarOf(bucket, size, trace);
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

function exemplarOf(bucket: number, value: number, { traceId, spanId }: TraceRef): Exemplar {
  return { bucket, value, atMs: Date.now(), traceId, spanId };
}
