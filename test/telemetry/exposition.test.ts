// Both formats, against prom-client, which many scrapers have read for years.

import assert from "node:assert/strict";
import test from "node:test";
import prom from "prom-client";
import { powersOfTwo, SizeHistogram, TIME_BUCKETS, TimeHistogram } from "../../src/telemetry/histograms.ts";
import type { MetricDefinition, MetricSnapshot } from "../../src/telemetry/instruments.ts";
import { LabelLimit } from "../../src/telemetry/label-limit.ts";
import { renderMetrics } from "../../src/telemetry/render.ts";
import { TextBuffer } from "../../src/telemetry/text-buffer.ts";

const SIZES = powersOfTwo(8, 12);
const define = (
  name: string,
  type: MetricDefinition["type"],
  labels: readonly string[] = [],
  bounds: readonly number[] = TIME_BUCKETS,
): MetricDefinition => ({
  name,
  help: `What "${name}" is\\was,\nin two lines.`,
  type,
  labels,
  perWorker: false,
  ...(type === "histogram" ? { bounds } : {}),
});
const DEFINITIONS = [
  define("a_total", "counter", ["topic", "reason"]),
  define("b", "gauge"),
  define("c_seconds", "histogram", ["topic"]),
  define("d_bytes", "histogram", [], SIZES),
];
const VALUES = [
  0,
  1,
  9,
  10,
  99_999,
  2 ** 31,
  2 ** 53 - 1,
  2 ** 53,
  0.1,
  1e-9,
  1e21,
  -1,
  -0.5,
  Infinity,
  -Infinity,
  NaN,
];

async function render(metrics: readonly MetricSnapshot[], openMetrics: boolean): Promise<string> {
  const { body } = await renderMetrics(DEFINITIONS, [{ worker: "0", metrics }], openMetrics);
  return body.toString();
}

