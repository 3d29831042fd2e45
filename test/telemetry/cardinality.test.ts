// Series are bounded, whatever names clients come with, and no number is lost by that.

import assert from "node:assert/strict";
import test from "node:test";
import { Callers } from "../../src/grpc/callers.ts";
import { CallerConnections } from "../../src/grpc/native/caller-connections.ts";
import { SETTLEMENT, SupervisorMetrics } from "../../src/supervisor/metrics.ts";
import type { MetricSnapshot } from "../../src/telemetry/instruments.ts";
import { LabelLimit, OTHER } from "../../src/telemetry/label-limit.ts";
import { ledgersByTopic, mismatches, sumOfLedgers } from "../../src/telemetry/ledger.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { createMetrics, definitions, delta, snapshot, type Metrics } from "../../src/telemetry/metrics.ts";
import { SlotMetrics } from "../../src/telemetry/slot.ts";

const TOPICS_MAX = 20;
const LIMITS = { topicsMax: TOPICS_MAX, callersMax: 5 };

/** What happens to topics [from, to): every one has events in each of the ledger's places. */
function work(metrics: Metrics, from: number, to: number): number {
  let received = 0;
  for (let i = from; i < to; i++) {
    const topic = `topic-${i}`;
    metrics.eventsReceived.with(topic).inc(10 + i);
    metrics.eventsStored.with(topic, "replicated").inc(i);
    metrics.eventsStored.with(topic, "persisted").inc(6);
    metrics.eventsFailed.with(topic, "too_large").inc(1);
    metrics.eventsInFlight.with(topic).inc(3);
    metrics.eventsForwarded.with(topic).inc(2);
    metrics.eventsSpooled.with(topic).inc(4);
    metrics.stage.with(topic, "acknowledge").observe(1);
    metrics.recordBatchBytes.with(topic).observe(100);
    received += 10 + i;
  }
  return received;
}

const topicsOf = (metrics: Iterable<MetricSnapshot>, name: string) =>
  new Set([...metrics].find((metric) => metric.name === name)?.series.map(([[topic]]) => topic));

test("thousands of topics have as many series as are allowed, and the ledger holds for each and for other", () => {
  const metrics = createMetrics(LIMITS);
  const received = work(metrics, 0, 5_000);
  for (const { name, series } of snapshot(metrics)) assert.ok(series.length <= 2 * (TOPICS_MAX + 1), name);
  const ledgers = ledgersByTopic(snapshot(metrics));
  assert.deepEqual([...ledgers.keys()], [...Array.from({ length: TOPICS_MAX }, (_, i) => `topic-${i}`), OTHER]);
  for (const [topic, ledger] of ledgers) assert.deepEqual(mismatches(ledger), [], topic);
  assert.equal(sumOfLedgers(ledgers.values()).received, received);
  const stages = metrics.stage.snapshot().series.map(([, value]) => (value as number[]).slice(0, -1));
  assert.equal(
    stages.flat().reduce((sum, count) => sum + count, 0),
    5_000,
    "every observation is in some series",
  );
});

test("names that the service gives itself are always told, and a topic that is called other is counted with the others", () => {
  const limit = new LabelLimit(1);
  assert.deepEqual(
    ["a", "b", "(unknown)", "other", "a"].map((name) => limit.of(name)),
    ["a", OTHER, "(unknown)", OTHER, "a"],
  );
  assert.equal(limit.size, 1);
});

test("workers with different topics do not add up to more series, over their deaths too, and the ledger holds", async () => {
  const supervisor = new SupervisorMetrics(silentLogger(), {
    ...LIMITS,
    workers: 3,
    up: () => true,
    ports: () => undefined,
  });
  let received = 0;
  for (let life = 0; life < 4; life++) {
    for (let worker = 0; worker < 3; worker++) {
      const metrics = createMetrics(LIMITS);
      const from = 1_000 * life + 100 * worker;
      received += work(metrics, from, from + 60);
      supervisor.slot(worker).update(structuredClone(delta(metrics)));
      supervisor.ledger.check();
      assert.deepEqual(supervisor.ledger.findings, []);
      if (life < 3) supervisor.slot(worker).retire();
    }
  }
  const { body } = await supervisor.render(false);
  const lines = body.toString().split("\n");
  const topics = new Set(lines.flatMap((line) => /topic="([^"]*)"/.exec(line)?.[1] ?? []));
  assert.equal(topics.size, TOPICS_MAX + 1);
  const series = lines.filter((line) => line.startsWith("sluice_events_received_total{"));
  assert.ok(series.length <= 3 * (TOPICS_MAX + 1));
  assert.equal(
    series.reduce((sum, line) => sum + Number(line.split(" ")[1]), 0),
    received,
  );
});

test("what a series has counted stays until no worker has it, and then goes from all at once", () => {
  const all = definitions(createMetrics());
  const forgotten: string[] = [];
  const workers = [0, 1].map(() => createMetrics());
  const slots: SlotMetrics[] = workers.map(
    () => new SlotMetrics(all, SETTLEMENT, {}, ({ name }, labels) => forgotten.push(`${name} ${labels.join()}`)),
  );
  const push = () => {
    for (const [i, metrics] of workers.entries()) slots[i]!.update(structuredClone(delta(metrics)));
  };
  for (const metrics of workers) metrics.recordBatches.with("t", "idle").inc(5);
  push();
  workers[0]!.recordBatches.removeAll("topic", "t");
  push();
  assert.deepEqual(forgotten, ["sluice_record_batches_total t,idle"]);
  assert.ok(topicsOf(slots[0]!.snapshot(), "sluice_record_batches_total").has("t"), "the sum does not fall");
  workers[0]!.recordBatches.with("t", "idle").inc(1);
  push();
  const [series] = slots[0]!.snapshot().find(({ name }) => name === "sluice_record_batches_total")!.series;
  assert.deepEqual(series, [["t", "idle"], 6]);
  slots[0]!.forget("sluice_record_batches_total", 0, "t");
  assert.deepEqual(slots[0]!.snapshot().find(({ name }) => name === "sluice_record_batches_total")!.series, [
    [["t", "idle"], 1],
  ]);
});

