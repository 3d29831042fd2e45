import assert from "node:assert/strict";
import test from "node:test";
import { setImmediate } from "node:timers/promises";
import { TIME_BUCKETS } from "../../src/telemetry/histograms.ts";
import type { MetricDefinition, MetricDelta, MetricSnapshot } from "../../src/telemetry/instruments.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { createLedgerMetrics, createMetrics, delta } from "../../src/telemetry/metrics.ts";
import { ProcessMetrics, processDefinitions } from "../../src/telemetry/process.ts";
import { renderMetrics } from "../../src/telemetry/render.ts";
import { SlotMetrics } from "../../src/telemetry/slot.ts";
import { ServiceLedger } from "../../src/supervisor/ledger.ts";
import { scrapeDefinitions, SETTLEMENT } from "../../src/supervisor/metrics.ts";

const define = (
  name: string,
  type: MetricDefinition["type"],
  perWorker: boolean,
  labels: readonly string[] = [],
): MetricDefinition => ({ name, help: `about ${name}`, type, labels, perWorker });

const DEFINITIONS = [
  define("x_total", "counter", true, ["topic"]),
  define("x_failed_total", "counter", true, ["topic", "reason"]),
  define("x_in_flight", "gauge", true, ["topic"]),
  define("y_total", "counter", false),
  define("z_seconds", "histogram", false),
];

const histogram = (bucket: number, sum: number) => [
  ...Array.from({ length: TIME_BUCKETS.length + 1 }, (_, i) => (i === bucket ? 1 : 0)),
  sum,
];

/** Metrics as a new process tells them. */
function told(snapshots: readonly MetricSnapshot[]): MetricDelta[] {
  return snapshots.map(({ name, series }) => ({
    name,
    added: series.map(([labels]) => labels),
    changed: Uint32Array.from(series.keys()),
    values: Float64Array.from(series.flatMap(([, value]) => value)),
    exemplars: [],
    gone: [],
  }));
}

/** The value lines of a scrape. */
async function lines(processes: Readonly<Record<string, readonly MetricSnapshot[]>>): Promise<string[]> {
  const snapshots = Object.entries(processes).map(([worker, metrics]) => ({ worker, metrics }));
  const { body } = await renderMetrics(DEFINITIONS, snapshots, false);
  return body
    .toString()
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
}

test("what a dead process counted stays, what it gauged goes", () => {
  const slot = new SlotMetrics(DEFINITIONS);
  slot.update(
    told([
      { name: "x_total", series: [[["a"], 5]] },
      { name: "x_in_flight", series: [[["a"], 2]] },
      { name: "z_seconds", series: [[[], histogram(3, 0.5)]] },
    ]),
  );
  slot.retire();
  assert.deepEqual(slot.snapshot(), [
    { name: "x_total", series: [[["a"], 5]] },
    { name: "z_seconds", series: [[[], histogram(3, 0.5)]] },
  ]);
  slot.update(
    told([
      {
        name: "x_total",
        series: [
          [["a"], 1],
          [["b"], 1],
        ],
      },
      { name: "x_in_flight", series: [[["a"], 7]] },
      { name: "z_seconds", series: [[[], histogram(3, 0.25)]] },
    ]),
  );
  const twice = histogram(3, 0.75);
  twice[3] = 2;
  assert.deepEqual(slot.snapshot(), [
    {
      name: "x_total",
      series: [
        [["a"], 6],
        [["b"], 1],
      ],
    },
    { name: "z_seconds", series: [[[], twice]] },
    { name: "x_in_flight", series: [[["a"], 7]] },
  ]);
});

test("what was in flight in a dead process is settled as failed", () => {
  const slot = new SlotMetrics(DEFINITIONS, {
    orphans: { gauge: "x_in_flight", counter: "x_failed_total", label: "worker_died" },
    legacy: { found: "x_recovered", left: "x_spooled" },
  });
  slot.update(
    told([
      {
        name: "x_in_flight",
        series: [
          [["a"], 3],
          [["b"], 0],
        ],
      },
    ]),
  );
  assert.equal(slot.retire(), 3);
  assert.equal(slot.retire(), 0);
  assert.deepEqual(slot.snapshot(), [{ name: "x_failed_total", series: [[["a", "worker_died"], 3]] }]);
});

