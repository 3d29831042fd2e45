import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { StringTable, Profile } from "pprof-format";
import { foldedText } from "../../src/profiling/folded.ts";
import { speedscopeFile } from "../../src/profiling/speedscope.ts";
import { sampleTypes, stacksOf } from "../../src/profiling/stacks.ts";
import { heaviestFunctions, profileText, quantity } from "../../src/profiling/text.ts";
import { type Given, profile } from "./build.ts";

const CPU = 1;
const samples: readonly Given[] = [
  {
    stack: [
      ["leaf", 3],
      ["root", 1],
    ],
    value: [2, 20],
    labels: { topic: "clicks" },
  },
  {
    stack: [
      ["leaf", 3],
      ["root", 1],
    ],
    value: [1, 5],
    labels: { topic: "views" },
  },
  { stack: [["root", 1]], value: [1, 70] },
];

test("folded stacks are summed over labels, root first, in order", () => {
  assert.equal(foldedText(stacksOf(profile(samples)), CPU), "root a.ts:1 70\nroot a.ts:1;leaf a.ts:3 25\n");
  assert.equal(foldedText(stacksOf(profile(samples)), 0), "root a.ts:1 1\nroot a.ts:1;leaf a.ts:3 3\n");
});

test("folded stacks keep their grammar whatever a function is called, and have only what is above zero", () => {
  const strange = profile([
    { stack: [["a;b\n c", 1]], value: [1, 4] },
    { stack: [["shrank", 2]], value: [1, -4] },
    { stack: [["still", 2]], value: [1, 0] },
    { stack: [["", 3]], value: [1, 1] },
  ]);
  assert.equal(foldedText(stacksOf(strange), CPU), "(anonymous) a.ts:3 1\na:b c a.ts:1 4\n");
});

test("a speedscope file has each frame once, root first, the heaviest sample first, and nothing below zero", () => {
  const { shared, profiles } = speedscopeFile(
    stacksOf(profile([...samples, { stack: [["shrank", 9]], value: [1, -1] }])),
    CPU,
    "last 5 minutes",
  );
  assert.deepEqual(shared.frames, [
    { name: "root", file: "a.ts", line: 1 },
    { name: "leaf", file: "a.ts", line: 3 },
  ]);
  assert.deepEqual(profiles, [
    {
      type: "sampled",
      name: "last 5 minutes (cpu)",
      unit: "none",
      startValue: 0,
      endValue: 95,
      samples: [[0], [0, 1], [0, 1]],
      weights: [70, 20, 5],
    },
  ]);
});

test("a speedscope file has what speedscope's schema requires", () => {
  const path = new URL(import.meta.resolve("speedscope/dist/release/file-format-schema.json"));
  const { definitions } = JSON.parse(readFileSync(path, "utf8")) as {
    definitions: Record<string, { required?: string[]; enum?: string[] }>;
  };
  const file = speedscopeFile(stacksOf(profile(samples)), CPU, "x");
  for (const [of, name] of [
    [file, "FileFormat.File"],
    [file.profiles[0]!, "FileFormat.SampledProfile"],
    [file.shared.frames[0]!, "FileFormat.Frame"],
  ] as const)
    for (const field of definitions[name]!.required!) assert.ok(field in of, `${name}.${field}`);
  assert.ok(definitions["FileFormat.ValueUnit"]!.enum!.includes(file.profiles[0]!.unit));
});

test("the type that is shown is the one that the profile names, else the last, as in pprof", () => {
  const stringTable = new StringTable();
  const type = (name: string) => ({ type: stringTable.dedup(name), unit: stringTable.dedup("nanoseconds") });
  const sampleType = [type("sample"), type("wall"), type("cpu")];
  assert.equal(sampleTypes(new Profile({ stringTable, sampleType })).defaultType, 2);
  const named = new Profile({ stringTable, sampleType, defaultSampleType: stringTable.dedup("wall") });
  assert.equal(sampleTypes(named).defaultType, 1);
  assert.deepEqual(sampleTypes(named).types[1], { type: "wall", unit: "nanoseconds" });
});

test("a function's own weight and that of what it called are told apart, and recursion counts once", () => {
  const weights = heaviestFunctions(
    stacksOf(
      profile([
        ...samples,
        {
          stack: [
            ["leaf", 3],
            ["leaf", 3],
            ["root", 1],
          ],
          value: [1, 100],
        },
      ]),
    ),
    CPU,
  );
  assert.deepEqual(
    weights.map(({ frame, flat, cumulative }) => [frame.name, flat, cumulative]),
    [
      ["leaf", 125, 125],
      ["root", 70, 195],
    ],
  );
});

test("the text has the heaviest functions, then the stacks with their labels, the leaf first", () => {
  const text = profileText(profile(samples, 1_700_000_000_000_000_000, 30_000_000_000), CPU);
  assert.equal(
    text,
    `cpu of 95, 3 stacks; lasted 30.00 s from 2023-11-14T22:13:20.000Z
types: sample/count cpu/count

        flat   flat%          cum    cum%
          70   73.7%           95  100.0%  root a.ts:1
          25   26.3%           25   26.3%  leaf a.ts:3

70 (73.7%) @
#  root a.ts:1

20 (21.1%) @ topic=clicks
#  leaf a.ts:3
#  root a.ts:1

5 (5.3%) @ topic=views
#  leaf a.ts:3
#  root a.ts:1
`,
  );
});

test("an empty profile is a text, too", () => {
  assert.match(profileText(profile([]), CPU), /^cpu of 0, 0 stacks/);
});

test("quantities have their unit", () => {
  for (const [value, unit, text] of [
    [1_234_000_000, "nanoseconds", "1.23 s"],
    [2_500, "milliseconds", "2.50 s"],
    [17, "count", "17"],
    [512, "bytes", "512 B"],
    [-2_048, "bytes", "-2.0 KiB"],
    [3.4 * 1024 ** 2, "bytes", "3.4 MiB"],
    [2 * 1024 ** 3, "bytes", "2.0 GiB"],
  ] as const)
    assert.equal(quantity(value, unit), text);
});
