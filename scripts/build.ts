// `npm run build`: compiles src/ to dist/, which is what the npm package and the container image run.
//
// The repository needs no build: Node.js strips the types of .ts files itself. It never does so under node_modules, so a
// package has to hold JavaScript. Rejected: a bundler. Files stay one to one, so that profiles and stack traces name the
// same file and function everywhere, and native modules are found where npm put them.

import { execFileSync } from "node:child_process";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..");
const TSC = join(ROOT, "node_modules", "typescript", "bin", "tsc");

/** @param outDir emptied first, so that nothing of an older build is published. */
function build(outDir: string): void {
  rmSync(outDir, { recursive: true, force: true });
  compile(outDir, "tsconfig.build.json");
  // What runs in a browser has its own types.
  compile(outDir, "src/admin/live/client/tsconfig.json", "--noEmit", "false", "--rootDir", join(ROOT, "src"));
  // Generated JavaScript, which tsc reads but does not emit.
  cpSync(join(ROOT, "src", "gen"), join(outDir, "gen"), { recursive: true });
}

function compile(outDir: string, project: string, ...flags: readonly string[]): void {
  execFileSync(process.execPath, [TSC, "-p", join(ROOT, project), "--outDir", outDir, ...flags], {
    stdio: ["ignore", "inherit", "inherit"],
  });
}

try {
  build(join(ROOT, "dist"));
} catch (error) {
  // tsc has said what is wrong.
  process.stderr.write(`build: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
