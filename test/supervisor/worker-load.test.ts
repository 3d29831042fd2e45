import assert from "node:assert/strict";
import test from "node:test";
import { WorkerLoad } from "../../src/supervisor/worker-load.ts";

class Worker {
  events = 0;
  batches = 0;
  living(name: string) {
    const value = name === "sluice_events_received_total" ? this.events : this.batches;
    return { name, series: [[["t"], value] as const] };
  }
}

test("load is even, or none, or all with one; and a share is of the last ten seconds", () => {
  const workers = [new Worker(), new Worker(), new Worker(), new Worker()];
  const load = new WorkerLoad(workers);
  assert.deepEqual(load.read(), { ratios: [1, 1, 1, 1], imbalance: 1 });
  for (const worker of workers) worker.events += 1_000;
  assert.deepEqual(load.read(), { ratios: [1, 1, 1, 1], imbalance: 1 });
  for (let second = 0; second < 10; second++) {
    workers[2]!.events += 100;
    load.read();
  }
  workers[2]!.events += 100;
  assert.deepEqual(load.read(), { ratios: [0, 0, 4, 0], imbalance: 4 });
});

test("a batch counts, or a worker with many small ones would look idle", () => {
  const workers = [new Worker(), new Worker()];
  const load = new WorkerLoad(workers);
  load.read();
  Object.assign(workers[0]!, { events: 150, batches: 0 });
  Object.assign(workers[1]!, { events: 0, batches: 10 });
  assert.deepEqual(load.read().ratios, [1, 1]);
});

test("what a new process has done counts from its start", () => {
  const workers = [new Worker(), new Worker()];
  for (const worker of workers) worker.events = 1_000_000;
  const load = new WorkerLoad(workers);
  load.read();
  workers[0]!.events = 300;
  workers[1]!.events += 100;
  assert.deepEqual(load.read(), { ratios: [1.5, 0.5], imbalance: 1.5 });
});
