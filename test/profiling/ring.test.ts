import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { afterEach, beforeEach } from "node:test";
import { ProfileRing } from "../../src/profiling/ring.ts";
import { sliceWriter } from "../../src/profiling/slice-files.ts";
import { FakeClock } from "../support/fake-clock.ts";

let dir = "";
let clock = new FakeClock();
let kept: number[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "sluice-ring-"));
  clock = new FakeClock();
  kept = [];
});

afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

const ring = (ageMaxMs: number, bytesMax: number) =>
  new ProfileRing(clock, { dir, ageMaxMs, bytesMax }, (bytes) => kept.push(bytes));

const nowMs = () => clock.now();

async function write(process: string, agoMs: number, bytes = 100, kind: "cpu" | "heap" = "cpu"): Promise<void> {
  const toMs = nowMs() - agoMs;
  await sliceWriter(dir, process)({ kind, fromMs: toMs - 10_000, toMs, bytes: Buffer.alloc(bytes) });
}

async function agesOf(process: string): Promise<number[]> {
  const names = await readdir(join(dir, process));
  return names.map((name) => nowMs() - Number(/-(\d+)\./.exec(name)?.[1])).sort((a, b) => a - b);
}

test("what ended too long ago goes, of every process, those of slots that are gone as well", async () => {
  for (const process of ["worker-0", "worker-7", "supervisor"])
    for (const ago of [1_000, 60_000, 61_000]) await write(process, ago);
  const all = ring(60_000, 1e9);
  await all.prune();
  for (const process of ["worker-0", "worker-7", "supervisor"])
    assert.deepEqual(await agesOf(process), [1_000, 60_000]);
  assert.deepEqual(kept, [600]);
  clock.advance(120_000);
  await all.prune();
  // Empty directories go at the next look.
  await all.prune();
  assert.deepEqual(await readdir(dir), []);
  assert.deepEqual(kept, [600, 0, 0]);
});

test("beyond the bytes the oldest go first, whoever wrote them and whatever they are", async () => {
  await write("worker-0", 1_000, 400);
  await write("worker-1", 2_000, 400, "heap");
  await write("worker-0", 3_000, 400);
  await write("worker-1", 4_000, 10);
  await ring(60_000, 1_000).prune();
  assert.deepEqual(await agesOf("worker-0"), [1_000]);
  assert.deepEqual(await agesOf("worker-1"), [2_000]);
  assert.deepEqual(kept, [800]);
});

test("files that are not slices are left alone, but for what a killed process left half-written", async () => {
  await write("worker-0", 1_000);
  const old = nowMs() - 3_600_000;
  for (const name of [
    `stuck-${old}.json`,
    `${old}-${old}.wall.pb.gz`,
    "x.tmp",
    `${old - 1}-${old}.cpu.pb.gz.tmp`,
    `${nowMs() - 9}-${nowMs()}.cpu.pb.gz.tmp`,
  ])
    await writeFile(join(dir, "worker-0", name), "x");
  await writeFile(join(dir, "history.json"), "{}");
  await mkdir(join(dir, "worker-07x"));
  await ring(60_000, 1e6).prune();
  const left = await readdir(join(dir, "worker-0"));
  assert.equal(left.length, 5);
  assert.ok(!left.includes(`${old - 1}-${old}.cpu.pb.gz.tmp`));
  assert.ok((await stat(join(dir, "history.json"))).isFile());
  assert.ok((await stat(join(dir, "worker-07x"))).isDirectory());
});

test("a directory that is not there holds nothing", async () => {
  await rm(dir, { recursive: true });
  await ring(60_000, 1e6).prune();
  assert.deepEqual(kept, [0]);
});

test("it looks every ten seconds until it is stopped", async () => {
  await write("worker-0", 1_000);
  const each = ring(15_000, 1e6);
  each.start();
  for (const looks of [1, 2, 3]) {
    clock.advance(10_000);
    while (kept.length < looks)
      await new Promise((resolve) => {
        setTimeout(resolve, 1);
      });
    await new Promise((resolve) => {
      setTimeout(resolve, 1);
    });
  }
  assert.deepEqual(kept, [100, 0, 0]);
  await each.stop();
  clock.advance(100_000);
  await each.stop();
  assert.equal(kept.length, 3);
});

test("slices are for the service's own user", async () => {
  await write("worker-0", 1_000);
  const [name] = await readdir(join(dir, "worker-0"));
  const modes = [join(dir, "worker-0"), join(dir, "worker-0", name!)].map(
    async (path) => (await stat(path)).mode & 0o777,
  );
  assert.deepEqual(await Promise.all(modes), [0o700, 0o600]);
});
