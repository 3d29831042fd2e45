// What a scrape of many topics and workers costs: rendering it in both formats, in all and in the longest slice, and what the
// push of everything that changed in a second costs a worker and the supervisor.
//
// Usage: node bench/micro/scrape.ts [--topics 500] [--workers 8] [--rounds 9]

import { parseArgs } from "node:util";
import { deserialize, serialize } from "node:v8";
import { createMetrics, definitions, delta, type Metrics } from "../../src/telemetry/metrics.ts";
import { renderMetrics } from "../../src/telemetry/render.ts";
import { SlotMetrics } from "../../src/telemetry/slot.ts";

const { values } = parseArgs({
  options: {
    topics: { type: "string", default: "500" },
    workers: { type: "string", default: "8" },
    rounds: { type: "string", default: "9" },
  },
});
const [topics, workers, rounds] = [Number(values.topics), Number(values.workers), Number(values.rounds)];

/** A second's work for every topic. */
function work(metrics: Metrics): void {
  for (let topic = 0; topic < topics; topic++) {
    const name = `service.events.topic-${topic}`;
    metrics.eventsReceived.with(name).inc(100);
    metrics.eventsStored.with(name, "replicated").inc(60);
    metrics.eventsStored.with(name, "persisted").inc(40);
    metrics.eventsInFlight.with(name).set(topic % 7);
    for (const stage of ["admit", "queue", "produce", "acknowledge"])
      for (let i = 0; i < 20; i++) metrics.stage.with(name, stage).observe(Math.random() * 2 ** (i % 12));
    for (const cause of ["idle", "linger"]) metrics.recordBatches.with(name, cause).inc(3);
    for (let i = 0; i < 10; i++) metrics.recordBatchBytes.with(name).observe(100 << i);
    for (let i = 0; i < 10; i++) metrics.recordBatchRecords.with(name).observe(1 << i);
    metrics.eventsSpooled.with(name).set(topic % 3);
    metrics.eventsForwarded.with(name).inc(40);
  }
}

/** Tells for how long at most others had to wait for their turn of the event loop. */
async function watch(state: { isOver: boolean; longest: number }): Promise<void> {
  for (let lastMs = performance.now(); !state.isOver;) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    const nowMs = performance.now();
    state.longest = Math.max(state.longest, nowMs - lastMs);
    lastMs = nowMs;
  }
}

function median(times: readonly number[]): string {
  return `${[...times].sort((a, b) => a - b)[times.length >> 1]!.toFixed(1)} ms`;
}

const all = Array.from({ length: workers }, () => createMetrics({ topicsMax: topics, callersMax: 100 }));
const slots = all.map((metrics) => new SlotMetrics(definitions(metrics)));
const push = { worker: [] as number[], supervisor: [] as number[], bytes: 0 };
for (let round = 0; round < rounds; round++) {
  for (const [i, metrics] of all.entries()) {
    work(metrics);
    const startMs = performance.now();
    const message = serialize(delta(metrics));
    const sentMs = performance.now();
    slots[i]!.update(deserialize(message) as ReturnType<typeof delta>);
    push.worker.push(sentMs - startMs);
    push.supervisor.push(performance.now() - sentMs);
    push.bytes = message.length;
  }
}
console.log(`push of all that ${topics} topics have: ${push.bytes} bytes`);
console.log(`  a worker makes it in ${median(push.worker)}, the supervisor takes it in ${median(push.supervisor)}`);
const idle: number[] = [];
for (let round = 0; round < rounds; round++) {
  const startMs = performance.now();
  serialize(delta(all[0]!));
  idle.push(performance.now() - startMs);
}
console.log(`  when nothing has changed, a worker finds that out in ${median(idle)}`);

const catalogue = definitions(all[0]!);
for (const openMetrics of [false, true]) {
  const times: number[] = [];
  const cpuTimes: number[] = [];
  const slices: number[] = [];
  let lines = 0;
  let bytes = 0;
  for (let round = 0; round < rounds; round++) {
    const state = { isOver: false, longest: 0 };
    const watching = watch(state);
    const cpu = process.cpuUsage();
    const startMs = performance.now();
    const processes = slots.map((slot, index) => ({ worker: String(index), metrics: slot.snapshot() }));
    const { body } = await renderMetrics(catalogue, processes, openMetrics);
    times.push(performance.now() - startMs);
    const { user, system } = process.cpuUsage(cpu);
    cpuTimes.push((user + system) / 1000);
    state.isOver = true;
    await watching;
    slices.push(state.longest);
    bytes = body.length;
    lines = body.toString().split("\n").length - 1;
  }
  const format = openMetrics ? "OpenMetrics" : "text";
  const size = `${lines} lines, ${(bytes / 2 ** 20).toFixed(1)} MiB`;
  console.log(`${format}: ${size} in ${median(times)}, ${median(cpuTimes)} of CPU, longest slice ${median(slices)}`);
}
