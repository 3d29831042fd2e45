import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test, { after, before } from "node:test";
import { setImmediate } from "node:timers/promises";
import { Profiler, WORKER_INTERVAL_MICROS } from "../../src/profiling/profiler.ts";
import { mergeProfiles } from "../../src/profiling/merge.ts";
import { decode, flatten, top, type FlatSample } from "./read.ts";

let restarts = 0;
const profiler = new Profiler({
  intervalMicros: WORKER_INTERVAL_MICROS,
  restarted: () => {
    restarts += 1;
  },
});

before(() => {
  profiler.start();
});

after(() => {
  profiler.stop();
});

// Three functions alike, because a profile tells functions apart.
function burnFirst(): number {
  let x = 0;
  for (let i = 0; i < 3_000_000; i++) x = (x * 31 + i) % 1_000_003;
  return x;
}

function burnSecond(): number {
  let x = 0;
  for (let i = 0; i < 3_000_000; i++) x = (x * 37 + i) % 1_000_003;
  return x;
}

function burnThird(): number {
  let x = 0;
  for (let i = 0; i < 3_000_000; i++) x = (x * 41 + i) % 1_000_003;
  return x;
}

/** Calls it, one turn of the event loop after the other, until `done`. */
async function during(burn: () => number, done: () => boolean): Promise<void> {
  while (!done()) {
    burn();
    await setImmediate();
  }
}

/** Calls it until the promise is settled. */
async function until<T>(burn: () => number, promise: Promise<T>): Promise<T> {
  let settled = false;
  const end = promise.finally(() => {
    settled = true;
  });
  await during(burn, () => settled);
  return await end;
}

function forMs(ms: number): () => boolean {
  const endMs = performance.now() + ms;
  return () => performance.now() > endMs;
}

const merged = (slices: readonly Uint8Array[]): FlatSample[] =>
  flatten(mergeProfiles(slices.map((bytes) => ({ profile: decode(bytes) }))));

const names = (samples: readonly FlatSample[]) =>
  new Set(samples.flatMap(({ stack }) => stack.map(({ name }) => name)));

function lineOf(text: string): number {
  const lines = readFileSync(import.meta.filename, "utf8").split("\n");
  return lines.findIndex((line) => line.startsWith(text)) + 1;
}

test("a busy function is at the top of the profile, with its file and its line", async () => {
  const slices = await until(burnFirst, profiler.window(700));
  const samples = merged(slices);
  const { frame, value } = top(samples, "cpu");
  assert.deepEqual(frame, { name: "burnFirst", file: import.meta.filename, line: lineOf("function burnFirst") });
  // Most of the time of the window, on a machine that may be busy with other things.
  const total = samples.reduce((sum, { values }) => sum + values["cpu"]!, 0);
  assert.ok(value > total / 2);
  assert.ok(value > 1e6);
});

test("two overlapping windows each have what happened within them, and nothing else", async () => {
  const first = profiler.window(700);
  await during(burnFirst, forMs(500));
  const second = profiler.window(1_000);
  const firstSlices = await until(burnSecond, first);
  const secondSlices = await until(burnThird, second);

  const inFirst = names(merged(firstSlices));
  assert.ok(inFirst.has("burnFirst") && inFirst.has("burnSecond"));
  assert.ok(!inFirst.has("burnThird"));
  const inSecond = names(merged(secondSlices));
  assert.ok(inSecond.has("burnSecond") && inSecond.has("burnThird"));
  assert.ok(!inSecond.has("burnFirst"));
  // The cut in between belongs to both, so the first window is made of slices that it shares.
  assert.ok(firstSlices.length >= 2 && secondSlices.length >= 2);
});

test("callers at the same time share their cuts, and a short slice never restarts V8's profiler", async () => {
  const windows = await until(burnFirst, Promise.all(Array.from({ length: 8 }, () => profiler.window(1))));
  assert.deepEqual(new Set(windows.map((slices) => slices.length)), new Set([1]));
  assert.equal(restarts, 0);
});

test("the slices of a window follow each other without a gap", async () => {
  const beginMs = performance.now();
  const long = profiler.window(900);
  await until(burnFirst, Promise.all([profiler.window(300), profiler.window(600)]));
  const slices = (await until(burnFirst, long)).map((bytes) => decode(bytes));
  const elapsedMs = performance.now() - beginMs;
  const coveredMs = slices.reduce((sum, { durationNanos }) => sum + Number(durationNanos), 0) / 1e6;
  assert.ok(slices.length >= 3);
  assert.ok(coveredMs >= 800 && coveredMs <= elapsedMs + 10, `${coveredMs} of ${elapsedMs} ms`);
  const starts = slices.map(({ timeNanos }) => Number(timeNanos));
  assert.deepEqual(
    starts,
    [...starts].sort((a, b) => a - b),
  );
});

test("the heap profile says who holds memory", () => {
  const held = Array.from({ length: 400 }, (_, i) => allocateMuch(i));
  const samples = flatten(decode(profiler.heap()));
  const holder = samples.find(({ stack }) => stack.some(({ name }) => name === "allocateMuch"));
  assert.ok(holder !== undefined);
  assert.ok(holder.values["inuse_space"]! > 1e6);
  assert.equal(held.length, 400);
});

function allocateMuch(seed: number): number[] {
  return Array.from({ length: 20_000 }, (_, i) => i + seed + 0.5);
}
