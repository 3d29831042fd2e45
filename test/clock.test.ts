// The system's clock: what it remembers, and for how long.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate, setTimeout } from "node:timers/promises";
import { systemClock } from "../src/clock.ts";

function spin(ms: number): void {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs);
}

test("a callback has one recent time, which is not after the time that is asked for then", () => {
  const recent = systemClock.recentMonotonic();
  const recentNow = systemClock.recentNow();
  spin(3);
  assert.equal(systemClock.recentMonotonic(), recent);
  assert.equal(systemClock.recentNow(), recentNow);
  assert.ok(systemClock.monotonic() >= recent + 3);
  assert.ok(systemClock.now() >= recentNow);
});

for (const [next, turn] of [
  ["promise's callback", () => Promise.resolve()],
  ["turn", () => setImmediate()],
  ["timer's callback", () => setTimeout(1)],
] as const) {
  test(`the next ${next} has another one`, async () => {
    for (let i = 0; i < 3; i++) {
      const recent = systemClock.recentMonotonic();
      const recentNow = systemClock.recentNow();
      spin(2);
      await turn();
      const before = performance.now();
      assert.ok(systemClock.recentMonotonic() >= before - 1);
      assert.ok(systemClock.recentMonotonic() >= recent + 2);
      assert.ok(systemClock.recentNow() > recentNow);
    }
  });
}

test("asked for by one of the two names, it is forgotten as well", async () => {
  const recentNow = systemClock.recentNow();
  spin(2);
  await setImmediate();
  assert.ok(systemClock.recentNow() > recentNow);
});
