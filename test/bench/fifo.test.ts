import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { Fifo } from "../../bench/load/fifo.ts";

test("what was pushed first is shifted first, over any number of compactions", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -3000, max: 3000 }), { maxLength: 30 }), (steps) => {
      const fifo = new Fifo<number>();
      const model: number[] = [];
      let next = 0;
      for (const step of steps) {
        for (let i = 0; i < step; i++) {
          fifo.push(next);
          model.push(next++);
        }
        for (let i = 0; i > step; i--) assert.equal(fifo.shift(), model.shift());
        assert.equal(fifo.length, model.length);
      }
    }),
    { numRuns: 50 },
  );
});
