import assert from "node:assert/strict";
import test from "node:test";
import { processHistory } from "../../../src/supervisor/live/processes.ts";
import { History, UNKNOWN } from "../../../src/telemetry/history.ts";

/** Seconds 1 to 20 of two workers, each a little after the service's. */
function recorded(events: (worker: string, second: number) => number): History {
  const history = new History(["0", "1", "supervisor"]);
  for (let second = 1; second <= 20; second++) {
    for (const [worker, late] of [
      ["0", 120],
      ["1", 480],
      ["supervisor", 0],
    ] as const) {
      const atMs = second * 1000 - late;
      history.record(
        worker,
        { atMs, monotonicMs: atMs },
        { ...UNKNOWN, cpu: second, eventsPerSecond: events(worker, second) },
      );
    }
  }
  return history;
}

test("processes are on the axis of the service, wherever within a second they tell", () => {
  const { series } = processHistory(
    recorded(() => 1),
    ["0", "1"],
    "supervisor",
    [18_000, 19_000, 20_000],
  );
  for (const process of ["0", "1", "supervisor"]) assert.deepEqual(series[process]?.cpu, [18, 19, 20], process);
  assert.deepEqual(series["0"]?.rssBytes, [null, null, null]);
});

test("a process that has said nothing for a while is not known", () => {
  const { series } = processHistory(
    recorded(() => 1),
    ["0", "1"],
    "supervisor",
    [21_000, 25_000],
  );
  assert.deepEqual(series["0"]?.cpu, [20, null]);
});

test("load is over ten seconds, over the mean of all, and the largest is the imbalance", () => {
  const history = recorded((worker) => (worker === "0" ? 300 : worker === "1" ? 100 : Number.NaN));
  const { series, imbalance } = processHistory(history, ["0", "1"], "supervisor", [19_000, 20_000]);
  assert.deepEqual(series["0"]?.load, [1.5, 1.5]);
  assert.deepEqual(series["1"]?.load, [0.5, 0.5]);
  assert.deepEqual(series["supervisor"]?.load, [null, null]);
  assert.deepEqual(imbalance, [1.5, 1.5]);
  // The same whether one second is asked for or all of them.
  const all = processHistory(
    history,
    ["0", "1"],
    "supervisor",
    Array.from({ length: 20 }, (_, i) => (i + 1) * 1000),
  );
  assert.equal(all.imbalance.at(-1), 1.5);
});

test("without load nothing is uneven", () => {
  const { series, imbalance } = processHistory(
    recorded(() => 0),
    ["0", "1"],
    "supervisor",
    [20_000],
  );
  assert.deepEqual([series["0"]?.load, imbalance], [[null], [1]]);
});
