import assert from "node:assert/strict";
import test from "node:test";
import { overall } from "../../bench/overall.ts";
import { formatOverall } from "../../bench/report.ts";

function row(median: number, requestsPerSecond: number, more: { broker?: string; rate?: number } = {}) {
  const ratios = [{ of: "service", to: "baseline", median, requestsPerSecond }] as const;
  return { kind: "load", broker: "standin", rate: 0, ratios, ...more } as const;
}

test("all rows of two targets have one geometric mean, of each broker", () => {
  const rows = [row(0.5, 2), row(2, 0.5), row(1, 1, { broker: "kafka" }), { kind: "idle" } as const];
  const all = overall(rows);
  assert.deepEqual(all, [
    { of: "service", to: "baseline", broker: "standin", rows: 2, eventsPerCpuSecond: 1, requestsPerSecond: 1 },
  ]);
  assert.equal(
    formatOverall(all[0]!),
    "all 2 rows (standin), geometric mean: service / baseline: 1.000x events per CPU-second, 1.000x requests a second",
  );
});

test("a row of an open loop does not count, and one row has no mean", () => {
  assert.deepEqual(overall([row(2, 4), row(8, 4, { rate: 2_000 })]), []);
  assert.deepEqual(overall([]), []);
});
