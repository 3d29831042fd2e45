import assert from "node:assert/strict";
import test from "node:test";
import { Seconds } from "../../../src/admin/live/client/seconds.ts";
import { snapshotOf } from "../no-live.ts";

const history = (t: readonly number[], value = 1) => snapshotOf(t, value).history;

test("the page's columns are as long as its axis of time, whenever they appear", () => {
  const seconds = new Seconds();
  seconds.append({ ...history([1000, 2000]), brokers: {} });
  seconds.append(history([3000], 5));
  assert.deepEqual(seconds.t, [1, 2, 3]);
  assert.deepEqual(seconds.column("brokers.127.0.0.1:9092.inFlight"), [null, null, 5]);
  assert.deepEqual(seconds.column("processes.0.cpu"), [1, 1, 5]);
  assert.deepEqual(seconds.column("processes.9.cpu"), [null, null, null]);
  assert.equal(seconds.lastMs, 3000);
});

test("a gap is empty, so that no line is drawn over it", () => {
  const seconds = new Seconds();
  seconds.append(history([1000]));
  seconds.append(history([60_000]));
  assert.deepEqual(seconds.t, [1, 2, 60]);
  assert.deepEqual(seconds.column("service.eventsPerSecond"), [1, null, 1]);
});

test("it holds fifteen minutes, and begins anew when the service's clock was set back", () => {
  const seconds = new Seconds();
  for (let i = 1; i <= 1000; i++) seconds.append(history([i * 1000], i));
  assert.equal(seconds.t.length, 900);
  assert.deepEqual([seconds.t[0], seconds.column("service.eventsPerSecond")[0]], [101, 101]);
  seconds.append(history([5000], 7));
  assert.deepEqual([seconds.t, seconds.column("service.eventsPerSecond")], [[5], [7]]);
});
