import assert from "node:assert/strict";
import test from "node:test";
import { difference, labelValues, rootedAt, withLabels } from "../../src/profiling/select.ts";
import { stacksOf } from "../../src/profiling/stacks.ts";
import { type Given, profile } from "./build.ts";
import { decode } from "./read.ts";

const clicks: Given = {
  stack: [
    ["leaf", 3],
    ["root", 1],
  ],
  value: [2, 20],
  labels: { topic: "clicks", worker: "0" },
};
const views: Given = {
  stack: [
    ["other", 5],
    ["root", 1],
  ],
  value: [1, 7],
  labels: { topic: "views", worker: "1" },
};
const none: Given = { stack: [["root", 1]], value: [1, 3], labels: { worker: "1" } };
const mixed = () => profile([clicks, views, none], 1_000, 2_000);

/** Encoded and read again, as whoever fetches it has it. */
function lines(of: ReturnType<typeof profile>): string[] {
  return stacksOf(decode(of.encode())).samples.map(
    ({ frames, values, labels }) =>
      `${frames.map(({ name }) => name).join(">")} ${values.join()} ${[...labels].map(([key, value]) => `${key}=${value}`).join()}`,
  );
}

test("a label filter leaves the samples that have the label with that value", () => {
  assert.deepEqual(lines(withLabels(mixed(), [{ key: "topic", value: "clicks" }])), [
    "root>leaf 2,20 topic=clicks,worker=0",
  ]);
  assert.deepEqual(
    lines(
      withLabels(mixed(), [
        { key: "worker", value: "1" },
        { key: "topic", value: "views" },
      ]),
    ),
    ["root>other 1,7 topic=views,worker=1"],
  );
  assert.deepEqual(
    lines(
      withLabels(mixed(), [
        { key: "worker", value: "0" },
        { key: "topic", value: "views" },
      ]),
    ),
    [],
  );
  assert.deepEqual(lines(withLabels(mixed(), [{ key: "colour", value: "red" }])), []);
});

test("an empty value stands for the samples without the label", () => {
  assert.deepEqual(lines(withLabels(mixed(), [{ key: "topic", value: "" }])), ["root 1,3 worker=1"]);
  assert.equal(withLabels(mixed(), [{ key: "colour", value: "" }]).sample.length, 3);
});

test("a label's values are told in order, each once", () => {
  assert.deepEqual(labelValues(profile([views, clicks, clicks, none]), "topic"), ["clicks", "views"]);
  assert.deepEqual(labelValues(mixed(), "colour"), []);
});

test("labels become frames at the root, the first outermost, and the labels stay", () => {
  const given = mixed();
  assert.deepEqual(lines(rootedAt(given, ["topic", "worker"])), [
    "topic: clicks>worker: 0>root>leaf 2,20 topic=clicks,worker=0",
    "topic: views>worker: 1>root>other 1,7 topic=views,worker=1",
    "topic: none>worker: 1>root 1,3 worker=1",
  ]);
  assert.equal(lines(given)[0], "root>leaf 2,20 topic=clicks,worker=0");
});

test("a difference is what grew and, below zero, what shrank, and nothing that stayed", () => {
  const earlier = profile([{ ...clicks, value: [1, 25] }, none], 500, 9_000);
  const change = difference(mixed(), earlier);
  assert.deepEqual(lines(change), ["root>leaf 1,-5 topic=clicks,worker=0", "root>other 1,7 topic=views,worker=1"]);
  assert.deepEqual([Number(change.timeNanos), Number(change.durationNanos)], [1_000, 2_000]);
});

test("a difference to a window that lasted longer counts that for less", () => {
  const earlier = profile([{ ...clicks, value: [4, 39] }]);
  assert.deepEqual(lines(difference(profile([clicks]), earlier, 0.25)), ["root>leaf 1,10 topic=clicks,worker=0"]);
});

test("a difference of a difference is exact, and survives being encoded", () => {
  const back = difference(
    decode(difference(mixed(), profile([])).encode()),
    decode(difference(profile([]), mixed()).encode()),
  );
  assert.deepEqual(
    lines(back),
    lines(
      profile([
        { ...clicks, value: [4, 40] },
        { ...views, value: [2, 14] },
        { ...none, value: [2, 6] },
      ]),
    ),
  );
});

test("profiles of different types have no difference", () => {
  assert.throws(() => difference(mixed(), profile([], 0, 0, ["objects", "space"])), /different sample types/);
});
