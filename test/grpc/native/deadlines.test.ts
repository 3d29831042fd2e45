// Deadlines: the wheel that has them all, and what becomes of a call whose deadline passes.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Deadline, Deadlines } from "../../../src/grpc/native/deadlines.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { BIDI, framed, Harness, UNARY } from "./support/harness.ts";

/** Late by two ticks at most. */
const LATE_MS = 20;

test("random deadlines pass in their time, unless they were taken back", () => {
  const action = fc.oneof(
    fc.record({ kind: fc.constant("add" as const), ms: fc.oneof(fc.nat(50), fc.nat(30_000)) }),
    fc.record({ kind: fc.constant("cancel" as const), ms: fc.nat(40) }),
    fc.record({ kind: fc.constant("advance" as const), ms: fc.oneof(fc.nat(30), fc.nat(15_000)) }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
      const clock = new FakeClock();
      const deadlines = new Deadlines(clock);
      const pending = new Map<Deadline, number>();
      const all: Deadline[] = [];
      const check = (): void => {
        for (const [deadline, dueMs] of pending)
          assert.ok(clock.monotonic() < dueMs + LATE_MS, `${deadline.tick} is late`);
      };
      for (const { kind, ms } of actions) {
        if (kind === "add") {
          const dueMs = clock.monotonic() + ms;
          const expired = (): void => {
            assert.ok(pending.delete(deadline), "a deadline passes once, and not when it was taken back");
            assert.ok(clock.monotonic() >= dueMs, "never early");
            assert.ok(clock.monotonic() <= dueMs + LATE_MS, "never much too late");
          };
          const deadline = deadlines.add({ expired }, ms);
          pending.set(deadline, dueMs);
          all.push(deadline);
        } else if (kind === "cancel") {
          const deadline = all[ms % Math.max(1, all.length)];
          if (deadline === undefined) continue;
          deadlines.cancel(deadline);
          pending.delete(deadline);
        } else {
          clock.advance(ms);
        }
        check();
        assert.equal(deadlines.pending, pending.size);
      }
      clock.advance(31_000);
      assert.deepEqual([pending.size, deadlines.pending, clock.timers], [0, 0, 0]);
    }),
    { numRuns: 100 },
  );
});

test("a long turn of the event loop skips none", () => {
  // A clock whose timers come late: a turn of the event loop that took a minute.
  let nowMs = 5;
  let tick: (() => void) | undefined;
  const clock = Object.assign(new FakeClock(), {
    monotonic: () => nowMs,
    setTimeout: (callback: () => void) => {
      tick = callback;
      return {};
    },
  });
  const deadlines = new Deadlines(clock);
  let expired = 0;
  for (let ms = 1; ms < 50_000; ms += 333) deadlines.add({ expired: () => expired++ }, ms);
  const later = deadlines.add({ expired: () => expired++ }, 3_600_000);
  nowMs = 60_000;
  tick!();
  assert.deepEqual([expired, deadlines.pending, later.pending], [151, 1, true]);
});

test("whoever is told that its deadline has passed may take others back", () => {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const heard: string[] = [];
  const second = deadlines.add({ expired: () => heard.push("second") }, 500);
  deadlines.add(
    {
      expired: () => {
        heard.push("first");
        deadlines.cancel(second);
        deadlines.add({ expired: () => heard.push("third") }, 10);
      },
    },
    100,
  );
  clock.advance(1_000);
  assert.deepEqual(heard, ["first", "third"]);
});

test("a call whose deadline passes ends with DEADLINE_EXCEEDED, and its handler is told", () => {
  const harness = new Harness();
  const { stream, handler } = harness.open(BIDI, { "grpc-timeout": "100m" });
  harness.clock.advance(99);
  assert.equal(stream.status, undefined);
  harness.clock.advance(1 + LATE_MS);
  assert.deepEqual([stream.status, handler.heard], ["4", ["cancelled"]]);
  assert.equal(harness.ended(BIDI, "DEADLINE_EXCEEDED"), 1);
  assert.equal(harness.clock.timers, 0);
});

test("a unary call whose message never comes has its deadline, too", () => {
  const harness = new Harness();
  const call = harness.open(UNARY, { "grpc-timeout": "1S" });
  harness.clock.advance(1_000 + LATE_MS);
  assert.deepEqual([call.stream.status, call.opened], ["4", false]);
});

test("a call that ends in time leaves no deadline behind", () => {
  const harness = new Harness();
  const unary = harness.open(UNARY, { "grpc-timeout": "1H" });
  unary.stream.arrive(framed("x"));
  harness.open(BIDI, { "grpc-timeout": "99999999H" }).stream.cancel();
  const call = harness.open(BIDI, { "grpc-timeout": "5000000u" });
  call.handler.end();
  assert.deepEqual(unary.handler.heard, ["message 1"]);
  unary.stream.cancel();
  harness.clock.advance(100);
  assert.equal(harness.clock.timers, 0);
});

test("every unit of grpc-timeout is understood", () => {
  for (const [value, ms] of [
    ["1H", 3_600_000],
    ["2M", 120_000],
    ["3S", 3_000],
    ["400m", 400],
    ["500000u", 500],
    ["99999999n", 99.999999],
    ["0m", 0],
    ["00000001S", 1_000],
  ] as const) {
    const harness = new Harness();
    const { stream } = harness.open(BIDI, { "grpc-timeout": value });
    harness.clock.advance(Math.max(0, ms - 1));
    if (ms >= 1) assert.equal(stream.status, undefined, value);
    harness.clock.advance(1 + LATE_MS);
    assert.equal(stream.status, "4", value);
  }
});

test("a grpc-timeout that is none gets INTERNAL", () => {
  for (const value of ["", "1", "S", "-1S", "1.5S", "123456789S", "1s", "1h", "1 S", " 1S"]) {
    const harness = new Harness();
    const { stream, opened } = harness.open(BIDI, { "grpc-timeout": value });
    assert.deepEqual([stream.status, opened], ["13", false], value);
  }
});
