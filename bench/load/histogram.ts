// Latencies as counts in log-linear buckets, as HdrHistogram keeps them: constant memory for any number of samples.
//
// Keeping every sample and sorting them at the end grows the heap while the client measures, and its collector would take
// the cores of the server beside it. A bucket is at most 1/64 wider than its lower edge, so a percentile is right to 1.6 %.

const SUB_BITS = 6;
const SUB_BUCKETS = 1 << SUB_BITS;
const MICROS_MAX = 2 ** 31 - 1;
const BUCKETS = (31 - SUB_BITS + 1) * SUB_BUCKETS;

export class Histogram {
  readonly #counts = new Float64Array(BUCKETS);
  #total = 0;

  get total(): number {
    return this.#total;
  }

  record(ms: number): void {
    const micros = Math.min(MICROS_MAX, Math.max(0, Math.round(ms * 1000)));
    this.#counts[bucketOf(micros)]!++;
    this.#total++;
  }

  /** The latency in milliseconds that the fraction `p` (0 to 1) of the samples does not exceed; 0 without samples. */
  percentile(p: number): number {
    if (this.#total === 0) return 0;
    const rank = Math.max(1, Math.ceil(this.#total * p));
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen >= rank) return middleOf(bucket) / 1000;
    }
    return middleOf(BUCKETS - 1) / 1000;
  }
}

function bucketOf(micros: number): number {
  if (micros < SUB_BUCKETS) return micros;
  const shift = 31 - Math.clz32(micros) - SUB_BITS;
  return shift * SUB_BUCKETS + (micros >>> shift);
}

function middleOf(bucket: number): number {
  if (bucket < 2 * SUB_BUCKETS) return bucket;
  const shift = Math.floor(bucket / SUB_BUCKETS) - 1;
  const low = (bucket - shift * SUB_BUCKETS) * 2 ** shift;
  return low + (2 ** shift - 1) / 2;
}
