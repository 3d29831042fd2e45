import assert from "node:assert/strict";
import test from "node:test";
import { Recorder } from "../../src/profiling/recorder.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { eventually } from "../support/service.ts";

test("the heap is on disk ten seconds after the start, and then each minute", async (t) => {
  const clock = new FakeClock();
  const startMs = clock.now();
  const takenAt: number[] = [];
  const recorder = new Recorder({
    intervalMicros: 1_000,
    clock,
    write: async ({ kind, toMs }) => {
      if (kind === "heap") takenAt.push(toMs - startMs);
    },
    observer: { profilerRestarted: () => {}, sliceWritten: () => {}, sliceNotWritten: () => {} },
  });
  recorder.start();
  t.after(() => recorder.stop(false));
  clock.advance(9_999);
  clock.advance(1);
  await eventually("the first one is there", () => takenAt.length > 0);
  assert.deepEqual(takenAt, [10_000]);
  clock.advance(120_000);
  await eventually("two more are there", () => takenAt.length === 3);
  assert.deepEqual(takenAt, [10_000, 70_000, 130_000]);
});
