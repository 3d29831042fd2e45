import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { findHeapAtLimit } from "../../src/profiling/heap-at-limit.ts";

test("what is no file, is gone or cannot be removed is passed over where heaps at their limits are looked for", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "sluice-heap-"));
  t.after(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  const folder = join(dir, "heap-at-limit");
  mkdirSync(join(folder, "directory"), { recursive: true });
  symlinkSync(join(dir, "nowhere"), join(folder, "gone"));
  writeFileSync(join(folder, "half"), '{"name":');
  assert.equal(await findHeapAtLimit(dir, "0", 0), undefined);
  assert.equal(await findHeapAtLimit(dir, "0", Date.now() + 60_000), undefined);
});