test("what a dead process left in the spool is not counted again when its successor finds it", () => {
  const slot = new SlotMetrics(
    [...DEFINITIONS, define("x_recovered", "gauge", true), define("x_spooled", "gauge", true)],
    {
      orphans: { gauge: "x_in_flight", counter: "x_failed_total", label: "worker_died" },
      legacy: { found: "x_recovered", left: "x_spooled" },
    },
  );
  const recovered = () => slot.snapshot().find(({ name }) => name === "x_recovered")?.series;
  slot.update(
    told([
      { name: "x_recovered", series: [[["a"], 5]] },
      { name: "x_spooled", series: [[["a"], 8]] },
    ]),
  );
  slot.retire();
  assert.deepEqual(recovered(), [[["a"], -3]], "persisted 3 more than it was: until they are found, they are missing");
  slot.update(told([{ name: "x_recovered", series: [[["a"], 8]] }]));
  assert.deepEqual(recovered(), [[["a"], 5]]);
});

test("the ledger of a slot agrees over the deaths of its processes, and what does not add up stays seen", () => {
  const slots = [0, 1].map(() => new SlotMetrics(scrapeDefinitions(), SETTLEMENT));
  const metrics = createLedgerMetrics();
  const ledger = new ServiceLedger(silentLogger(), metrics, slots);
  const worker = () => {
    const process = createMetrics();
    process.eventsReceived.with("a").inc(10);
    process.eventsStored.with("a", "persisted").inc(6);
    process.eventsFailed.with("a", "too_large").inc(1);
    process.eventsInFlight.with("a").inc(3);
    process.eventsForwarded.with("a").inc(2);
    process.eventsSpooled.with("a").inc(4);
    return process;
  };
  const check = () => {
    ledger.check();
    return ledger.findings.map(({ worker, topic, equation }) => [worker, topic, equation]);
  };
  for (const slot of slots) slot.update(delta(worker()));
  assert.deepEqual(check(), []);
  slots[0]!.retire();
  assert.deepEqual(check(), [], "nobody has found yet what it left in the spool");
  const next = worker();
  next.eventsRecovered.with("a").inc(4);
  next.eventsSpooled.with("a").inc(4);
  slots[0]!.update(delta(next));
  assert.deepEqual(check(), []);
  assert.deepEqual(ledger.byTopic().get("a"), {
    received: 30,
    stored: 18,
    failed: 6,
    inFlight: 6,
    persisted: 18,
    recovered: 0,
    forwarded: 6,
    deadLettered: 0,
    spooled: 12,
  });
  next.eventsDeadLettered.with("a").inc(1);
  slots[0]!.update(delta(next));
  const equation = "persisted + recovered = forwarded + dead_lettered + spooled";
  const wrong = [
    ["0", "a", equation],
    ["all", "all topics", equation],
  ];
  assert.deepEqual(check(), wrong);
  slots[0]!.retire();
  assert.deepEqual(check(), wrong);
  assert.equal(metrics.ledgerMismatches.with().value, 2);
  assert.equal(metrics.ledgerChecks.with().value, 5);
});

