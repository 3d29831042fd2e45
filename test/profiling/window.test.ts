import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before, beforeEach } from "node:test";
import { gzipSync } from "node:zlib";
import { CaptureError, ProfileCollector, type ProfiledProcess } from "../../src/profiling/collect.ts";
import type { CutAnswer } from "../../src/profiling/recorder.ts";
import { parseSliceFileName, sliceFileName, type Slice } from "../../src/profiling/slice.ts";
import { sliceWriter } from "../../src/profiling/slice-files.ts";
import { EmptyWindowError, profileOf } from "../../src/profiling/window.ts";
import { systemClock } from "../../src/clock.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { eventually } from "../support/service.ts";
import { type Given, profile } from "./build.ts";
import { flatten } from "./read.ts";

let dir = "";

before(async () => {
  dir = await mkdtemp(join(tmpdir(), "sluice-profiles-"));
});

beforeEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

after(async () => {
  await rm(dir, { recursive: true, force: true });
});

function slice(fromMs: number, toMs: number, given: Partial<Given> = {}, kind: "cpu" | "heap" = "cpu"): Slice {
  const sample = { stack: [["leaf", 3]], value: [1, 10], ...given } as const;
  const made = profile([sample], fromMs * 1e6, (toMs - fromMs) * 1e6);
  return { kind, fromMs, toMs, bytes: gzipSync(made.encode()) };
}

async function write(process: string, ...slices: readonly Slice[]): Promise<void> {
  for (const each of slices) await sliceWriter(dir, process)(each);
}

const comments = ({ comment, stringTable }: Awaited<ReturnType<typeof profileOf>>) =>
  comment.map((index) => stringTable.strings[Number(index)]);

const cpu = (merged: Awaited<ReturnType<typeof profileOf>>): Record<string, number> =>
  Object.fromEntries(flatten(merged).map(({ labels, values }) => [labels["worker"]!, values["cpu"]!]));

test("a slice's name says what it is, and other names are no slices", () => {
  const key = { kind: "heap", fromMs: 1_700_000_000_000, toMs: 1_700_000_010_000 } as const;
  assert.deepEqual(parseSliceFileName(sliceFileName(key)), key);
  for (const name of [
    "1-2.cpu.pb.gz.tmp",
    "1-2.wall.pb.gz",
    "-2.cpu.pb.gz",
    "stuck-12.json",
    "1-2.cpu.pb",
    "x1-2.cpu.pb.gz",
  ])
    assert.equal(parseSliceFileName(name), undefined, name);
});

test("a window has the slices that reach into it, of all processes, and not those that touch it", async () => {
  await write("worker-0", slice(0, 10), slice(10, 20), slice(20, 30), slice(30, 40));
  await write("worker-1", slice(5, 15), slice(35, 45));
  await write("supervisor", slice(12, 18));
  const merged = await profileOf({ dir, kind: "cpu", fromMs: 10, toMs: 30 });
  assert.deepEqual(cpu(merged), { 0: 20, 1: 10, supervisor: 10 });
  // The longest of them, not the sum.
  assert.equal(Number(merged.durationNanos), 20e6);
  assert.equal(Number(merged.timeNanos), 5e6);
  assert.deepEqual(cpu(await profileOf({ dir, kind: "cpu", fromMs: 0, toMs: 50, process: "worker-0" })), { 0: 40 });
});

test("a process's own span counts for it, and slices that the disk did not take are in it once", async () => {
  await write("worker-0", slice(0, 10), slice(10, 20));
  await write("worker-1", slice(0, 10), slice(10, 20));
  const held = [slice(20, 30), slice(10, 20)].map((each) => ({ ...each, process: "worker-0" }));
  const spans = new Map([["worker-0", { fromMs: 10, toMs: 30 }]]);
  assert.deepEqual(cpu(await profileOf({ dir, kind: "cpu", fromMs: 0, toMs: 20, spans, held })), { 0: 20, 1: 20 });
});

test("of the heap, each process's last profile counts", async () => {
  await write("worker-0", slice(10, 10, {}, "heap"), slice(20, 20, { value: [1, 7] }, "heap"), slice(0, 30));
  await write("worker-1", slice(15, 15, {}, "heap"));
  assert.deepEqual(cpu(await profileOf({ dir, kind: "heap", fromMs: 10, toMs: 20 })), { 0: 7, 1: 10 });
  assert.deepEqual(cpu(await profileOf({ dir, kind: "heap", fromMs: 10, toMs: 19 })), { 0: 10, 1: 10 });
});

test("what cannot be read is told, and the rest is there; nothing at all is an error", async () => {
  await write("worker-0", slice(0, 10));
  const torn = { ...slice(10, 20), bytes: slice(10, 20).bytes.subarray(0, 20) };
  await write("worker-0", torn, { ...slice(20, 30), bytes: Buffer.alloc(0) });
  await mkdir(join(dir, "worker-x"));
  await writeFile(join(dir, "worker-2"), "no directory");
  await writeFile(join(dir, "worker-0", "stuck-5.json"), "{}");
  const merged = await profileOf({ dir, kind: "cpu", fromMs: 0, toMs: 100 });
  assert.deepEqual(cpu(merged), { 0: 10 });
  assert.equal(comments(merged).length, 2);
  assert.match(comments(merged)[0] ?? "", /^unreadable: worker-0, 10-20: /);
  await assert.rejects(profileOf({ dir, kind: "cpu", fromMs: 200, toMs: 300 }), EmptyWindowError);
  await assert.rejects(profileOf({ dir: join(dir, "none"), kind: "cpu", fromMs: 0, toMs: 300 }), EmptyWindowError);
});

