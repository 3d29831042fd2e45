// New seeds with every run, and those that once found something.

import assert from "node:assert/strict";
import test from "node:test";
import { simulateAll } from "../../scripts/simulate.ts";
import { KNOWN_SEEDS } from "./known-seeds.ts";
import { simulate } from "./world.ts";

const NEW_SEEDS = 200;
const JOBS = 2;

test(`${NEW_SEEDS} new seeds: nothing that was acknowledged is lost, moved or stored twice`, async (t) => {
  const first = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));
  t.diagnostic(`seeds from ${first}`);
  const failures: string[] = [];
  const totals = await simulateAll(first, NEW_SEEDS, JOBS, undefined, ({ seed, violations }) => {
    if (violations.length > 0)
      failures.push(`npm run simulate -- --seed ${seed} --trace\n  ${violations.join("\n  ")}`);
  });
  assert.deepEqual(failures, [], `of seeds ${first} to ${first + NEW_SEEDS - 1}`);
  assert.equal(totals.runs, NEW_SEEDS);
  // A run in which nothing goes wrong proves little.
  for (const what of ["kill", "power-cut", "produce drop", "network phase", "disk phase", "leader moves", "outage"]) {
    assert.ok((totals.counts.get(what) ?? 0) > 0, `${what} never happened`);
  }
});

for (const [seed, found] of KNOWN_SEEDS) {
  test(`seed ${seed}: ${found}`, async () => {
    const { violations } = await simulate(seed);
    assert.deepEqual(violations, [], `npm run simulate -- --seed ${seed} --trace`);
  });
}
