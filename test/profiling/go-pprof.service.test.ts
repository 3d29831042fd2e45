import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { promisify } from "node:util";
import { mergeProfiles } from "../../src/profiling/merge.ts";
import { command, startFixture } from "../supervisor/fixture/client.ts";
import { type Given, profile } from "./build.ts";
import { content, decode } from "./read.ts";

const run = promisify(execFile);
let directory = "";
let goMissing: string | false = false;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "sluice-pprof-"));
  try {
    await run("go", ["version"]);
  } catch {
    goMissing = "Go is not installed";
    console.error("SKIPPED: profiles are not compared with `go tool pprof`, because Go is not installed; install go");
  }
});

after(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** Runs `go tool pprof`; the first time Go may have to build it. */
async function goPprof(...args: string[]) {
  const env = { ...process.env, PPROF_TMPDIR: directory };
  return await run("go", ["tool", "pprof", ...args], { env, timeout: 120_000 });
}

test("random profiles are merged exactly as go tool pprof merges them", async (t) => {
  if (goMissing !== false) {
    t.skip(goMissing);
    return;
  }
  let seed = 7;
  const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const randomSample = (): Given => ({
    stack: Array.from({ length: 1 + random(5) }, () => [`f${random(6)}`, 1 + random(3)] as const),
    value: [random(3), random(1_000)],
    labels: random(2) === 0 ? {} : { topic: `t${random(3)}` },
  });
  const inputs = Array.from({ length: 3 }, (_, i) =>
    profile(Array.from({ length: 200 }, randomSample), 1_000_000 * (3 - i), 5_000_000 + i),
  );
  const files = inputs.map((input, i) => {
    const file = join(directory, `${i}.pb`);
    writeFileSync(file, input.encode());
    return file;
  });
  const output = join(directory, "merged.pb.gz");
  await goPprof("-proto", `-output=${output}`, ...files);
  const theirs = decode(readFileSync(output));
  const ours = decode(mergeProfiles(inputs.map((each) => ({ profile: each }))).encode());
  assert.ok(content(ours).size > 100);
  assert.deepEqual(content(ours), content(theirs));
  assert.equal(ours.sample.length, theirs.sample.length);
  assert.equal(Number(ours.timeNanos), Number(theirs.timeNanos));
  assert.equal(Number(ours.durationNanos), Number(theirs.durationNanos));
});

test("go tool pprof comes in with the token in the URL, and is told what to do without it", async (t) => {
  const elsewhere = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === "IPv4" && !internal)?.address;
  if (goMissing !== false || elsewhere === undefined) {
    t.skip(goMissing === false ? "this machine has no address but loopback" : goMissing);
    return;
  }
  const token = "a-token-of-sixteen-and-more";
  await using service = await startFixture({ ADMIN_LISTEN: "0.0.0.0:0", ADMIN_TOKEN: token });
  const { port } = new URL(service.adminUrl);
  const top = async (credentials: string) =>
    await goPprof("-top", `http://${credentials}${elsewhere}:${port}/debug/pprof/heap`);
  assert.match((await top(`sluice:${token}@`)).stdout, /^Type: inuse_space$/m);
  for (const credentials of ["", "sluice:wrong@"])
    await assert.rejects(top(credentials), ({ stderr }: { stderr: string }) =>
      stderr.includes("give the token of ADMIN_TOKEN"),
    );
});

test("go tool pprof reads the profiles of the admin port, and shows its errors", async (t) => {
  if (goMissing !== false) {
    t.skip(goMissing);
    return;
  }
  await using service = await startFixture();
  const pprof = `${service.adminUrl}/debug/pprof`;
  const profiled = goPprof("-top", `${pprof}/profile?seconds=2`);
  const state = { done: false };
  void profiled.finally(() => (state.done = true)).catch(() => {});
  while (!state.done) await command(service, "busy 100");
  const { stdout } = await profiled;
  // On-CPU time is what it shows without being asked.
  assert.match(stdout, /^Type: cpu$/m);
  assert.match(stdout, /^ *[\d.]+m?s +[\d.]+% .* burnCpu$/m);

  const past = await goPprof("-peek", "^burnCpu$", "-tagfocus", "worker=^0$", `${pprof}/profile?past=60`);
  assert.match(past.stdout, /\| +burnCpu/);
  const other = await goPprof("-top", "-tagfocus", "worker=^supervisor$", `${pprof}/profile?past=60`);
  assert.doesNotMatch(other.stdout, /burnCpu/);
  const rooted = await goPprof("-peek", "^worker: 0$", `${pprof}/profile?past=60&root=worker`);
  assert.match(rooted.stdout, /\| +worker: 0/);

  // The last seconds were idle, so what was busy is now less than nothing.
  const diffed = await goPprof(
    "-top",
    "-diff_base",
    `${pprof}/profile?past=60&worker=0`,
    `${pprof}/profile?seconds=1&worker=0`,
  );
  assert.match(diffed.stdout, /^ *-[\d.]+m?s +[\d.]+% .* burnCpu$/m);
  assert.match((await goPprof("-raw", `${pprof}/profile?past=60&label=worker:0`)).stdout, /worker:\[0\]/);

  assert.match((await goPprof("-top", `${pprof}/heap`)).stdout, /^Type: inuse_space$/m);
  assert.match((await goPprof("-top", `${pprof}/heap?seconds=1`)).stdout, /^Type: inuse_space$/m);
  for (const [query, message] of [
    ["profile?seconds=1&worker=7", 'worker: "7" is none of 0, supervisor'],
    ["profile?past=60&label=topic:none-such", "label: no sample has topic:none-such"],
    ["profile?past=10&ago=80000", "no profile: there are no slices of that time"],
    ["allocs", "allocs: this service samples what is alive"],
  ] as const)
    await assert.rejects(goPprof("-top", `${pprof}/${query}`), (error: { stderr: string }) =>
      error.stderr.includes(message),
    );
});
