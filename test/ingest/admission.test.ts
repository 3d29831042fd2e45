// The byte budget: never more than its limit, first come first served, and a refusal that says when to come back.

import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { Code, type IngestError } from "../../src/errors.ts";
import { Admission } from "../../src/ingest/admission.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { microtasks } from "./harness.ts";

function setUp(bytesMax = 1_000, timeoutMs = 5_000) {
  const clock = new FakeClock();
  const metrics = createMetrics();
  const admission = new Admission(clock, metrics, { bytesMax, timeoutMs }, () => 0.5);
  /** The names of those admitted, in order, and the errors of those refused. */
  const admitted: string[] = [];
  const refused = new Map<string, IngestError>();
  const ask = (name: string, cost: number): void => {
    admission.admit(cost).then(
      () => admitted.push(name),
      (error: unknown) => refused.set(name, error as IngestError),
    );
  };
  return { clock, metrics, admission, admitted, refused, ask };
}

test("what has room is admitted at once, up to the last byte", () => {
  const { admission } = setUp(1_000);
  assert.ok(admission.tryAdmit(600));
  assert.ok(!admission.tryAdmit(401));
  assert.ok(admission.tryAdmit(400));
  assert.ok(!admission.tryAdmit(1));
  assert.equal(admission.admittedBytes, 1_000);
  admission.release(600);
  assert.ok(admission.tryAdmit(600));
});

test("a batch costs more than its bytes", () => {
  const { admission } = setUp();
  assert.ok(admission.cost(0) > 0);
  assert.equal(admission.cost(1_000) - admission.cost(0), 1_000);
});

test("a batch larger than the whole budget is admitted when it is alone", async () => {
  const { admission, ask, admitted } = setUp(1_000);
  assert.ok(admission.tryAdmit(5_000));
  ask("next", 1);
  await microtasks();
  assert.deepEqual(admitted, []);
  admission.release(5_000);
  await microtasks();
  assert.deepEqual(admitted, ["next"]);
});

test("those that wait are admitted first come, first served, also past a large one at the head", async () => {
  const { admission, ask, admitted } = setUp(1_000);
  assert.ok(admission.tryAdmit(900));
  ask("large", 500);
  ask("small", 50);
  await microtasks();
  // There is room for the small one, but it may not overtake; nor may one that did not wait.
  assert.ok(!admission.tryAdmit(10));
  assert.deepEqual(admitted, []);
  admission.release(300);
  await microtasks();
  assert.deepEqual(admitted, []);
  admission.release(200);
  await microtasks();
  assert.deepEqual(admitted, ["large", "small"]);
  assert.equal(admission.admittedBytes, 950);
  assert.equal(admission.waitingBatches, 0);
});

test("who waits too long is refused, and those behind it move up", async () => {
  const { clock, admission, ask, admitted, refused } = setUp(1_000, 5_000);
  assert.ok(admission.tryAdmit(900));
  ask("large", 500);
  clock.advance(4_000);
  ask("small", 50);
  clock.advance(999);
  await microtasks();
  assert.deepEqual([admitted, refused.size], [[], 0]);
  clock.advance(1);
  await microtasks();
  assert.deepEqual(admitted, ["small"]);
  const error = refused.get("large")!;
  assert.equal(error.code, Code.RESOURCE_EXHAUSTED);
  assert.equal(error.retryable, true);
  assert.equal(
    error.message,
    "no room: 900 bytes of batches wait to be stored (ADMITTED_BYTES_MAX 1000); send again later",
  );
  assert.equal(clock.timers, 0);
});

test("when as much waits as may be admitted, the next is refused at once", async () => {
  const { clock, admission, ask, admitted, refused } = setUp(1_000);
  assert.ok(admission.tryAdmit(1_000));
  ask("a", 600);
  ask("b", 400);
  ask("c", 1);
  await microtasks();
  assert.deepEqual([...refused.keys()], ["c"]);
  assert.equal(admission.waitingBatches, 2);
  admission.release(1_000);
  await microtasks();
  assert.deepEqual(admitted, ["a", "b"]);
  assert.equal(clock.timers, 0);
});

test("the delay after which to retry is what it takes until there is room, at the recent rate", async () => {
  const { clock, admission, ask, refused } = setUp(10_000, 60_000);
  // An hour with little to do says nothing of how fast batches are stored under load.
  for (let second = 0; second < 3_600; second++) {
    clock.advance(1_000);
    assert.ok(admission.tryAdmit(1));
    admission.release(1);
  }
  assert.ok(admission.tryAdmit(10_000));
  ask("waits", 6_000);
  for (let i = 0; i < 20; i++) {
    clock.advance(100);
    admission.release(200);
  }
  // 4,000 bytes in 2 s. Of 6,000 admitted, 6,000 waiting and 5,000 refused there is room for 10,000.
  ask("refused", 5_000);
  await microtasks();
  assert.equal(refused.get("refused")!.retryDelayMs, 3_500);
});

