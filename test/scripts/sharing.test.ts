// Which unit test files share a process, and what they must leave as it was.

import assert from "node:assert/strict";
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test, { type TestContext } from "node:test";
import { ProcessState } from "../../scripts/test/guard.ts";
import { groupsOf, SHARED_FILES_MAX, whyAlone } from "../../scripts/test/sharing.ts";

function repository(t: TestContext, files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), "sluice-sharing-"));
  t.after(() => {
    rmSync(root, { recursive: true, force: true });
  });
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return root;
}

test("a file runs alone for what it does to the process, or what it imports does, but not the code under test", (t) => {
  const imports = (path: string): string => `import { a } from "${path}";\n`;
  const root = repository(t, {
    "src/a.ts": imports("node:child_process"),
    "test/helper.ts": imports("./deep.ts"),
    "test/deep.ts": `${imports("./helper.ts")}process.once("SIGTERM", a);\n`,
    "test/pure.test.ts": imports("../src/a.ts"),
    "test/child.test.ts": imports("node:child_process"),
    "test/helped.test.ts": imports("./helper.ts"),
    "test/hooked.test.ts": "before(() => {});\n",
    "test/inner.test.ts": 'suite("s", () => {\n  before(() => {});\n});\n',
    "test/types.test.ts": 'import type { A } from "../src/profiling/a.ts";\n',
    "test/profiles.test.ts": 'import {\n  a,\n} from "../src/profiling/a.ts";\n',
    "test/reads.test.ts": 'const seed = process.env["SEED"] === "1";\n',
    "test/writes.test.ts": 'process.env["SEED"] = "1";\n',
  });
  const why = (name: string): string | undefined => whyAlone(join(root, "test", `${name}.test.ts`), root);
  for (const name of ["pure", "inner", "types", "reads"]) assert.equal(why(name), undefined, name);
  assert.equal(why("child"), "starts processes or threads");
  assert.equal(why("helped"), "handles or ends the process, in test/deep.ts");
  assert.equal(why("hooked"), "has hooks outside of a suite");
  assert.equal(why("profiles"), "uses the process's profiler");
  assert.equal(why("writes"), "changes the environment");
});

test("every file is in one group, those of a folder together, as many as may be", (t) => {
  const shared = Array.from({ length: SHARED_FILES_MAX + 1 }, (_, index) => `test/a/${index}.test.ts`);
  const files = [...shared, "test/a/deep/x.test.ts", "test/b/y.test.ts", "test/b/alone.test.ts"];
  const texts = Object.fromEntries(files.map((file) => [file, file.includes("alone") ? "before(f);\n" : ""]));
  const groups = groupsOf(files, repository(t, texts));
  assert.deepEqual(groups.flat().sort(), [...files].sort());
  assert.deepEqual(groups[0], ["test/b/alone.test.ts"]);
  assert.deepEqual(
    groups.map(({ length }) => length),
    [1, 5, 5, 1],
  );
});

test("what a file changes or leaves open is told", async () => {
  const state = new ProcessState();
  await state.assertSame();

  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  await assert.rejects(state.assertSame(50), /leaves open: .*TCPServerWrap/);
  await new Promise((resolve) => server.close(resolve));

  const { now } = Date;
  Date.now = () => 0;
  await assert.rejects(state.assertSame(), /has changed its globals/);
  Date.now = now;
  await state.assertSame();
});
