import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import test from "node:test";
import { tryLock } from "fs-native-extensions";
import { NativeNames } from "../../src/profiling/native-frames.ts";
import { type Cut, Profiler } from "../../src/profiling/profiler.ts";
import { crc32c } from "../../src/wire/crc32c.ts";
import { during, forMs } from "./burn.ts";
import { decode, flatten } from "./read.ts";

test("the names of native functions are known: their own, and under which they are exported", () => {
  const names = new NativeNames().current();
  for (const name of ["crc32c", "tryLock", "waitForDowngradeLock"]) assert.ok(names.has(name), name);
});

test("what an addon does shows as native code under its caller, not as a function of another addon", async (t) => {
  // Two addons are loaded, and used: V8 gives the functions of both one name.
  const file = openSync(import.meta.filename, "r+");
  assert.ok(tryLock(file));
  closeSync(file);
  const cuts: Cut[] = [];
  const profiler = new Profiler({ intervalMicros: 2_000, cut: (cut) => cuts.push(cut) });
  profiler.start();
  t.after(() => {
    profiler.stop();
  });
  const bytes = Buffer.alloc(1024 ** 2);
  await during(() => crc32c(bytes), forMs(500));
  await profiler.cut();
  const samples = cuts.flatMap(({ encoded }) => flatten(decode(encoded)));
  const below = samples
    .filter(({ stack }) => stack[1]?.name === "crc32c" && stack[1].file.endsWith("/wire/crc32c.ts"))
    .map(({ stack }) => stack[0]!);
  assert.ok(below.length > 0);
  assert.deepEqual(new Set(below.map(({ name }) => name)), new Set(["(native)"]));
});
