// The simulation itself: a seed is a run, and a few of them pass. More of them: simulation.service.test.ts.

import assert from "node:assert/strict";
import test from "node:test";
import { simulateAll } from "../../scripts/simulate.ts";
import { type RunResult, simulate } from "./world.ts";

const SEEDS = 8;

test("a seed gives the same run every time, in a process that has just begun and in one that has not", async () => {
  const seed = 1023;
  const first = await simulate(seed);
  const second = await simulate(seed);
  let elsewhere: RunResult | undefined;
  await simulateAll(seed, 1, 1, undefined, (result) => {
    elsewhere = result;
  });
  const shape = (result: RunResult | undefined) => [result?.hash, result?.steps, result?.events, result?.virtualMs];
  assert.deepEqual(shape(second), shape(first));
  assert.deepEqual(shape(elsewhere), shape(first));
});

test("two seeds are two runs", async () => {
  const [one, other] = [await simulate(1), await simulate(2)];
  assert.notEqual(one.hash, other.hash);
});

test("nothing that was acknowledged is lost, moved or stored twice, whatever happens", async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { violations } = await simulate(seed);
    assert.deepEqual(violations, [], `npm run simulate -- --seed ${seed} --trace`);
  }
});