test("who is refused after a wait is told by a rate that was measured before anybody waited", async () => {
  const { clock, admission, ask, refused } = setUp(10_000, 1_000);
  assert.ok(admission.tryAdmit(10_000));
  for (let i = 0; i < 10; i++) {
    clock.advance(500);
    admission.release(1_000);
    assert.ok(admission.tryAdmit(1_000));
  }
  ask("refused", 4_000);
  for (let i = 0; i < 2; i++) {
    clock.advance(499);
    admission.release(500);
  }
  clock.advance(10);
  await microtasks();
  // 11,000 bytes went in about 6 s, and 3,000 more have to.
  assert.equal(refused.get("refused")!.retryDelayMs, Math.round((3_000 * 5_998) / 11_000));
});

test("the rate goes on over a long overload, without a step back to not knowing", async () => {
  const { clock, admission, ask, refused } = setUp(10_000, 3_600_000);
  for (let i = 0; i < 10; i++) assert.ok(admission.tryAdmit(1_000));
  for (let i = 0; i < 9; i++) ask("waits", 1_000);
  for (let second = 1; second <= 60; second++) {
    // One goes, the next of those that wait takes its place, and another one comes.
    clock.advance(1_000);
    admission.release(1_000);
    ask("waits", 1_000);
    ask(`refused ${second}`, 2_000);
    await microtasks();
    const { retryDelayMs } = refused.get(`refused ${second}`)!;
    assert.ok(retryDelayMs! > 9_000 && retryDelayMs! <= 11_000, `${retryDelayMs} after ${second} s`);
  }
});

test("while nothing moves, the delay is as long as that has lasted", async () => {
  const { clock, admission, ask, refused } = setUp(1_000, 3_600_000);
  for (let i = 0; i < 2; i++) assert.ok(admission.tryAdmit(500));
  for (let i = 0; i < 2; i++) ask("waits", 500);
  const delays: (number | undefined)[] = [];
  for (const ms of [0, 1_000, 2_000, 7_000, 100_000]) {
    clock.advance(ms);
    ask(`stuck ${ms}`, 1);
    await microtasks();
    delays.push(refused.get(`stuck ${ms}`)!.retryDelayMs);
  }
  assert.deepEqual(delays, [125, 1_000, 3_000, 10_000, 25_000]);
});

test("the gauges say what is admitted, what waits, and the limit", () => {
  const { admission, metrics, ask } = setUp(1_000);
  assert.equal(metrics.admittedBytesLimit.with().value, 1_000);
  assert.ok(admission.tryAdmit(700));
  ask("a", 500);
  assert.equal(metrics.admittedBytes.with().value, 700);
  assert.equal(metrics.admissionWaiting.with().value, 1);
  admission.release(700);
  assert.equal(metrics.admittedBytes.with().value, 500);
  assert.equal(metrics.admissionWaiting.with().value, 0);
});

test("under random demand the limit is never passed, nobody is overtaken and nothing leaks", async () => {
  const actions = fc.array(
    fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constant("ask" as const), cost: fc.integer({ min: 1, max: 400 }) }),
      },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("release" as const), which: fc.nat() }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(3_000) }) },
    ),
    { maxLength: 60 },
  );
  await fc.assert(
    fc.asyncProperty(actions, async (actions) => {
      const { clock, admission } = setUp(1_000, 5_000);
      const held: number[] = [];
      const order: number[] = [];
      let asked = 0;
      let refused = 0;
      const check = (): void => {
        assert.ok(admission.admittedBytes <= 1_000);
        assert.equal(
          admission.admittedBytes,
          held.reduce((a, b) => a + b, 0),
        );
      };
      const ask = (cost: number): void => {
        const number = asked++;
        admission.admit(cost).then(
          () => {
            held.push(cost);
            order.push(number);
          },
          () => refused++,
        );
      };
      for (const action of actions) {
        if (action.kind === "ask") ask(action.cost);
        else if (action.kind === "wait") clock.advance(action.ms);
        else if (held.length > 0) admission.release(held.splice(action.which % held.length, 1)[0]!);
        await microtasks();
        check();
      }
      while (held.length > 0) {
        admission.release(held.pop()!);
        await microtasks();
        check();
      }
      assert.equal(admission.admittedBytes, 0);
      assert.equal(admission.waitingBatches, 0);
      assert.equal(clock.timers, 0);
      assert.deepEqual(
        order,
        order.toSorted((a, b) => a - b),
      );
      assert.equal(order.length + refused, asked);
    }),
    { numRuns: 100 },
  );
});
