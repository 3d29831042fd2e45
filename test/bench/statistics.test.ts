import assert from "node:assert/strict";
import test from "node:test";
import { Histogram } from "../../bench/load/histogram.ts";
import { median } from "../../bench/statistics.ts";

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
