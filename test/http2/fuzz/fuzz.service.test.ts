// The fuzzer in the suite: the same seed each time, so that a failure can be had again. More seeds: npm run fuzz.

import assert from "node:assert/strict";
import test from "node:test";
import { Fuzzer } from "./fuzz.ts";
import { RECORDINGS } from "./recordings.ts";

const SEED = 1;
const CASES = 100_000;

const fuzzer = new Fuzzer(SEED);

function runAll(first: number, end: number): void {
  for (let number = first; number < end; number++) {
    try {
      fuzzer.run(number);
    } catch (error) {
      const again = `npm run fuzz -- --seed ${SEED} --case ${number}`;
      throw new Error(`seed ${SEED}, case ${number} (${fuzzer.prepare(number).what}); again: ${again}`, {
        cause: error,
      });
    }
  }
}

test("real clients are answered the same wherever their bytes are cut", () => {
  assert.equal(fuzzer.honestCases > RECORDINGS.reduce((sum, { bytes }) => sum + bytes.length, 0), true);
  runAll(0, fuzzer.honestCases);
});

test("changed bytes are answered rightly or end what they belong to, and leave nothing behind", () => {
  runAll(fuzzer.honestCases, CASES);
});

test("a case is the same every time", () => {
  const other = new Fuzzer(SEED);
  for (const number of [0, 500, fuzzer.honestCases, fuzzer.honestCases + 7, CASES]) {
    assert.deepEqual(Buffer.concat(other.prepare(number).chunks), Buffer.concat(fuzzer.prepare(number).chunks));
    assert.equal(other.prepare(number).chunks.length, fuzzer.prepare(number).chunks.length);
  }
});
