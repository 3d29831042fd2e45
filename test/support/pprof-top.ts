// Which function a profile shows first, by `go tool pprof -top`, or, where Go is missing, by the same sum over the decoded profile.

import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { decode, flatten } from "../profiling/read.ts";

const run = promisify(execFile);

const hasGo = await run("go", ["version"]).then(
  () => true,
  () => false,
);
if (!hasGo) console.error("Go is not installed: profiles are decoded instead of shown to `go tool pprof`; install go");

/**
 * The row of the function with the most of its own, as `go tool pprof -top -lines` writes it: `name file:line`.
 * @param ignore the name of what is no function, `(external)`, and not looked at.
 */
export async function pprofTop(profile: Uint8Array, sampleType: string, ignore?: string): Promise<string> {
  return hasGo ? await goTop(profile, sampleType, ignore) : decodedTop(profile, sampleType, ignore);
}

/**
 *       flat  flat%   sum%        cum   cum%
 *     2.01s 52.34% 52.34%      2.01s 52.34%  hotHandler /src/harmful-service.ts:30
 */
async function goTop(profile: Uint8Array, sampleType: string, ignore: string | undefined): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "sluice-top-"));
  try {
    const file = join(directory, "profile.pb.gz");
    await writeFile(file, profile);
    const ignored = ignore === undefined ? [] : [`-ignore=^${RegExp.escape(ignore)}$`];
    const args = ["tool", "pprof", "-top", "-lines", "-nodecount=1", `-sample_index=${sampleType}`, ...ignored, file];
    // The first time Go may have to build it.
    const { stdout } = await run("go", args, { env: { ...process.env, PPROF_TMPDIR: directory }, timeout: 120_000 });
    const lines = stdout.split("\n");
    const row = lines[lines.findIndex((line) => /^\s*flat\s/.test(line)) + 1] ?? "";
    return row.trim().split(/\s+/).slice(5).join(" ");
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function decodedTop(profile: Uint8Array, sampleType: string, ignore: string | undefined): string {
  const sums = new Map<string, number>();
  for (const { stack, values } of flatten(decode(profile))) {
    const leaf = stack[0];
    if (leaf === undefined || leaf.name === ignore) continue;
    const row = leaf.file === "" ? leaf.name : `${leaf.name} ${leaf.file}:${leaf.line}`;
    sums.set(row, (sums.get(row) ?? 0) + (values[sampleType] ?? 0));
  }
  return [...sums].sort(([, a], [, b]) => b - a)[0]?.[0] ?? "";
}
