import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

interface Locked {
  readonly version?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

// npm leaves out of the lock file what the registry at hand does not offer for other platforms, and `npm ci` then refuses
// the whole of it, on every platform. An entry with version, os, cpu and `optional` is enough.
test("the lock file has the native parts of every platform, or `npm ci` refuses it", () => {
  const { packages } = JSON.parse(readFileSync(join(import.meta.dirname, "../package-lock.json"), "utf8")) as {
    readonly packages: Readonly<Record<string, Locked>>;
  };
  const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.entries(optionalDependencies)
      .filter(([name]) => packages[`${path}/node_modules/${name}`] === undefined)
      .filter(([name]) => packages[`node_modules/${name}`] === undefined)
      .map(([name, version]) => `${name}@${version}, which ${path} may need`),
  );
  assert.deepEqual(missing, []);
});
