import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout } from "node:timers/promises";
import { time } from "@datadog/pprof";
import { shareIdleCpu } from "../../src/profiling/idle-cpu.ts";
import { type Given, profile } from "./build.ts";
import { type FlatSample, flatten } from "./read.ts";

const TYPES = ["sample", "cpu"];
const cpuOf = (samples: readonly FlatSample[]) => samples.reduce((sum, { values }) => sum + values["cpu"]!, 0);
const nameOf = ({ stack }: FlatSample) => stack[0]!.name;

function shared(samples: readonly Given[]): FlatSample[] {
  const made = profile(samples, 0, 0, TYPES);
  shareIdleCpu(made);
  return flatten(made);
}

test("the CPU time of idle samples goes to the others by their number, and none of it is lost in rounding", () => {
  const given: Given[] = [
    { stack: [["(idle)", 0]], value: [90, 100] },
    { stack: [["a", 1]], value: [1, 7], labels: { topic: "t" } },
    { stack: [["b", 1]], value: [2, 0] },
    {
      stack: [
        ["c", 1],
        ["b", 1],
      ],
      value: [3, 11],
    },
    {
      stack: [
        ["Non JS threads activity", 0],
        ["Node.js", 0],
      ],
      value: [0, 50],
    },
    { stack: [["d", 1]], value: [1, 2] },
  ];
  const samples = shared(given);
  assert.deepEqual(
    samples.map((sample) => [nameOf(sample), sample.values["cpu"]]),
    [
      ["a", 7 + 14],
      ["b", 29],
      ["c", 11 + 43],
      ["Non JS threads activity", 50],
      ["d", 2 + 14],
    ],
  );
  assert.equal(
    cpuOf(samples),
    given.reduce((sum, { value }) => sum + value[1], 0),
  );
  assert.deepEqual(samples[0]!.labels, { topic: "t" });
});

test("where nothing but idling was hit, it stays, and a heap profile is left alone", () => {
  const idle: Given[] = [
    { stack: [["(idle)", 0]], value: [90, 100] },
    { stack: [["Non JS threads activity", 0]], value: [0, 50] },
  ];
  assert.deepEqual(shared(idle), flatten(profile(idle, 0, 0, TYPES)));
  const heap = profile(idle, 0, 0, ["objects", "space"]);
  shareIdleCpu(heap);
  assert.equal(heap.sample.length, 2);
});

function burstOfWork(): number {
  let x = 0;
  const endMs = performance.now() + 2;
  while (performance.now() < endMs) x++;
  return x;
}

test("of a thread that works in short bursts, what did the work has its CPU time, and the sum is the same", async () => {
  time.start({
    intervalMicros: 25_000,
    durationMillis: 60_000,
    withContexts: true,
    collectCpuTime: true,
    useCPED: false,
    workaroundV8Bug: false,
  });
  const endMs = performance.now() + 4_000;
  while (performance.now() < endMs) {
    burstOfWork();
    await setTimeout(4);
  }
  const taken = time.stop(false);
  const before = flatten(taken as never);
  shareIdleCpu(taken);
  const after = flatten(taken as never);
  const idle = (samples: readonly FlatSample[]) => cpuOf(samples.filter((sample) => nameOf(sample) === "(idle)"));
  const working = after.filter(({ stack }) => stack.some(({ name }) => name === "burstOfWork"));
  const seen = JSON.stringify({ before: idle(before), all: cpuOf(before), working: cpuOf(working) });
  assert.ok(idle(before) > 0.1 * cpuOf(before), seen);
  assert.equal(idle(after), 0);
  assert.equal(cpuOf(after), cpuOf(before));
  assert.ok(cpuOf(working) > 0.5 * cpuOf(after), seen);
});
