import assert from "node:assert/strict";
import test from "node:test";
import { mergeProfiles } from "../../src/profiling/merge.ts";
import { profile } from "./build.ts";
import { decode, flatten } from "./read.ts";

test("samples with the same stack and the same labels become one, the others stay apart", () => {
  const merged = mergeProfiles([
    {
      profile: profile([
        {
          stack: [
            ["leaf", 3],
            ["root", 1],
          ],
          value: [1, 10],
        },
        {
          stack: [
            ["leaf", 3],
            ["root", 1],
          ],
          value: [1, 5],
          labels: { topic: "a" },
        },
        { stack: [["root", 1]], value: [0, 0] },
      ]),
    },
    {
      profile: profile([
        { stack: [["other", 9]], value: [4, 40] },
        {
          stack: [
            ["leaf", 3],
            ["root", 1],
          ],
          value: [2, 20],
        },
        {
          stack: [
            ["leaf", 4],
            ["root", 1],
          ],
          value: [1, 7],
        },
        {
          stack: [
            ["leaf", 3],
            ["root", 1],
          ],
          value: [1, 1],
          labels: { topic: "a" },
        },
      ]),
    },
  ]);
  const rows = flatten(merged).map(({ stack, labels, values }) => [
    stack.map(({ name, line }) => `${name}:${line}`).join(" < "),
    labels,
    values,
  ]);
  assert.deepEqual(rows, [
    ["leaf:3 < root:1", {}, { sample: 3, cpu: 30 }],
    ["leaf:3 < root:1", { topic: "a" }, { sample: 2, cpu: 6 }],
    ["other:9", {}, { sample: 4, cpu: 40 }],
    ["leaf:4 < root:1", {}, { sample: 1, cpu: 7 }],
  ]);
});

test("labels of an input are put on its samples", () => {
  const one = profile([{ stack: [["leaf", 3]], value: [1, 10], labels: { topic: "a" } }]);
  const merged = mergeProfiles([
    { profile: one, labels: { worker: "0" } },
    { profile: one, labels: { worker: "1" } },
    { profile: one, labels: { worker: "1" } },
  ]);
  assert.deepEqual(
    flatten(merged).map(({ labels, values }) => [labels, values["cpu"]]),
    [
      [{ topic: "a", worker: "0" }, 10],
      [{ topic: "a", worker: "1" }, 20],
    ],
  );
});

test("the time is the earliest and the durations add up", () => {
  const inputs = [profile([], 2_000, 10), profile([], 1_000, 20)].map((each) => ({ profile: each }));
  const { timeNanos, durationNanos, period } = decode(mergeProfiles(inputs).encode());
  assert.deepEqual([timeNanos, durationNanos, period].map(Number), [1_000, 30, 25]);
});

test("profiles of different types are not merged", () => {
  assert.throws(
    () => mergeProfiles([{ profile: profile([]) }, { profile: profile([], 0, 0, ["sample", "wall"]) }]),
    /profiles of different sample types cannot be merged: sample\/cpu and sample\/wall/,
  );
});
