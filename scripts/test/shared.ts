// Several unit test files in one process, one after the other: `node scripts/test/shared.ts FILE...`.
//
// All tests are in one root, in the order of the files. Behind those of each file comes a test that is named by the file's
// path: it ends the file for whoever reads the report, whatever file declared its tests, and fails if the process is not what
// it was. Hooks outside of a suite would be everybody's, so that a file that has any does not share (sharing.ts).
//
// Rejected: --test-isolation=none of node:test, whose report does not say whose a test is if a helper declares it. A suite for
// each file, in which it is imported: whether tests of a module that is imported belong to the suite is up to how it was loaded.

import { before, test } from "node:test";
import { pathToFileURL } from "node:url";

import { ProcessState } from "./guard.ts";

let state: ProcessState;
const { promise: imported, resolve: areImported } = Promise.withResolvers<void>();
before(async () => {
  // Loading the next file must not hold up the tests of this one, nor pass for what they have changed.
  await imported;
  state = new ProcessState();
});
for (const file of process.argv.slice(2)) {
  const failed: unknown = await import(pathToFileURL(file).href).then(
    () => undefined,
    (error: unknown) => error ?? new Error("thrown: nothing"),
  );
  void test(file, async () => {
    const own = state;
    try {
      if (failed !== undefined) throw failed;
      await own.assertSame();
    } finally {
      state = new ProcessState();
    }
  });
}
areImported();
