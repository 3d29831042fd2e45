import assert from "node:assert/strict";
import test from "node:test";
import { ratio } from "../../bench/rows.ts";

const rounds = (...perSecond: number[]) =>
  perSecond.map((requests_per_s) => ({ requests_per_s, events_per_cpu_s: 120 / requests_per_s }));

test("a ratio is the median of the pairs of all starts, each round against the one beside it", () => {
  const ours = [rounds(10, 20, 30), rounds(10, 10, 40)];
  const theirs = [rounds(10, 10, 10), rounds(20, 20, 20)];
  assert.deepEqual(ratio("service", "baseline", ours, theirs), {
    of: "service",
    to: "baseline",
    median: 0.75,
    interval: undefined,
    min: 1 / 3,
    max: 2,
    requestsPerSecond: 1.5,
  });
  assert.equal(ratio("service", "baseline", [rounds(10, 20, 30)], [rounds(10, 10, 10)]).requestsPerSecond, 2);
  assert.equal(ratio("service", "baseline", [rounds(10, 10, 40)], [rounds(20, 20, 20)]).requestsPerSecond, 0.5);
});