test("a series that did not change is not pushed again, and its name is pushed once", () => {
  const metrics = createMetrics();
  const pushed = () =>
    delta(metrics).map(({ name, added, changed, values, exemplars, gone }) => ({
      name,
      added,
      changed: [...changed],
      values: [...values],
      exemplars,
      gone,
    }));
  const nothing = { added: [], changed: [], values: [], exemplars: [], gone: [] };
  const name = "sluice_events_received_total";
  metrics.eventsReceived.with("a").inc(2);
  metrics.eventsReceived.with("b").inc(3);
  assert.deepEqual(pushed(), [{ ...nothing, name, added: [["a"], ["b"]], changed: [0, 1], values: [2, 3] }]);
  assert.deepEqual(pushed(), []);
  metrics.eventsReceived.with("b").inc(2);
  assert.deepEqual(pushed(), [{ ...nothing, name, changed: [1], values: [5] }]);
  metrics.eventsReceived.remove("a");
  metrics.eventsReceived.remove("never there");
  metrics.eventsReceived.with("a").inc(1);
  assert.deepEqual(pushed(), [{ ...nothing, name, added: [["a"]], changed: [2], values: [1], gone: [0] }]);
  metrics.eventsReceived.with("c");
  metrics.eventsReceived.remove("c");
  assert.deepEqual(pushed(), [], "it came and went");
  metrics.stage.with("a", "queue").observe(3, { traceId: "t", spanId: "s" });
  const [stage] = pushed();
  assert.equal(stage?.values.length, TIME_BUCKETS.length + 2);
  assert.deepEqual(
    stage?.exemplars.map(([series, of]) => [series, of.map(({ bucket, value, traceId }) => [bucket, value, traceId])]),
    [[0, [[5, 0.003, "t"]]]],
  );
});

test("what is pushed bit by bit adds up to what is there", () => {
  const metrics = createMetrics();
  const slot = new SlotMetrics(scrapeDefinitions());
  const push = () => slot.update(structuredClone(delta(metrics)));
  const has = (name: string) => slot.living(name)?.series ?? [];
  metrics.eventsInFlight.with("a").inc(2);
  metrics.eventsInFlight.with("b").inc(3);
  push();
  metrics.eventsInFlight.with("a").dec(2);
  push();
  assert.deepEqual(has("sluice_events_in_flight"), metrics.eventsInFlight.snapshot().series);
  const before = slot.living("sluice_events_in_flight");
  metrics.eventsReceived.with("c").inc();
  push();
  assert.equal(slot.living("sluice_events_in_flight"), before, "what did not change is the same object");
  metrics.eventsInFlight.remove("a");
  push();
  assert.deepEqual(has("sluice_events_in_flight"), [[["b"], 3]]);
});

test("a metric per worker keeps its workers apart, the others are added up", async () => {
  const of = (x: number, y: number): MetricSnapshot[] => [
    { name: "x_total", series: [[["a"], x]] },
    { name: "y_total", series: [[[], y]] },
  ];
  assert.deepEqual(await lines({ "0": of(1, 10), "1": of(2, 20) }), [
    'x_total{topic="a",worker="0"} 1',
    'x_total{topic="a",worker="1"} 2',
    "y_total 30",
  ]);
});

test("what the dead of a slot counted and what the living one counts is told as one", async () => {
  const slots = [0, 1].map(() => new SlotMetrics(DEFINITIONS));
  const countsOf = (x: number, y: number, topics: readonly string[]) =>
    told([
      { name: "x_total", series: topics.map((topic) => [[topic], x] as const) },
      { name: "y_total", series: [[[], y]] },
      { name: "z_seconds", series: [[[], histogram(0, 0.5)]] },
    ]);
  slots[0]!.update(countsOf(1, 10, ["a", "b"]));
  slots[0]!.retire();
  slots[0]!.update(countsOf(2, 20, ["b", "c"]));
  slots[1]!.update(countsOf(4, 40, ["a"]));
  const processes = slots.flatMap((slot, i) => slot.parts().map((metrics) => ({ worker: String(i), metrics })));
  const { body } = await renderMetrics(DEFINITIONS, processes, false);
  const lines = body.toString().split("\n");
  assert.deepEqual(
    lines.filter((line) => /^x|^y|_count/.test(line)),
    [
      'x_total{topic="a",worker="0"} 1',
      'x_total{topic="b",worker="0"} 3',
      'x_total{topic="c",worker="0"} 2',
      'x_total{topic="a",worker="1"} 4',
      "y_total 70",
      "z_seconds_count 3",
    ],
  );
});

