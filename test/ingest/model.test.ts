// Random batches, settled in random order and pieces, against the model (model.ts).

import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { Model, scripts } from "./model.ts";

test("every event of random batches is settled once, in order, and nothing leaks", { timeout: 120_000 }, async () => {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(scripts, fc.constantFrom(1_500, 30_000), async (script, recordBatchBytesMax) => {
      const model = new Model(recordBatchBytesMax);
      for (const action of script) await model.run(action);
      await model.finish();
      for (const what of model.seen()) seen.add(what);
    }),
    { numRuns: 200 },
  );
  // A test that never comes to these proves nothing.
  assert.deepEqual([...seen].sort(), [
    "answered",
    "flush",
    "full",
    "idle",
    "linger",
    "refused",
    "settled",
    "two durabilities",
  ]);
});
