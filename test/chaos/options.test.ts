import assert from "node:assert/strict";
import test from "node:test";
import { FAULTS } from "../../scripts/chaos/faults.ts";
import { HELP, parseChaosOptions } from "../../scripts/chaos/options.ts";

test("all faults, six minutes and a given seed unless told otherwise", () => {
  const options = parseChaosOptions([], 42);
  assert.ok(options !== "help");
  assert.deepEqual([options.faults, options.minutes, options.seed, options.rate], [FAULTS, 6, 42, 2_000]);
});

test("faults are chosen by name, in the order given", () => {
  const options = parseChaosOptions(["--faults", "service-kill,leader-kill", "--minutes", "0.5"], 1);
  assert.ok(options !== "help");
  assert.deepEqual(
    options.faults.map(({ name }) => name),
    ["service-kill", "leader-kill"],
  );
  assert.equal(options.minutes, 0.5);
});

test("every mistake is told at once", () => {
  assert.throws(
    () => parseChaosOptions(["--faults", "meteor", "--minutes", "soon", "--rate", "0"], 1),
    /there is no fault "meteor"[^]*--minutes: give a number from 0 to 1440, not "soon"[^]*--rate/,
  );
});

test("the help names every fault", () => {
  assert.equal(parseChaosOptions(["--help"], 1), "help");
  for (const { name } of FAULTS) assert.ok(HELP.includes(`  ${name} `), name);
});