/** Samples one unit in each millisecond, whoever asks when. */
class Metronome implements ProfiledProcess {
  readonly name: string;
  readonly spans: [number, number][] = [];
  pid = 1;
  failure: string | undefined;
  #cutMs = Date.now();
  #cutting: Promise<CutAnswer> | undefined;

  constructor(name: string) {
    this.name = name;
  }

  async cut(): Promise<CutAnswer> {
    if (this.failure !== undefined) throw new Error(this.failure);
    return await (this.#cutting ??= this.#cut());
  }

  async #cut(): Promise<CutAnswer> {
    await new Promise((resolve) => {
      setTimeout(resolve, 3 + Number(this.name) * 5);
    });
    const fromMs = this.#cutMs;
    const toMs = (this.#cutMs = Math.max(Date.now(), fromMs + 1));
    // Whoever asks from now on gets the next one, as with a recorder: this one has ended before.
    this.#cutting = undefined;
    this.spans.push([fromMs, toMs]);
    await write(`worker-${this.name}`, slice(fromMs, toMs, { value: [1, toMs - fromMs] }));
    return { pid: this.pid, atMs: toMs, held: [] };
  }
}

test("overlapping callers get the exact sums of their own windows", async () => {
  const processes = [new Metronome("0"), new Metronome("1")];
  const collector = new ProfileCollector(dir, systemClock, () => processes);
  const callers = [0.2, 0.15, 0.3, 0.1].map(async (seconds, i) => {
    await new Promise((resolve) => {
      setTimeout(resolve, i * 30);
    });
    const merged = await collector.take({ kind: "cpu", seconds });
    return { seconds, sums: cpu(merged) };
  });
  for (const { seconds, sums } of await Promise.all(callers)) {
    for (const [name, sum] of Object.entries(sums)) {
      const { spans } = processes[Number(name)]!;
      // Exactly from one cut to another.
      const isSum = spans.some(([fromMs]) => spans.some(([, toMs]) => toMs - fromMs === sum));
      assert.ok(isSum, `worker ${name}: ${sum} ms is not the time between two cuts`);
      assert.ok(sum >= seconds * 1000 - 2, `worker ${name}: ${sum} ms of ${seconds} s`);
    }
    assert.deepEqual(Object.keys(sums), ["0", "1"]);
  }
});

test("a past window is there at once, also of a process that does not answer", async () => {
  const nowMs = Date.now();
  const stuck = new Metronome("0");
  stuck.failure = "it did not answer within 3 s";
  await write("worker-0", slice(nowMs - 40_000, nowMs - 30_000), slice(nowMs - 20_000, nowMs - 10_000));
  const processes = [stuck, new Metronome("1")];
  const collector = new ProfileCollector(dir, systemClock, () => processes);
  const past = await collector.take({ kind: "cpu", past: 25 });
  assert.equal(cpu(past)[0], 10);
  assert.ok("1" in cpu(past));
  assert.deepEqual(comments(past), ["incomplete: worker 0: it did not answer within 3 s"]);
  assert.equal(cpu(await collector.take({ kind: "cpu", past: 60 }))[0], 20);
  await assert.rejects(collector.take({ kind: "cpu", past: 5, worker: "0" }), (error) => {
    assert.ok(error instanceof CaptureError);
    assert.match(error.message, /no slices of that time; incomplete: worker 0: it did not answer within 3 s$/);
    return true;
  });
});

test("what nobody waits for any more ends: no second cut is made, and nothing is read", async () => {
  const asked = new Metronome("0");
  const clock = new FakeClock(Date.now());
  const collector = new ProfileCollector(dir, clock, () => [asked]);
  const hungUp = new Error("hung up");
  const client = new AbortController();
  const taken = collector.take({ kind: "cpu", seconds: 300 }, client.signal);
  await eventually("it waits", () => clock.timers === 1);
  client.abort(hungUp);
  await assert.rejects(taken, hungUp);
  assert.deepEqual([asked.spans.length, clock.timers], [1, 0]);
  await assert.rejects(collector.take({ kind: "cpu", past: 60 }, client.signal), hungUp);
});

test("another process in a worker's place meanwhile is told", async () => {
  const replaced = new Metronome("0");
  const collector = new ProfileCollector(dir, systemClock, () => [replaced]);
  const taken = collector.take({ kind: "cpu", seconds: 0.1 });
  setTimeout(() => (replaced.pid = 2), 50);
  assert.match(comments(await taken)[0] ?? "", /^incomplete: worker 0: its process ended, and another one runs/);
});
