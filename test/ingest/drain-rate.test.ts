// When to come back: by what has to go and how fast it goes, never all at once, and within bounds.

import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { DrainRate } from "../../src/ingest/drain-rate.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { seededRandom } from "./harness.ts";

function setUp(random = () => 0.5, largeBytes = 1) {
  const clock = new FakeClock();
  return { clock, rate: new DrainRate(clock, random, largeBytes) };
}

/** So many bytes a second go, in steps of 100 ms. */
function drain({ clock, rate }: ReturnType<typeof setUp>, bytesPerSecond: number, seconds: number): void {
  for (let step = 0; step < seconds * 10; step++) {
    clock.advance(100);
    rate.drained(bytesPerSecond / 10);
  }
}

function assertNear(ms: number, expected: number, part = 0.01): void {
  assert.ok(Math.abs(ms - expected) <= expected * part, `${ms} is not about ${expected}`);
}

test("the delay is what has to go over the rate", () => {
  const world = setUp();
  world.rate.added(1e9);
  drain(world, 1e6, 5);
  assertNear(world.rate.retryDelayMs(2e6), 2_000);
  assertNear(world.rate.retryDelayMs(8e6), 8_000);
});

test("an older rate is forgotten within ten seconds", () => {
  const world = setUp();
  world.rate.added(1e12);
  drain(world, 1e8, 60);
  drain(world, 1e6, 5);
  // Half of the window is from before.
  assert.ok(world.rate.retryDelayMs(1e7) < 1_000);
  drain(world, 1e6, 5);
  assertNear(world.rate.retryDelayMs(1e7), 10_000, 0.02);
});

test("what drains while the backlog is small says nothing of the rate, and neither does time without one", () => {
  const world = setUp(() => 0.5, 1_000_000);
  for (let second = 0; second < 60; second++) {
    world.rate.added(500);
    world.clock.advance(1_000);
    world.rate.drained(500);
  }
  assert.equal(world.rate.retryDelayMs(1e9), 125, "nothing is known yet");
  world.rate.added(5e6);
  drain(world, 1e6, 1);
  assertNear(world.rate.retryDelayMs(3e6), 3_000);
  drain(world, 1e6, 4);
  world.clock.advance(4_000);
  assertNear(world.rate.retryDelayMs(3e6), 3_000, 0.1);
});

test("after ten seconds without a backlog nothing is known", () => {
  const world = setUp();
  world.rate.added(1e6);
  drain(world, 1e5, 10);
  world.clock.advance(3_600_000);
  assert.equal(world.rate.retryDelayMs(1e9), 125);
});

test("while nothing goes, the delay grows with the time for which that has been so", () => {
  const world = setUp();
  world.rate.added(1e9);
  drain(world, 1e6, 10);
  const delays = [500, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000].map((ms) => {
    world.clock.advance(ms);
    return world.rate.retryDelayMs(1e3);
  });
  assert.deepEqual(delays, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 25_000, 25_000]);
  drain(world, 1e6, 1);
  assert.equal(world.rate.retryDelayMs(1e3), 125);
});

test("those that are refused at once are spread over two fifths of the delay", () => {
  const world = setUp(seededRandom(3));
  world.rate.added(1e9);
  drain(world, 1e6, 5);
  const delays = Array.from({ length: 1_000 }, () => world.rate.retryDelayMs(1e7));
  assertNear(Math.min(...delays), 8_000, 0.02);
  assertNear(Math.max(...delays), 12_000, 0.02);
  assert.ok(new Set(delays).size > 500);
});

test("whatever happens, the delay is from 100 ms to 30 s", () => {
  const steps = fc.array(
    fc.record({
      kind: fc.constantFrom("added" as const, "drained" as const, "wait" as const),
      amount: fc.oneof(fc.nat(100), fc.nat(1e6), fc.double({ min: 0, max: 1e5, noNaN: true })),
    }),
  );
  fc.assert(
    fc.property(steps, fc.double({ min: 0, max: 0.999, noNaN: true }), (steps, random) => {
      const { clock, rate } = setUp(() => random, 100);
      let backlog = 0;
      for (const { kind, amount } of steps) {
        if (kind === "wait") clock.advance(amount);
        else if (kind === "added") rate.added(amount);
        else rate.drained(Math.min(amount, backlog));
        if (kind === "added") backlog += amount;
        if (kind === "drained") backlog -= Math.min(amount, backlog);
        const delayMs = rate.retryDelayMs(amount);
        assert.ok(delayMs >= 100 && delayMs <= 30_000, String(delayMs));
      }
    }),
  );
});
