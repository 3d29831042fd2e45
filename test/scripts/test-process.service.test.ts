// What is told of test files that share a process: whose a test is, whatever declared it, and who was under way when it died.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { type FileResult, runTestFiles } from "../../scripts/test/test-process.ts";

async function run(
  t: TestContext,
  files: Readonly<Record<string, string>>,
  helpers: Readonly<Record<string, string>> = {},
) {
  const root = mkdtempSync(join(tmpdir(), "sluice-test-process-"));
  t.after(() => {
    rmSync(root, { recursive: true, force: true });
  });
  for (const [name, text] of Object.entries({ ...files, ...helpers }))
    writeFileSync(join(root, name), `import test from "node:test";\n${text}`);
  const paths = Object.keys(files).map((name) => join(root, name));
  const { signal } = new AbortController();
  return await runTestFiles(paths, { root, timeoutMs: 60_000, env: process.env, signal });
}

const counts = (results: readonly FileResult[]) =>
  results.map(({ file, passed, skipped, failures }) => [file, passed, skipped, failures.length]);

const PASSES = 'test("passes", () => {});\n';

test("each file has its own tests, also those that a helper declares, and its own failures", async (t) => {
  const results = await run(
    t,
    {
      "a.mjs": `import { declare } from "./helper.mjs";\n${PASSES}declare("a");\n`,
      "b.mjs": `import { declare } from "./helper.mjs";\ndeclare("b");\ntest.skip("later", () => {});\n`,
      "c.mjs":
        'test("outer", async (t) => {\n  await t.test("inner", () => {\n    throw new Error("broken");\n  });\n});\n',
      "d.mjs": "",
      "e.mjs": "throw new Error('not loaded');\n",
      "f.mjs": PASSES,
    },
    { "helper.mjs": "export const declare = (name) => test(name, () => {});\n" },
  );
  assert.deepEqual(counts(results), [
    ["a.mjs", 2, 0, 0],
    ["b.mjs", 1, 1, 0],
    ["c.mjs", 0, 0, 1],
    ["d.mjs", 0, 0, 1],
    ["e.mjs", 0, 0, 1],
    ["f.mjs", 1, 0, 0],
  ]);
  assert.match(results[2]!.failures[0]!, /^outer > inner\nc\.mjs:3\nError: broken/);
  assert.equal(results[3]!.failures[0], "the file holds no tests");
  assert.match(results[4]!.failures[0]!, /^Error: not loaded/);
});

test("a file that changes its process fails by its name, and those after it do not", async (t) => {
  const results = await run(t, {
    "a.mjs": 'test("changes", () => {\n  process.env["LEFT"] = "1";\n});\n',
    "b.mjs": PASSES,
  });
  assert.deepEqual(counts(results), [
    ["a.mjs", 1, 0, 1],
    ["b.mjs", 1, 0, 0],
  ]);
  assert.match(results[0]!.failures[0]!, /has changed its environment/);
});

test("the file that was under way when its process ended fails, and none that did not run passes", async (t) => {
  const results = await run(t, {
    "a.mjs": PASSES,
    "b.mjs":
      'test("ends", async () => {\n  await new Promise((resolve) => setTimeout(resolve, 50));\n  process.exit(3);\n});\n',
    "c.mjs": PASSES,
  });
  assert.deepEqual(counts(results), [
    ["a.mjs", 1, 0, 0],
    ["b.mjs", 0, 0, 1],
    ["c.mjs", 0, 0, 1],
  ]);
  assert.equal(results[1]!.failures[0], "the file ended with exit code 3\nit shared its process with a.mjs, c.mjs");
  assert.equal(results[2]!.failures[0], "the file did not run: its process had ended before");
});
