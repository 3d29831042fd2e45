// The fuzzer bites: every bug that is put into the server is found, and soon.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import test from "node:test";
import { BUGS } from "./bugs.ts";

const FUZZ = join(import.meta.dirname, "../../../scripts/fuzz.ts");
/** Within so many cases each of them has to be found: a fifth of what the suite runs of the sound server. */
const CASES = 40_000;

for (const [name, { what }] of Object.entries(BUGS)) {
  test(`it is found when ${what}`, (t) => {
    const args = [FUZZ, "--seed", "1", "--cases", `${CASES}`, "--bug", name];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 60_000 });
    assert.equal(status, 1, `${name} survived ${CASES} cases: ${stderr}`);
    const found = /^case (\d+) FAILED: (.*)$/m.exec(stdout);
    assert.ok(found !== null, `${stdout}${stderr}`);
    t.diagnostic(`found by case ${found[1]}: ${found[2]}`);
  });
}
