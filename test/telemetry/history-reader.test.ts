import assert from "node:assert/strict";
import test from "node:test";
import { HistoryReader } from "../../src/telemetry/history-reader.ts";
import { quantile } from "../../src/telemetry/quantile.ts";
import type { MetricSnapshot } from "../../src/telemetry/instruments.ts";
import { TIME_BUCKETS, TimeHistogram } from "../../src/telemetry/histograms.ts";

type Series = MetricSnapshot["series"];

/** Metrics that a test changes. */
class Metrics {
  readonly #metrics = new Map<string, MetricSnapshot>();
  set(name: string, ...series: Series): void {
    this.#metrics.set(name, { name, series });
  }
  readonly source = (name: string) => this.#metrics.get(name);
}

test("counters become rates, over whatever time has passed", () => {
  const metrics = new Metrics();
  const reader = new HistoryReader(metrics.source);
  metrics.set("process_cpu_seconds_total", [[], 10]);
  metrics.set("sluice_events_received_total", [["a"], 1_000], [["b"], 500]);
  const first = reader.read(1_000_000);
  assert.ok(Number.isNaN(first.cpu), "since when is not known");
  metrics.set("process_cpu_seconds_total", [[], 11]);
  metrics.set("sluice_events_received_total", [["a"], 1_200], [["b"], 500], [["c"], 100]);
  const second = reader.read(1_002_000);
  assert.equal(second.cpu, 0.5);
  assert.equal(second.eventsPerSecond, 150);
  assert.equal(reader.read(1_003_000).eventsPerSecond, 0);
  assert.ok(Number.isNaN(reader.read(1_003_000).cpu), "no time has passed");
});

test("gauges are sums, and one that the process does not have is not known", () => {
  const metrics = new Metrics();
  const reader = new HistoryReader(metrics.source);
  metrics.set("sluice_kafka_requests_in_flight", [["1"], 2], [["2"], 3]);
  metrics.set("sluice_event_loop_delay_seconds", [["50"], 0.001], [["99"], 0.01], [["100"], 0.2]);
  metrics.set("sluice_kafka_queued_bytes");
  const { kafkaInFlight, eventLoopDelayMax, kafkaQueuedBytes, rssBytes } = reader.read(1);
  assert.equal(kafkaInFlight, 5);
  assert.equal(eventLoopDelayMax, 0.2);
  assert.ok(Number.isNaN(kafkaQueuedBytes));
  assert.ok(Number.isNaN(rssBytes));
});

test("memory of its own is all that is resident where the system does not tell them apart", () => {
  const metrics = new Metrics();
  const reader = new HistoryReader(metrics.source);
  metrics.set("process_resident_memory_bytes", [[], 100]);
  assert.equal(reader.read(1).ownMemoryBytes, 100);
  metrics.set("sluice_process_own_memory_bytes", [[], 60]);
  const { rssBytes, ownMemoryBytes } = reader.read(2);
  assert.deepEqual([rssBytes, ownMemoryBytes], [100, 60]);
});

test("the p99 is of the last seconds' batches, so that answers in bursts do not hide it, and not of all before", () => {
  const metrics = new Metrics();
  const reader = new HistoryReader(metrics.source);
  const histogram = new TimeHistogram();
  const set = () =>
    metrics.set("sluice_stage_seconds", [["a", "queue"], [1]], [["a", "acknowledge"], histogram.snapshot()]);
  for (let i = 0; i < 10_000; i++) histogram.observe(1);
  set();
  reader.read(1_000);
  for (let i = 0; i < 100; i++) histogram.observe(5_000);
  set();
  const isSlow = (p99: number) => p99 > 3 && p99 < 7;
  assert.ok(isSlow(reader.read(2_000).acknowledgedP99));
  for (let atMs = 3_000; atMs <= 6_000; atMs += 1_000)
    assert.ok(isSlow(reader.read(atMs).acknowledgedP99), "a second without an answer has that of those before");
  reader.read(7_000);
  assert.ok(Number.isNaN(reader.read(8_000).acknowledgedP99), "seconds without an answer have none");
});

test("a clock that is set back does not make the p99 that of everything since", () => {
  const metrics = new Metrics();
  const reader = new HistoryReader(metrics.source);
  const histogram = new TimeHistogram();
  const read = (atMs: number) => {
    metrics.set("sluice_stage_seconds", [["a", "acknowledge"], histogram.snapshot()]);
    return reader.read(atMs).acknowledgedP99;
  };
  for (let i = 0; i < 100; i++) histogram.observe(5_000);
  read(3_600_000);
  for (let i = 0; i < 100; i++) histogram.observe(5_000);
  read(3_601_000);
  for (let i = 0; i < 100; i++) histogram.observe(1);
  read(1_000);
  for (let atMs = 2_000; atMs <= 8_000; atMs += 1_000) {
    for (let i = 0; i < 100; i++) histogram.observe(1);
    assert.ok(read(atMs) < 0.1, String(atMs));
  }
});

test("a quantile is interpolated within its bucket, and never beyond the last bound", () => {
  const counts = Array.from({ length: TIME_BUCKETS.length + 1 }, () => 0);
  counts[3] = 100;
  const [below, bound] = [TIME_BUCKETS[2]!, TIME_BUCKETS[3]!];
  assert.ok(Math.abs(quantile(0.5, counts) - (below + bound) / 2) < 1e-12);
  assert.ok(Math.abs(quantile(1, counts) - bound) < 1e-12);
  counts[3] = 1;
  counts[TIME_BUCKETS.length] = 99;
  assert.equal(quantile(0.99, counts), TIME_BUCKETS.at(-1));
  counts.fill(0)[0] = 4;
  assert.equal(quantile(0.5, counts), TIME_BUCKETS[0]! / 2);
  assert.ok(Number.isNaN(quantile(0.99, counts.fill(0))));
});

test("work is priced, so that CPU which it explains can be told from other", () => {
  const metrics = new Metrics();
  const reader = new HistoryReader(metrics.source, { batch: 1, event: 0.1, byte: 0.01, call: 2, connection: 5 });
  reader.read(1_000);
  metrics.set("sluice_batches_total", [["OK"], 2]);
  metrics.set("sluice_events_received_total", [["t"], 10]);
  metrics.set("sluice_events_forwarded_total", [["t"], 20]);
  metrics.set("sluice_publish_bytes_total", [[], 100]);
  metrics.set("sluice_grpc_calls_total", [["Publish", "OK"], 3]);
  metrics.set("sluice_grpc_connections_opened_total", [[], 1]);
  assert.equal(reader.read(2_000).cpuOfLoad, 2 + 1 + 2 + 1 + 6 + 5);
});

test("the error ratio is the larger share: of batches that were refused, or of events that failed", () => {
  const metrics = new Metrics();
  const reader = new HistoryReader(metrics.source);
  reader.read(1_000);
  metrics.set("sluice_batches_total", [["OK"], 90], [["RESOURCE_EXHAUSTED"], 10]);
  metrics.set("sluice_events_stored_total", [["t", "replicated"], 75]);
  metrics.set("sluice_events_failed_total", [["t", "rejected"], 20], [["t", "too_large"], 5]);
  const { errorRatio, errorsPerSecond } = reader.read(2_000);
  assert.equal(errorRatio, 0.25);
  assert.equal(errorsPerSecond, 35);
  assert.equal(reader.read(3_000).errorRatio, 0);
});
