import assert from "node:assert/strict";
import test from "node:test";
import { CrashLoop } from "../../src/supervisor/crash-loop.ts";

test("each death in a row doubles the wait until the next start, up to a limit", () => {
  const loop = new CrashLoop();
  const delays: number[] = [];
  for (let death = 0; death < 8; death++) {
    const verdict = loop.died(death * 20_000, 0);
    assert.ok(!verdict.giveUp);
    delays.push(verdict.delayMs);
  }
  assert.deepEqual(delays, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
});

test("a worker that was ready for a minute starts anew at once", () => {
  const loop = new CrashLoop();
  for (let death = 0; death < 4; death++) loop.died(death, 0);
  assert.deepEqual(loop.died(60_005, 60_000), { giveUp: false, delayMs: 100 });
  assert.deepEqual(loop.died(60_006, 59_999), { giveUp: false, delayMs: 200 });
});

test("the fifth death within 30 s ends the trying", () => {
  const loop = new CrashLoop();
  for (const atMs of [0, 7_000, 14_000, 21_000]) assert.ok(!loop.died(atMs, 0).giveUp);
  assert.ok(loop.died(29_999, 0).giveUp);
});

test("five deaths over more than 30 s do not", () => {
  const loop = new CrashLoop();
  for (const atMs of [0, 7_000, 14_000, 21_000, 30_000, 37_000]) assert.ok(!loop.died(atMs, 0).giveUp);
});
