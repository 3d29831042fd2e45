import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

const ROOT = join(import.meta.dirname, "../../..");
const read = (file: string) => readFileSync(join(ROOT, file), "utf8");

test("the table of checks has those that the doctor makes, and no others", () => {
  const source = ["src/cli/doctor.ts", ...globSync("src/cli/doctor/*.ts", { cwd: ROOT })].map(read).join("\n");
  const made = new Set(
    [
      /check: "([a-z-]+)"/g,
      /const (?:CLOCK_CHECK|check) = "([a-z-]+)"/g,
      /named\(\s*"([a-z-]+)"/g,
      /#tell\("([a-z-]+)"/g,
      /finding\(\s*"([a-z-]+)"/g,
    ]
      .flatMap((pattern) => Array.from(source.matchAll(pattern), ([, name = ""]) => name))
      // What stands for checks that have names of their own.
      .filter((name) => name !== "balance"),
  );
  for (const noun of ["workers", "pods"]) made.add(`uneven-${noun}`);
  const section = read("docs/operations.md").split("\n## Doctor\n")[1]!.split("\n## ")[0]!;
  const documented = Array.from(
    section.split("| `check`  ")[2]!.matchAll(/^\| `([a-z-]+)`/gm),
    ([, name = ""]) => name,
  );
  assert.deepEqual(documented.toSorted(), [...made].toSorted());
});
