// A mutation whose text the product no longer holds would be found by nobody: said here, in a second, and not after minutes.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { MUTATIONS } from "./mutations.ts";

const ROOT = join(import.meta.dirname, "../..");

for (const [name, { edits }] of Object.entries(MUTATIONS)) {
  test(`${name}: the product holds what it changes, once`, () => {
    for (const { file, old } of edits) {
      const found = readFileSync(join(ROOT, file), "utf8").split(old).length - 1;
      assert.equal(found, 1, `${file}: ${old}`);
    }
  });
}
