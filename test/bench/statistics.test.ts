import assert from "node:assert/strict";
import test from "node:test";
import { Histogram } from "../../bench/load/histogram.ts";
import { median, medianInterval } from "../../bench/statistics.ts";
import { mulberry32 } from "../../scripts/random.ts";

/** Rounds of starts: noise of each start, and of each round. */
function measurements(random: () => number, starts: number, rounds: number, between: number, within: number) {
  // Irwin-Hall: near enough to a normal distribution of deviation 1.
  const noise = () => Array.from({ length: 12 }, random).reduce((sum, value) => sum + value, -6);
  return Array.from({ length: starts }, () => {
    const start = 1 + between * noise();
    return Array.from({ length: rounds }, () => start + within * noise());
  });
}

const widthOf = (starts: readonly (readonly number[])[]) => {
  const interval = medianInterval(starts);
  assert.ok(interval !== undefined);
  return interval.high - interval.low;
};

test("a percentile is the sample at its rank, to the width of a bucket", () => {
  const histogram = new Histogram();
  const samples = Array.from({ length: 10_000 }, (_, i) => ((i * 7919) % 10_000) * 0.013 + 0.002);
  for (const sample of samples) histogram.record(sample);
  const sorted = samples.toSorted((a, b) => a - b);
  for (const p of [0.01, 0.5, 0.9, 0.99, 0.999, 1]) {
    const exact = sorted[Math.ceil(p * sorted.length) - 1]!;
    const error = Math.abs(histogram.percentile(p) - exact) / exact;
    assert.ok(error <= 1 / 64, `p${p * 100}: ${histogram.percentile(p)} instead of ${exact}`);
  }
  assert.equal(histogram.total, 10_000);
});

test("latencies below 128 microseconds are exact", () => {
  for (const micros of [0, 1, 63, 64, 127]) {
    const histogram = new Histogram();
    histogram.record(micros / 1000);
    assert.equal(histogram.percentile(0.5), micros / 1000);
  }
});

test("a latency beyond the range counts as the largest, a negative one as none", () => {
  const histogram = new Histogram();
  histogram.record(1e12);
  histogram.record(-1);
  assert.ok(histogram.percentile(1) > 2_000_000);
  assert.equal(histogram.percentile(0.5), 0);
});

test("a histogram without samples says 0", () => {
  assert.equal(new Histogram().percentile(0.99), 0);
});

test("the median is the middle, or the middle of the two in the middle", () => {
  assert.equal(median([3]), 3);
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([4, 100, 1, 2]), 3);
  assert.throws(() => median([]), RangeError);
});

test("the interval holds the true median about as often as it says, with starts that differ and without", () => {
  const random = mulberry32(3);
  for (const [starts, rounds, between] of [
    [5, 4, 0.03],
    [8, 4, 0.03],
    [8, 4, 0],
    [1, 12, 0],
  ] as const) {
    const runs = 100;
    let held = 0;
    for (let run = 0; run < runs; run++) {
      const { low, high } = medianInterval(measurements(random, starts, rounds, between, 0.06))!;
      if (low <= 1 && 1 <= high) held += 1;
    }
    assert.ok(held >= 89, `${held} of ${runs} with ${starts} starts of ${rounds} rounds that differ by ${between}`);
  }
});

test("rounds of starts that differ make a median less sure than as many independent ones", () => {
  const starts = measurements(mulberry32(5), 8, 8, 0.05, 0.01);
  assert.ok(widthOf(starts) > 1.5 * widthOf([starts.flat()]));
});

test("more starts make a median surer, more rounds of the same hardly", () => {
  const width = (starts: number, rounds: number) => widthOf(measurements(mulberry32(5), starts, rounds, 0.05, 0.01));
  assert.ok(width(32, 4) < 0.7 * width(8, 4));
  assert.ok(width(8, 16) > 0.7 * width(8, 4));
});

test("an interval is around the median, within the range, and the same each time", () => {
  const starts = measurements(mulberry32(7), 6, 3, 0.03, 0.06);
  const interval = medianInterval(starts);
  assert.ok(interval !== undefined);
  const middle = median(starts.flat());
  assert.ok(interval.low < middle && middle < interval.high);
  assert.ok(interval.low >= Math.min(...starts.flat()) && interval.high <= Math.max(...starts.flat()));
  assert.deepEqual(medianInterval(starts), interval);
  assert.deepEqual(medianInterval([[2, 2, 2, 2, 2]]), { low: 2, high: 2 });
});

test("of fewer than five starts, or five rounds of the only one, nothing is sure", () => {
  assert.equal(medianInterval([]), undefined);
  assert.equal(medianInterval([[1]]), undefined);
  assert.equal(medianInterval([[1, 2, 3, 4]]), undefined);
  assert.equal(medianInterval(measurements(mulberry32(1), 4, 100, 0.03, 0.06)), undefined);
  assert.notEqual(medianInterval([[1, 2, 3, 4, 5]]), undefined);
  assert.notEqual(medianInterval([[1], [2], [3], [4], [5]]), undefined);
});
