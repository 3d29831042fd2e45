import assert from "node:assert/strict";
import test from "node:test";
import { LiveReader } from "../../../src/supervisor/live/reader.ts";
import { TIME_BUCKETS } from "../../../src/telemetry/histograms.ts";
import type { MetricSnapshot } from "../../../src/telemetry/instruments.ts";

type Series = MetricSnapshot["series"];

class Slot {
  readonly now = new Map<string, Series>();
  readonly gone = new Map<string, Series>();
  readonly living = (name: string) => snapshotOf(this.now, name);
  readonly dead = (name: string) => snapshotOf(this.gone, name);

  set(name: string, ...series: Series): void {
    this.now.set(name, series);
  }

  /** Its process dies, and the next one has counted nothing yet. */
  die(): void {
    for (const [name, series] of this.now) if (name.endsWith("_total")) this.gone.set(name, series);
    this.now.clear();
  }
}

function snapshotOf(all: ReadonlyMap<string, Series>, name: string): MetricSnapshot | undefined {
  const series = all.get(name);
  return series === undefined ? undefined : { name, series };
}

/** So many durations of `ms`. */
function histogram(...durations: readonly (readonly [count: number, ms: number])[]): number[] {
  const counts = TIME_BUCKETS.map(() => 0).concat(0);
  let sum = 0;
  for (const [count, ms] of durations) {
    const bucket = TIME_BUCKETS.findIndex((bound) => ms / 1000 <= bound);
    counts[bucket === -1 ? TIME_BUCKETS.length : bucket]! += count;
    sum += (count * ms) / 1000;
  }
  return [...counts, sum];
}

const ELSEWHERE = { ledgerMismatches: 0, queuedBytes: new Map<string, number>() };

test("rates are summed over workers, and none is negative when one dies", () => {
  const [a, b] = [new Slot(), new Slot()];
  const reader = new LiveReader([a, b]);
  const events = (slot: Slot, value: number) => {
    slot.set("sluice_events_received_total", [["t"], value]);
  };
  events(a, 100);
  events(b, 50);
  assert.ok(Number.isNaN(reader.read(0, ELSEWHERE).service.eventsPerSecond));
  events(a, 300);
  events(b, 60);
  assert.equal(reader.read(2000, ELSEWHERE).service.eventsPerSecond, 105);
  a.die();
  assert.equal(reader.read(3000, ELSEWHERE).service.eventsPerSecond, 0);
  events(a, 5);
  assert.equal(reader.read(4000, ELSEWHERE).service.eventsPerSecond, 5);
});

test("stages are of all topics and workers, over five seconds", () => {
  const [a, b] = [new Slot(), new Slot()];
  const reader = new LiveReader([a, b]);
  reader.read(0, ELSEWHERE);
  a.set("sluice_stage_seconds", [["t", "produce"], histogram([98, 3])], [["u", "produce"], histogram([1, 3])]);
  b.set("sluice_stage_seconds", [["t", "produce"], histogram([1, 800])], [["t", "admit"], histogram([10, 1])]);
  const { stages, service } = reader.read(1000, ELSEWHERE);
  assert.ok(Math.abs(stages.produce.mean - (99 * 0.003 + 0.8) / 100) < 1e-9);
  assert.ok(stages.produce.p50 < 0.0033 && stages.produce.p99 <= 0.0033, String(stages.produce.p99));
  assert.equal(service.produceP99, stages.produce.p99);
  assert.ok(Number.isNaN(service.queueP99));
  for (let at = 2000; at <= 8000; at += 1000) reader.read(at, ELSEWHERE);
  assert.ok(Number.isNaN(reader.read(9000, ELSEWHERE).stages.produce.p99), "nothing came for five seconds");
});

test("a broker is silent from when it owes an answer until it gives one", () => {
  const slot = new Slot();
  const reader = new LiveReader([slot]);
  const broker = (inFlight: number, answered: number) => {
    slot.set("sluice_kafka_requests_in_flight", [["a:1"], inFlight]);
    slot.set("sluice_kafka_request_seconds", [["a:1"], histogram([answered, 3])]);
  };
  const silent = (at: number) => reader.read(at, ELSEWHERE).measuredBrokers[0]!.silentSeconds;
  broker(0, 0);
  assert.equal(silent(0), 0);
  broker(3, 0);
  assert.equal(silent(1000), 0);
  assert.equal(silent(4000), 3);
  broker(3, 1);
  assert.equal(silent(5000), 0);
  broker(0, 4);
  assert.equal(silent(9000), 0);
});

test("a worker is blocked from when its batches wait until it answers one, whatever the others do", () => {
  const [a, b] = [new Slot(), new Slot()];
  const reader = new LiveReader([a, b]);
  let answeredByB = 0;
  const blocked = (at: number, waiting: number, answered: number) => {
    a.set("sluice_admission_waiting_batches", [[], waiting]);
    a.set("sluice_batches_total", [["OK"], answered]);
    b.set("sluice_admission_waiting_batches", [[], 0]);
    b.set("sluice_batches_total", [["OK"], (answeredByB += 10)]);
    return reader.read(at, ELSEWHERE).blockedSeconds;
  };
  assert.equal(blocked(0, 0, 5), 0);
  assert.equal(blocked(60_000, 4, 5), 0, "it had nothing to answer for a minute");
  assert.equal(blocked(63_000, 4, 5), 3);
  assert.equal(blocked(64_000, 4, 6), 0);
  assert.equal(blocked(67_000, 0, 6), 0);
});

test("a broker has what waits for it, and what it did", () => {
  const slot = new Slot();
  const reader = new LiveReader([slot]);
  slot.set("sluice_kafka_requests_in_flight", [["a:1"], 2]);
  reader.read(0, ELSEWHERE);
  slot.set("sluice_kafka_sent_bytes_total", [["a:1"], 5000]);
  slot.set("sluice_kafka_errors_total", [["a:1", "NOT_LEADER"], 2], [["a:1", "OTHER"], 1]);
  slot.set("sluice_kafka_disconnects_total", [["a:1"], 1]);
  const values = reader.read(1000, { ledgerMismatches: 0, queuedBytes: new Map([["a:1", 77]]) }).brokers.get("a:1")!;
  assert.deepEqual(
    [values.inFlight, values.sentBytesPerSecond, values.errorsPerSecond, values.queuedBytes],
    [2, 5000, 4, 77],
  );
});

test("gauges are those of living processes, and not known if there is none", () => {
  const [a, b] = [new Slot(), new Slot()];
  const reader = new LiveReader([a, b]);
  a.set("sluice_spool_bytes", [[], 10]);
  b.set("sluice_spool_bytes", [[], 5]);
  a.set("sluice_spool_oldest_age_seconds", [[], 2]);
  b.set("sluice_spool_oldest_age_seconds", [[], 9]);
  const { service } = reader.read(0, { ...ELSEWHERE, ledgerMismatches: 1 });
  assert.deepEqual([service.spoolBytes, service.spoolAgeSeconds], [15, 9]);
  assert.ok(Number.isNaN(service.connections));
});
