// `npm run check`: everything that has to hold before a commit, side by side.
//
// The tests are printed as they go, since they take longest; what another check says comes in one piece when it has ended. The
// last line names what failed, and the exit code is 1 if anything did.
//
// Rejected: one after the other. Two cores then wait for one process at a time, and whoever has made two mistakes learns of
// the second once the first is mended.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..");
/** npm scripts of these names. */
const CHECKS = ["types", "lint", "format:check"] as const;
const TESTS = "test:unit";

interface Ended {
  readonly name: string;
  readonly failed: boolean;
}

function run(name: string, stdio: "inherit" | "pipe") {
  return spawn("npm", ["run", "--silent", name], { cwd: ROOT, stdio: ["ignore", stdio, stdio] });
}

/** @throws if there is no npm. */
async function check(name: string): Promise<Ended> {
  const began = performance.now();
  const child = run(name, "pipe");
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const [code] = (await once(child, "close")) as [number | null];
  const failed = code !== 0;
  const line = `${failed ? "FAIL" : "ok  "} ${name}  (${((performance.now() - began) / 1000).toFixed(1)} s)\n`;
  // Nobody has to read what a check says that is content.
  process.stdout.write(failed ? line + output.replaceAll(/^(?=.)/gm, "    ") : line);
  return { name, failed };
}

async function test(): Promise<Ended> {
  const [code] = (await once(run(TESTS, "inherit"), "close")) as [number | null];
  return { name: TESTS, failed: code !== 0 };
}

const ended = await Promise.all([...CHECKS.map(check), test()]);
const failed = ended.filter((each) => each.failed).map(({ name }) => name);
process.stdout.write(failed.length === 0 ? "All checks pass.\n" : `FAILED: ${failed.join(", ")}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
