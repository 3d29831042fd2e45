// The checker bites: every mutation of the product is found, and soon.

import assert from "node:assert/strict";
import test from "node:test";
import { simulateAll } from "../../scripts/simulate.ts";
import { MUTATIONS } from "./mutations.ts";

/** Within so many seeds each of them has to be found. */
const SEEDS_MAX = 150;
const JOBS = 2;

for (const [name, { what, from = 1 }] of Object.entries(MUTATIONS)) {
  test(`it is found when ${what}`, async (t) => {
    const totals = await simulateAll(from, SEEDS_MAX, JOBS, name);
    t.diagnostic(`found by seed ${totals.failed[0]}, after ${totals.runs} runs`);
    assert.ok(totals.failed.length > 0, `${name} survived ${totals.runs} seeds`);
  });
}