test("a histogram has cumulative buckets, a sum and a count", async () => {
  const got = await lines({
    "0": [{ name: "z_seconds", series: [[[], histogram(1, 0.0002)]] }],
    "1": [{ name: "z_seconds", series: [[[], histogram(TIME_BUCKETS.length, 200)]] }],
  });
  assert.equal(got.length, TIME_BUCKETS.length + 3);
  assert.deepEqual(got.slice(0, 3), [
    'z_seconds_bucket{le="0.0001"} 0',
    'z_seconds_bucket{le="0.0002"} 1',
    'z_seconds_bucket{le="0.0004"} 1',
  ]);
  assert.deepEqual(got.slice(-4), [
    'z_seconds_bucket{le="104.8576"} 1',
    'z_seconds_bucket{le="+Inf"} 2',
    "z_seconds_sum 200.0002",
    "z_seconds_count 2",
  ]);
});

test("label values are escaped", async () => {
  const got = await lines({ "0": [{ name: "x_total", series: [[['a"b\\c\nd'], 1]] }] });
  assert.deepEqual(got, ['x_total{topic="a\\"b\\\\c\\nd",worker="0"} 1']);
});

test("OpenMetrics names a counter without its suffix and ends with EOF", async () => {
  const metrics: MetricSnapshot[] = [{ name: "y_total", series: [[[], 3]] }];
  const { contentType, body } = await renderMetrics(DEFINITIONS, [{ worker: "0", metrics }], true);
  assert.match(contentType, /^application\/openmetrics-text; version=1\.0\.0/);
  assert.deepEqual(body.toString().split("\n"), [
    "# HELP y about y_total",
    "# TYPE y counter",
    "y_total 3",
    "# EOF",
    "",
  ]);
});

test("no two metrics have one name, and every name is legal", () => {
  const names = scrapeDefinitions().map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  for (const { name, type, labels } of scrapeDefinitions()) {
    assert.match(name, /^(sluice|process|nodejs)_[a-z0-9_]+$/);
    assert.equal(name.endsWith("_total"), type === "counter", name);
    for (const label of labels) assert.match(label, /^[a-z_]+$/);
  }
});

test("a process tells its CPU, memory, garbage collections and event loop", async () => {
  const metrics = new ProcessMetrics();
  metrics.start();
  // What the first turns took is forgotten in the second; on a busy machine that may be when the timer fires.
  for (let turns = 0; turns < 3; turns++) await setImmediate();
  await new Promise((resolve) => {
    setTimeout(resolve, 20);
  });
  const endMs = performance.now() + 60;
  let garbage: unknown[] = [];
  while (performance.now() < endMs)
    garbage = Array.from({ length: 20_000 }, (_, i) => ({ i, garbage: garbage.length }));
  // The turn of the loop that was long ends here; garbage collections are told in a later one.
  await new Promise((resolve) => {
    setTimeout(resolve, 20);
  });
  const read = new Map(
    metrics
      .read()
      .snapshot()
      .map(({ name, series }) => [name, series]),
  );
  metrics.stop();
  assert.deepEqual(
    [...read.keys()],
    processDefinitions().map(({ name }) => name),
  );
  const value = (name: string, ...labels: string[]) =>
    Number(read.get(name)?.find(([of]) => of.join() === labels.join())?.[1]);
  assert.ok(value("process_cpu_seconds_total") > 0.05);
  assert.ok(value("process_resident_memory_bytes") > 10e6);
  const own = value("sluice_process_own_memory_bytes");
  assert.ok(own > 5e6 && own < value("process_resident_memory_bytes"), "without the files that are mapped");
  assert.ok(value("sluice_event_loop_delay_seconds", "100") >= 0.059);
  assert.ok(value("sluice_event_loop_delay_seconds", "50") <= value("sluice_event_loop_delay_seconds", "100"));
  const minor = read.get("nodejs_gc_duration_seconds")?.find(([of]) => of[0] === "minor")?.[1];
  assert.ok(Array.isArray(minor) && minor.slice(0, -1).reduce((sum, count) => sum + count, 0) > 0);
});