test("what prom-client says of the same numbers is said here, line by line", async () => {
  const registry = new prom.Registry();
  const registers = [registry];
  const help = (name: string) => DEFINITIONS.find((definition) => definition.name === name)!.help;
  const a = new prom.Counter({ name: "a_total", help: help("a_total"), labelNames: ["topic", "reason"], registers });
  const b = new prom.Gauge({ name: "b", help: help("b"), registers });
  const c = new prom.Histogram({
    name: "c_seconds",
    help: help("c_seconds"),
    labelNames: ["topic"],
    buckets: [...TIME_BUCKETS],
    registers,
  });
  const d = new prom.Histogram({ name: "d_bytes", help: help("d_bytes"), buckets: [...SIZES], registers });
  const [time, size] = [new TimeHistogram(), new SizeHistogram(SIZES)];
  for (const ms of [0.01, 0.1, 0.11, 3, 47, 104_857.6, 104_858, 1e9]) {
    c.observe({ topic: "t" }, ms / 1000);
    time.observe(ms);
  }
  for (const bytes of [0, 1, 256, 257, 4_096, 4_097, 2 ** 40]) {
    d.observe(bytes);
    size.observe(bytes);
  }
  const odd = 'q"uote\\back\nline é 漢 🙂';
  a.inc({ topic: odd, reason: "x" }, 3);
  a.inc({ topic: "", reason: "y" }, 2.5);
  b.set(12);
  const metrics: MetricSnapshot[] = [
    {
      name: "a_total",
      series: [
        [[odd, "x"], 3],
        [["", "y"], 2.5],
      ],
    },
    { name: "b", series: [[[], 12]] },
    { name: "c_seconds", series: [[["t"], time.snapshot()]] },
    { name: "d_bytes", series: [[[], size.snapshot()]] },
  ];
  // It tells `le` first, and leaves an empty line between metrics.
  const told = (text: string) =>
    text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.replace(/\{(le="[^"]*"),([^}]*)\}/, "{$2,$1}"));
  assert.deepEqual(told(await render(metrics, false)), told(await registry.metrics()));
});

test("numbers are written as Go reads them", () => {
  const out = new TextBuffer(1);
  for (const value of VALUES) {
    out.number(value);
    out.text(" ");
  }
  const words = out.view().toString().trimEnd().split(" ");
  assert.deepEqual(
    words.map((word) => Number(word.replace("Inf", "Infinity"))),
    VALUES,
  );
  assert.deepEqual(words.slice(0, 5), ["0", "1", "9", "10", "99999"]);
  assert.deepEqual(words.slice(-3), ["+Inf", "-Inf", "NaN"]);
});

test("an exemplar stands behind its bucket in OpenMetrics, and in text there is none", async () => {
  const histogram = new TimeHistogram();
  const trace = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" };
  histogram.observe(0.15);
  histogram.observe(0.3, { ...trace, traceId: "f".repeat(32) });
  histogram.observe(0.35, trace);
  const exemplars = histogram.exemplars()!;
  const metrics: MetricSnapshot[] = [{ name: "c_seconds", series: [[["t"], histogram.snapshot(), exemplars]] }];
  const { atMs } = exemplars[0]!;
  const bucket = 'c_seconds_bucket{topic="t",le="0.0004"} 3';
  const lines = (await render(metrics, true)).split("\n");
  assert.deepEqual(
    lines.filter((line) => line.includes("trace_id")),
    [`${bucket} # {trace_id="${trace.traceId}",span_id="${trace.spanId}"} 0.00035 ${atMs / 1000}`],
  );
  assert.ok((await render(metrics, false)).split("\n").includes(bucket));
});

test("the newest exemplar of each bucket is told of all workers", async () => {
  const value = new TimeHistogram().snapshot();
  const exemplar = (bucket: number, atMs: number, traceId: string) => ({
    bucket,
    atMs,
    traceId,
    spanId: "s",
    value: 1,
  });
  const processes = [
    [exemplar(1, 10, "old"), exemplar(2, 10, "only")],
    [exemplar(1, 20, "new"), exemplar(5, 1, "other")],
  ].map((exemplars, worker) => ({
    worker: String(worker),
    metrics: [{ name: "c_seconds", series: [[["t"], value, exemplars] as const] }],
  }));
  const { body } = await renderMetrics(DEFINITIONS, processes, true);
  assert.deepEqual(
    Array.from(body.toString().matchAll(/trace_id="(\w+)"/g), ([, traceId]) => traceId),
    ["new", "only", "other"],
  );
});

test("whole bounds have a fraction in OpenMetrics, where le is a canonical number", async () => {
  const metrics: MetricSnapshot[] = [{ name: "d_bytes", series: [[[], new SizeHistogram(SIZES).snapshot()]] }];
  assert.match(await render(metrics, true), /^d_bytes_bucket\{le="256\.0"\} 0$/m);
  assert.match(await render(metrics, false), /^d_bytes_bucket\{le="256"\} 0$/m);
});

test("a long scrape lets others have their turn", async () => {
  const series = Array.from({ length: 20_000 }, (_, i) => [[`topic-${i}`], new TimeHistogram().snapshot()] as const);
  let turns = 0;
  const count = setInterval(() => turns++, 0);
  await render([{ name: "c_seconds", series }], false);
  clearInterval(count);
  assert.ok(turns > 3, `${turns} turns`);
});

test("series that are told together are added up, of each worker and of all", async () => {
  const limits = { topic: new LabelLimit(1) };
  const definitions = [
    { ...define("a_total", "counter", ["topic"]), perWorker: true },
    define("b", "gauge", ["topic"]),
  ];
  const of = (worker: string, ...topics: readonly string[]) => ({
    worker,
    metrics: ["a_total", "b"].map((name) => ({ name, series: topics.map((topic) => [[topic], 1] as const) })),
  });
  const processes = [of("0", "t", "u", "v"), of("1", "v", "w", "other")];
  const { body } = await renderMetrics(definitions, processes, false, limits);
  assert.deepEqual(
    body
      .toString()
      .split("\n")
      .filter((line) => /^[ab]/.test(line)),
    [
      'a_total{topic="t",worker="0"} 1',
      'a_total{topic="other",worker="0"} 2',
      'a_total{topic="other",worker="1"} 3',
      'b{topic="t"} 1',
      'b{topic="other"} 5',
    ],
  );
});