test("callers beyond the limit are counted together, and one that is gone for a while gives its place away", () => {
  const metrics = createMetrics(LIMITS);
  const callers = new Callers(metrics);
  const connections = new CallerConnections(metrics);
  for (let i = 0; i < 2_000; i++) {
    connections.opened(`10.0.${i >> 8}.${i & 255}:5000`);
    const caller = callers.of(`10.0.${i >> 8}.${i & 255}:5000`);
    caller.requests.inc();
    caller.events.inc(3);
  }
  const told = () => metrics.grpcCallerEvents.snapshot().series.map(([[caller], events]) => [caller, events]);
  assert.deepEqual(told(), [...Array.from({ length: 5 }, (_, i) => [`10.0.0.${i}`, 3]), [OTHER, 3 * 1_995]]);
  assert.equal(metrics.grpcCallerConnections.with(OTHER).value, 1_995);
  // Two are gone, one of them has a call that is still open.
  for (const i of [1, 2]) connections.closed(`10.0.0.${i}:5000`);
  callers.of("10.0.0.2:5000").openCalls += 1;
  for (let second = 0; second < 400; second++) callers.retireGone();
  assert.deepEqual(
    told().map(([caller]) => caller),
    ["10.0.0.0", "10.0.0.2", "10.0.0.3", "10.0.0.4", OTHER],
  );
  callers.of("10.0.7.7:1").requests.inc();
  connections.closed("10.0.1.1:5000");
  assert.equal(metrics.grpcCallerConnections.with(OTHER).value, 1_994, "taken off where it was added");
  assert.ok(told().some(([caller]) => caller === "10.0.7.7"));
});

test("a caller that connects and never calls gives its place away, too", () => {
  const metrics = createMetrics(LIMITS);
  const callers = new Callers(metrics);
  const connections = new CallerConnections(metrics);
  for (let i = 0; i < 5; i++) {
    connections.opened(`10.0.0.${i}:5000`);
    if (i > 0) connections.closed(`10.0.0.${i}:5000`);
  }
  for (let second = 0; second < 400; second++) callers.retireGone();
  const told = metrics.grpcCallerConnections.snapshot().series.map(([[caller]]) => caller);
  assert.deepEqual(told, ["10.0.0.0"], "its connection is still open");
  assert.equal(callers.of("10.0.1.1:5000").label, "10.0.1.1");
});

/** The batches of each caller that is told by name, and of the others. */
async function callersTold(supervisor: SupervisorMetrics): Promise<Map<string, number>> {
  const { body } = await supervisor.render(false);
  const told = body.toString().matchAll(/^sluice_grpc_caller_requests_total\{caller="([^"]*)"\} (\d+)$/gm);
  return new Map(Array.from(told, ([, caller = "", value]) => [caller, Number(value)]));
}

const supervisorOf = (workers: number) =>
  new SupervisorMetrics(silentLogger(), { ...LIMITS, workers, up: () => true, ports: () => undefined });

function callBy(metrics: Metrics, ...callers: readonly string[]): void {
  for (const caller of callers) metrics.grpcCallerRequests.with(caller).inc(10);
}

test("what callers beyond the limit of all workers have counted stays with other when there is a place", async () => {
  const supervisor = supervisorOf(2);
  const workers = [0, 1].map(() => createMetrics(LIMITS));
  const push = () => {
    for (const [i, metrics] of workers.entries()) supervisor.slot(i).update(structuredClone(delta(metrics)));
  };
  callBy(workers[0]!, "a", "b", "c", "d", "e");
  callBy(workers[1]!, "v", "w", "x", "y", "z");
  push();
  assert.equal((await callersTold(supervisor)).get(OTHER), 50);
  workers[0]!.grpcCallerRequests.release("caller", "a");
  workers[0]!.grpcCallerRequests.remove("a");
  push();
  const beforeAnother = { b: 10, c: 10, d: 10, e: 10, [OTHER]: 50 };
  assert.deepEqual(Object.fromEntries(await callersTold(supervisor)), beforeAnother);
  // Another one has the place.
  callBy(workers[0]!, "new");
  workers[1]!.grpcCallerRequests.remove("z");
  push();
  const told = await callersTold(supervisor);
  assert.equal(told.get("new"), 10);
  assert.equal(told.get(OTHER), 50, "what was counted under it does not go with one of them");
});

test("callers of a worker that died keep their counts for a while, and give their places away if they do not come back", async () => {
  const supervisor = supervisorOf(1);
  const pass = (seconds: number) => {
    for (let second = 0; second < seconds; second++) supervisor.retireCallers();
  };
  const first = createMetrics(LIMITS);
  callBy(first, "a", "b", "c", "d", "e");
  supervisor.slot(0).update(structuredClone(delta(first)));
  supervisor.slot(0).retire();
  pass(200);
  const second = createMetrics(LIMITS);
  callBy(second, "a");
  supervisor.slot(0).update(structuredClone(delta(second)));
  pass(50);
  assert.deepEqual(Object.fromEntries(await callersTold(supervisor)), { a: 20, b: 10, c: 10, d: 10, e: 10 });
  pass(100);
  callBy(second, "f");
  supervisor.slot(0).update(structuredClone(delta(second)));
  assert.deepEqual(Object.fromEntries(await callersTold(supervisor)), { a: 20, f: 10 });
});
