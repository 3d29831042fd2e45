import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { processesOf, sliceFilesOf } from "../../src/profiling/slice-files.ts";
import { profileOf } from "../../src/profiling/window.ts";
import { command, FIXTURE, readiness, scrape, startFixture } from "../supervisor/fixture/client.ts";
import { eventually } from "../support/service.ts";
import { decode, flatten, top } from "./read.ts";

/** A slice each ten seconds, and what writing takes. */
const LOST_MAX_MS = 15_000;

let root = "";

before(async () => {
  root = await mkdtemp(join(tmpdir(), "sluice-recorder-"));
});

after(async () => {
  await rm(root, { recursive: true, force: true });
});

test("processes that are killed leave what they did until at most 15 s before", { timeout: 90_000 }, async () => {
  const dataDir = join(root, "killed");
  const dir = join(dataDir, "profiles");
  const service = await startFixture({ WORKERS: "2", DATA_DIR: dataDir });
  const beginMs = Date.now();
  const pids = new Map<number, number>();
  // Slices begin to age only when there are some; the kill comes anywhere within the next one.
  const writes = async () =>
    (await Promise.all(["worker-0", "worker-1", "supervisor"].map((process) => sliceFilesOf(dir, process)))).every(
      (files) => files.some(({ toMs }) => toMs > beginMs),
    );
  await eventually(
    "every process has written a slice",
    async () => {
      const taker = await command(service, "busy 100");
      if (taker !== undefined) pids.set(taker.index, taker.pid);
      return pids.size === 2 && (await writes());
    },
    30_000,
  );
  const endMs = performance.now() + 5_000;
  while (performance.now() < endMs) await command(service, "busy 100");
  const killedMs = Date.now();
  for (const pid of [service.pid, ...pids.values()]) process.kill(pid, "SIGKILL");
  await service.exited;

  assert.deepEqual(new Set(await processesOf(dir)), new Set(["worker-0", "worker-1", "supervisor"]));
  for (const process of ["worker-0", "worker-1", "supervisor"]) {
    const files = await sliceFilesOf(dir, process);
    const newestMs = Math.max(...files.filter(({ kind }) => kind === "cpu").map(({ toMs }) => toMs));
    assert.ok(killedMs - newestMs <= LOST_MAX_MS, `${process}: ${killedMs - newestMs} ms are lost`);
  }
  const samples = flatten(await profileOf({ dir, kind: "cpu", fromMs: beginMs, toMs: killedMs }));
  for (const worker of ["0", "1"]) {
    const { frame } = top(
      samples.filter(({ labels }) => labels["worker"] === worker),
      "cpu",
    );
    assert.deepEqual([frame.name, frame.file], ["burnCpu", FIXTURE]);
  }
});

test("where profiles cannot be written they are held in memory: a problem, not an end", async () => {
  const dataDir = await mkdtemp(join(root, "full-"));
  await writeFile(join(dataDir, "profiles"), "in the way");
  await using service = await startFixture({ DATA_DIR: dataDir });
  const taken = fetch(`${service.adminUrl}/debug/pprof/profile?seconds=1&worker=0`);
  const state = { done: false };
  void taken.finally(() => (state.done = true));
  while (!state.done) await command(service, "busy 50");
  const response = await taken;
  assert.equal(response.status, 200);
  const samples = flatten(decode(new Uint8Array(await response.arrayBuffer())));
  assert.equal(top(samples, "cpu").frame.name, "burnCpu");
  const ready = await eventually("the problem is told", async () => {
    const told = await readiness(service);
    return told.problems.length > 0 && told;
  });
  assert.deepEqual([ready.status, ready.ready], [200, true]);
  assert.match(ready.problems[0]!.reason, /^profiles cannot be written \(E[A-Z]+: /);
  const failures = await eventually("the failure is counted", async () => {
    const series = await scrape(service);
    return series.get('sluice_profile_write_failures_total{worker="0"}');
  });
  assert.ok(failures > 0);
});

test("who asks does not wait for a stuck worker, and is told", async () => {
  await using service = await startFixture();
  const stuck = command(service, "busy 8000");
  const response = await fetch(`${service.adminUrl}/debug/pprof/profile?seconds=1`);
  assert.equal(response.status, 200);
  const profile = decode(new Uint8Array(await response.arrayBuffer()));
  assert.deepEqual(
    profile.comment.map((index) => profile.stringTable.strings[Number(index)]),
    ["incomplete: worker 0: it did not answer within 3 s"],
  );
  await stuck;
});

test("without profiling nothing is sampled and nothing is written, and who asks is told", async () => {
  await using service = await startFixture({ PROFILING: "false" });
  const response = await fetch(`${service.adminUrl}/debug/pprof/profile?seconds=1`);
  assert.equal(response.status, 503);
  assert.match(await response.text(), /worker 0: it does not profile itself \(PROFILING=false\)/);
  assert.ok(!(await readdir(service.dataDir)).includes("profiles"));
});
