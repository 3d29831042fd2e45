import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { mergeProfiles } from "../../src/profiling/merge.ts";
import { type Cut, Profiler, WORKER_INTERVAL_MICROS } from "../../src/profiling/profiler.ts";
import { burnFirst, burnSecond, burnThird, during, forMs, until } from "./burn.ts";
import { decode, flatten, top, type FlatSample } from "./read.ts";

let restarts = 0;
const cuts: Cut[] = [];
const profiler = new Profiler({
  intervalMicros: WORKER_INTERVAL_MICROS,
  cut: (cut) => cuts.push(cut),
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

/** The slices of the next while, exactly. */
async function window(durationMs: number): Promise<Cut[]> {
  const fromMs = await profiler.cut();
  await new Promise((resolve) => {
    setTimeout(resolve, durationMs);
  });
  const toMs = await profiler.cut();
  return cuts.filter((cut) => cut.fromMs >= fromMs && cut.toMs <= toMs);
}

const merged = (slices: readonly Cut[]): FlatSample[] =>
  flatten(mergeProfiles(slices.map(({ encoded }) => ({ profile: decode(encoded) }))));

const names = (samples: readonly FlatSample[]) =>
  new Set(samples.flatMap(({ stack }) => stack.map(({ name }) => name)));

const BURN = join(import.meta.dirname, "burn.ts");

function lineOf(text: string): number {
  return (
    readFileSync(BURN, "utf8")
      .split("\n")
      .findIndex((line) => line.startsWith(text)) + 1
  );
}

test("a busy function is at the top of the profile, with its file and its line", async () => {
  const samples = merged(await until(burnFirst, window(700)));
  const { frame, value } = top(samples, "cpu");
  assert.deepEqual(frame, { name: "burnFirst", file: BURN, line: lineOf("export function burnFirst") });
  // Most of the time of the window, on a machine that may be busy with other things.
  const total = samples.reduce((sum, { values }) => sum + values["cpu"]!, 0);
  assert.ok(value > total / 2);
  assert.ok(value > 1e6);
});

test("two overlapping windows each have what happened within them, and nothing else", async () => {
  const first = window(700);
  await during(burnFirst, forMs(500));
  const second = window(1_000);
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
  const windows = await until(burnFirst, Promise.all(Array.from({ length: 8 }, () => window(1))));
  assert.deepEqual(new Set(windows.map((slices) => slices.length)), new Set([1]));
  assert.equal(restarts, 0);
});

test("slices follow each other without a gap", async () => {
  const long = window(900);
  await until(burnFirst, Promise.all([window(300), window(600)]));
  const slices = await until(burnFirst, long);
  assert.ok(slices.length >= 3);
  for (const [i, { fromMs }] of slices.entries()) if (i > 0) assert.equal(fromMs, slices[i - 1]!.toMs);
  for (const { fromMs, encoded } of slices) assert.equal(Number(decode(encoded).timeNanos), fromMs * 1e6);
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
