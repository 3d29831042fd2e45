import assert from "node:assert/strict";
import test from "node:test";
import { formatLatencies, formatRatio, formatWorkers } from "../../bench/report.ts";

const at = (target: "service" | "naive" | "grpc-js", p50_ms: number, p99_ms: number) => ({ target, p50_ms, p99_ms });

test("the service's p99 is set against the naive assembly's p50 and 5 ms", () => {
  assert.deepEqual(formatLatencies([at("service", 1, 6.5), at("naive", 2, 30)]), [
    "  p99 of service 6.50 ms: within p50 of naive + 5 ms = 7.00 ms",
  ]);
  assert.deepEqual(formatLatencies([at("naive", 2, 30), at("service", 1, 7.5)]), [
    "  p99 of service 7.50 ms: above p50 of naive + 5 ms = 7.00 ms",
  ]);
});

test("without one of the two there is nothing to set it against", () => {
  assert.deepEqual(formatLatencies([at("service", 1, 2), at("grpc-js", 1, 2)]), []);
});

test("what a worker takes is the median of its rounds, and set against the other services", () => {
  assert.deepEqual(
    formatWorkers([
      { target: "service", worker_rss_mb: [120, 119, 140] },
      { target: "baseline", worker_rss_mb: [100.5, 100.5, 90] },
      { target: "naive", worker_rss_mb: [] },
    ]),
    ["  resident, a worker: service 120.0 MB, baseline 100.5 MB; service - baseline: +19.5 MB"],
  );
  assert.deepEqual(formatWorkers([{ target: "naive", worker_rss_mb: [] }]), []);
});

test("a ratio says how sure it is, of what, and why not", () => {
  const ratio = { of: "service", to: "baseline", median: 0.987, min: 0.85, max: 1.2 } as const;
  const interval = { low: 0.9701, high: 1.0049 };
  const line = (sure: string) =>
    `  service / baseline: 0.987x events per CPU-second (${sure}; rounds 0.850x to 1.200x)`;
  assert.equal(formatRatio({ ...ratio, interval }, 5), line("95 % sure: 0.970x to 1.005x"));
  assert.equal(formatRatio({ ...ratio, interval }, 1), line("95 % sure for this start: 0.970x to 1.005x"));
  assert.equal(formatRatio({ ...ratio, interval: undefined }, 1), line("not sure: fewer than 5 rounds"));
  assert.equal(formatRatio({ ...ratio, interval: undefined }, 4), line("not sure: fewer than 5 starts"));
});

test("a ratio of two that differ much needs no thousandths", () => {
  const ratio = { of: "service", to: "naive", median: 21.15, interval: undefined, min: 16.33, max: 23.44 } as const;
  assert.match(formatRatio(ratio, 1), /: 21\.15x .*; rounds 16\.33x to 23\.44x\)$/);
});
