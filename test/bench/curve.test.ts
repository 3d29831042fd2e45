import assert from "node:assert/strict";
import test from "node:test";
import { formatCurve } from "../../bench/curve-report.ts";
import { curveSeries, microsOfRequest, summarizePoint } from "../../bench/curve.ts";
import type { LoadResult } from "../../bench/load/result.ts";

const RESULT: LoadResult = {
  requests_per_s: 5000,
  events_per_s: 5000,
  mb_per_s: 1,
  p50_ms: 1,
  p99_ms: 2,
  p999_ms: 3,
  errors: 0,
  failed: 0,
  first_error: null,
  client_cores: 0.1,
  server_cores: 0.25,
  rss_mb: 100,
  events_per_cpu_s: 20_000,
  requests_per_cpu_s: 20_000,
};

test("all points of an open series have the same rate, and as much that may wait for an answer", () => {
  for (const { title, loads } of curveSeries(700)) {
    const [first] = loads;
    assert.ok(first !== undefined);
    for (const load of loads) {
      assert.equal(load.rate, first.rate, title);
      assert.ok(load.callers * load.window >= 200, `${title} ${load.at} has few senders`);
      assert.ok(load.connections! <= load.callers, `${title} ${load.at} has connections without a caller`);
    }
  }
});

test("the curve goes from 4 connections to 1,000, and from 1 stream to 10,000 on at most 100 connections", () => {
  const series = curveSeries(1);
  assert.deepEqual(
    series.map(({ title, loads }) => [title, loads.at(0)?.at, loads.at(-1)?.at, loads.at(0)?.rate]),
    [
      ["connections", 4, 1_000, 1],
      ["streams", 1, 10_000, 1],
      ["connections", 4, 1_000, 0],
    ],
  );
  for (const load of series[1]!.loads) assert.ok(load.connections! <= 100 && load.callers === load.at);
});

test("what a target takes at rest is no part of a request's cost", () => {
  assert.equal(microsOfRequest(RESULT, 0), 50);
  assert.equal(microsOfRequest(RESULT, 0.05), 40);
  assert.ok(Number.isNaN(microsOfRequest({ ...RESULT, requests_per_cpu_s: 0 }, 0)));
});

test("a point is set against the first point of its own round", () => {
  const costing = (micros: number) => ({ ...RESULT, requests_per_cpu_s: 1e6 / micros });
  const first = [costing(10), costing(20), costing(40)];
  const point = summarizePoint(40, [costing(11), costing(26), costing(40)], first, 0);
  const rounded = Object.values(point.ratio).map((value) => Number(value.toFixed(6)));
  assert.deepEqual(rounded, [1.1, 1, 1.3]);
  assert.equal(point.micros.toFixed(6), "26.000000");
});

test("the report says which rate was not held", () => {
  const points = [RESULT, { ...RESULT, requests_per_s: 4000 }].map((result, i) =>
    summarizePoint(i, [result], [RESULT], 0),
  );
  const lines = formatCurve({
    target: "service",
    idle_cores: 0.015,
    series: [{ title: "connections", rate: 5000, points }],
    errors: 0,
    failed: 0,
    first_error: null,
  });
  assert.deepEqual(
    lines.map((line) => line.includes("not held")),
    [false, false, false, false, false, true],
  );
  assert.match(lines[0]!, /at rest it takes 1\.50 % of a core/);
});
