import assert from "node:assert/strict";
import { once } from "node:events";
import test, { after, before, beforeEach } from "node:test";
import { AdminServer } from "../../src/admin/server.ts";
import type { AdminState } from "../../src/admin/state.ts";
import { CaptureError, type CaptureRequest } from "../../src/profiling/collect.ts";
import type { SpeedscopeFile } from "../../src/profiling/speedscope.ts";
import { stacksOf } from "../../src/profiling/stacks.ts";
import { noLive } from "./no-live.ts";
import { noIncidents } from "../incidents/support.ts";
import { type Given, profile } from "../profiling/build.ts";
import { decode, flatten } from "../profiling/read.ts";
import { eventually } from "../support/service.ts";

const clicks: Given = {
  stack: [
    ["leaf", 3],
    ["root", 1],
  ],
  value: [1, 10],
  labels: { topic: "clicks", worker: "0" },
};
const views: Given = {
  stack: [
    ["other", 5],
    ["root", 1],
  ],
  value: [1, 4],
  labels: { topic: "views", worker: "1" },
};

let captured: CaptureRequest[] = [];
/** Captures whose client hung up. */
let ended = 0;
let release: Promise<void> = Promise.resolve();
/** What the next captures find, in order; the last one again and again. */
let found: (ReturnType<typeof profile> | Error)[] = [];

const thread = {
  tid: 7,
  name: "node",
  cpuUserSeconds: 1.5,
  cpuSystemSeconds: 0.25,
  runQueueSeconds: 0.125,
  voluntarySwitches: 3,
  involuntarySwitches: 4,
};
const second = {
  atMs: 1_700_000_000_000,
  turns: 9,
  mean: 0.001,
  p50: 0.001,
  p90: 0.002,
  p99: 0.003,
  max: 0.25,
  buckets: [5, 2, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0],
};

const unused = () => {
  throw new Error("not asked here");
};
const state: AdminState = {
  renderMetrics: unused,
  readiness: unused,
  ledger: unused,
  dropLetters: unused,
  ...noIncidents,
  ...noLive,
  profiled: ["0", "1", "supervisor"],
  commandLine: ["node", "main.ts", "serve"],
  profile: async (request, signal) => {
    captured.push(request);
    await Promise.race([release, once(signal, "abort")]);
    if (signal.aborted) ended += 1;
    signal.throwIfAborted();
    const next = found.length > 1 ? found.shift() : found[0];
    if (next instanceof Error) throw next;
    return next!;
  },
  inspect: async (question) =>
    // The type of an answer follows from the question, which TypeScript does not see here.
    [
      { worker: "0", value: question === "threads" ? [thread] : [second] },
      { worker: "1", reason: "it does not run now" },
    ] as never,
};

const admin = new AdminServer(state, { host: "127.0.0.1", port: 0 });
let base = "";

before(async () => {
  const { host, port } = await admin.start();
  base = `http://${host}:${port}/debug/pprof`;
});

after(async () => {
  await admin.dispose();
});

beforeEach(() => {
  captured = [];
  found = [profile([clicks, views], 0, 60e9)];
  release = Promise.resolve();
});

async function get(path: string, headers: Record<string, string> = {}) {
  const response = await fetch(`${base}/${path}`, { headers, redirect: "manual" });
  const bytes = Buffer.from(await response.arrayBuffer());
  return { status: response.status, headers: response.headers, bytes, text: bytes.toString() };
}

/** Stacks with their values of the last type, of an answer in pprof's format. */
async function stacks(path: string): Promise<string[]> {
  const { status, bytes, text } = await get(path);
  assert.equal(status, 200, text);
  return stacksOf(decode(bytes)).samples.map(
    ({ frames, values }) => `${frames.map(({ name }) => name).join(">")} ${values.at(-1)}`,
  );
}

test("without parameters a profile is that of the next 30 s of every process, gzipped", async () => {
  const { status, headers, bytes } = await get("profile");
  assert.equal(status, 200);
  assert.equal(headers.get("content-disposition"), 'attachment; filename="profile.pb.gz"');
  assert.deepEqual([...bytes.subarray(0, 2)], [0x1f, 0x8b]);
  assert.deepEqual(captured, [{ kind: "cpu", seconds: 30, worker: undefined }]);
  assert.deepEqual(
    flatten(decode(bytes)).map(({ labels }) => labels),
    [
      { topic: "clicks", worker: "0" },
      { topic: "views", worker: "1" },
    ],
  );
});

for (const [path, asked] of [
  ["profile?seconds=5&worker=1", { kind: "cpu", seconds: 5, worker: "1" }],
  ["profile?past=300", { kind: "cpu", past: 300, ago: 0, worker: undefined }],
  ["profile?past=60&ago=90&worker=supervisor", { kind: "cpu", past: 60, ago: 90, worker: "supervisor" }],
  ["heap", { kind: "heap", ago: 0, worker: undefined }],
  ["heap?gc=0&debug=0", { kind: "heap", ago: 0, worker: undefined }],
  ["heap?ago=600&worker=1", { kind: "heap", ago: 600, worker: "1" }],
] as const)
  test(`${path} asks for what it says`, async () => {
    assert.equal((await get(path)).status, 200);
    assert.deepEqual(captured, [asked]);
  });

test("base is the difference to the same window that many seconds earlier, as if they were equally long", async () => {
  const earlier = profile([{ ...clicks, value: [4, 14] }], 0, 120e9);
  for (const [path, windows] of [
    [
      "profile?past=60&base=300",
      [
        { past: 60, ago: 0 },
        { past: 60, ago: 300 },
      ],
    ],
    [
      "profile?past=60&ago=10&base=300",
      [
        { past: 60, ago: 10 },
        { past: 60, ago: 310 },
      ],
    ],
    ["profile?seconds=60&base=300", [{ seconds: 60 }, { past: 60, ago: 300 }]],
  ] as const) {
    captured = [];
    found = [profile([clicks, views], 0, 60e9), earlier];
    assert.deepEqual(await stacks(path), ["root>leaf 3", "root>other 4"]);
    assert.deepEqual(
      captured,
      windows.map((window) => ({ kind: "cpu", worker: undefined, ...window })),
    );
  }
});

test("a difference has what shrank below zero in pprof's format, and not at all in a flame graph", async () => {
  const windows = () => [
    profile([clicks]),
    profile([
      { ...clicks, value: [1, 12] },
      { ...views, value: [0, 0] },
    ]),
  ];
  found = windows();
  assert.deepEqual(await stacks("heap?base=60"), ["root>leaf -2"]);
  found = windows();
  assert.equal((await get("heap?base=60&format=folded")).text, "");
  found = windows();
  assert.match((await get("heap?base=60&debug=1")).text, /^ *-2 -100\.0% +-2 -100\.0% {2}leaf a\.ts:3$/m);
});

test("the heap over some seconds is what came meanwhile", async () => {
  found = [profile([clicks]), profile([clicks, views])];
  assert.deepEqual(await stacks("heap?seconds=1&worker=0"), ["root>other 4"]);
  assert.deepEqual(captured, [
    { kind: "heap", worker: "0" },
    { kind: "heap", worker: "0" },
  ]);
});

test("a label chooses samples, two of them those that have both", async () => {
  assert.deepEqual(await stacks("profile?past=1&label=topic:clicks"), ["root>leaf 10"]);
  assert.deepEqual(await stacks("profile?past=1&label=topic:views&label=worker:1"), ["root>other 4"]);
});

test("a label that no sample has is not found, and the answer lists the ones that are there", async () => {
  const { status, headers, text } = await get("profile?past=1&label=topic:orders");
  assert.deepEqual([status, headers.get("x-go-pprof")], [404, "1"]);
  assert.equal(text, "label: no sample has topic:orders; topic is one of clicks, views\n");
  assert.equal(
    (await get("profile?past=1&label=colour:red")).text,
    "label: no sample has colour:red; no sample has a label colour\n",
  );
});

test("every format can be asked for, each with its type", async () => {
  const folded = await get("profile?past=1&format=folded&root=topic");
  assert.equal(folded.headers.get("content-type"), "text/plain; charset=utf-8");
  assert.equal(folded.text, "topic: clicks;root a.ts:1;leaf a.ts:3 10\ntopic: views;root a.ts:1;other a.ts:5 4\n");

  const speedscope = await get("profile?past=1&format=speedscope&type=sample");
  assert.equal(speedscope.headers.get("content-type"), "application/json; charset=utf-8");
  const file = JSON.parse(speedscope.text) as SpeedscopeFile;
  assert.deepEqual(file.profiles[0]?.weights, [1, 1]);

  for (const asked of ["debug=1", "format=text"]) {
    const text = await get(`profile?past=1&${asked}`);
    assert.equal(text.headers.get("content-type"), "text/plain; charset=utf-8");
    assert.match(text.text, /^cpu of 14, 2 stacks/);
  }
  for (const asked of ["debug=0", "format=pprof"])
    assert.equal((await get(`profile?past=1&${asked}`)).headers.get("content-type"), "application/octet-stream");
});

test("text is gzipped for whoever takes that", async () => {
  const gzipped = await get("profile?past=1&format=folded", { "accept-encoding": "gzip" });
  assert.equal(gzipped.headers.get("content-encoding"), "gzip");
  const plain = await get("profile?past=1&format=folded", { "accept-encoding": "identity" });
  assert.equal(plain.headers.get("content-encoding"), null);
  assert.equal(gzipped.text, plain.text);
});

test("the type that is asked for is what pprof shows", async () => {
  const { bytes } = await get("profile?past=1&type=sample");
  const { defaultSampleType, stringTable } = decode(bytes);
  assert.equal(stringTable.strings[Number(defaultSampleType)], "sample");
});

const WINDOW = "seconds, past, ago, base, worker, label, root, type, format, debug";
for (const [path, message] of [
  ["profile?seconds=0", 'seconds: "0" is not a whole number from 1 to 300'],
  ["profile?seconds=301", 'seconds: "301" is not a whole number from 1 to 300'],
  ["profile?seconds=1.5", 'seconds: "1.5" is not a whole number from 1 to 300'],
  ["profile?seconds=", 'seconds: "" is not a whole number from 1 to 300'],
  ["profile?seconds=1&seconds=2", "seconds: given more than once"],
  ["profile?second=1", `second: not known here; known are ${WINDOW}`],
  ["profile?__proto__=1", `__proto__: not known here; known are ${WINDOW}`],
  ["profile?past=0", 'past: "0" is not a whole number from 1 to 86400'],
  ["profile?past=-1", 'past: "-1" is not a whole number from 1 to 86400'],
  ["profile?past=1e3", 'past: "1e3" is not a whole number from 1 to 86400'],
  ["profile?past=60&seconds=30", "past: not together with seconds"],
  ["profile?ago=60&seconds=30", "ago: not together with seconds"],
  ["profile?ago=60", "ago: says when a window of the past ended; give past, too"],
  ["profile?past=60&base=0", 'base: "0" is not a whole number from 1 to 86400'],
  ["profile?worker=2", 'worker: "2" is none of 0, 1, supervisor'],
  ["profile?past=1&label=clicks", 'label: "clicks" is not name:value, for example topic:clicks'],
  ["profile?past=1&label=:clicks", 'label: ":clicks" is not name:value, for example topic:clicks'],
  ["profile?past=1&root=", "root: a label's name is missing; give for example root=topic,worker"],
  ["profile?past=1&format=svg", 'format: "svg" is none of pprof, folded, speedscope, text'],
  ["profile?past=1&debug=2", 'debug: "2" is none of 0, 1'],
  ["profile?past=1&debug=1&format=text", "debug: not together with format"],
  ["heap?worker=2", 'worker: "2" is none of 0, 1, supervisor'],
  ["heap?past=5", `past: not known here; known are seconds, ago, base, gc, worker, label, root, type, format, debug`],
  ["heap?seconds=5&base=60", "base: not together with seconds"],
  ["heap?gc=yes", 'gc: "yes" is none of 0, 1'],
  ["threads?worker=9", 'worker: "9" is none of 0, 1, supervisor'],
  ["eventloop?format=pprof", 'format: "pprof" is none of text, json'],
] as const) {
  test(`/debug/pprof/${path} is a bad request that names the parameter`, async () => {
    const { status, headers, text } = await get(path);
    assert.equal(text, `${message}\n`);
    assert.equal(status, 400);
    assert.equal(headers.get("x-go-pprof"), "1");
    assert.match(headers.get("content-type") ?? "", /^text\/plain/);
    assert.deepEqual(captured, []);
  });
}

test("a type that the profile does not have is a bad request that lists them", async () => {
  const { status, text } = await get("profile?past=1&type=space");
  assert.deepEqual([status, text], [400, 'type: "space" is none of sample, cpu\n']);
});

test("what is not offered says why", async () => {
  for (const [path, reason] of [
    ["allocs", /^allocs: .*Node\.js before 26.*heap\?seconds=30/],
    ["heap?gc=1", /^gc: a full collection/],
  ] as const) {
    const { status, headers, text } = await get(path);
    assert.deepEqual([status, headers.get("x-go-pprof")], [501, "1"]);
    assert.match(text, reason);
  }
});

test("a window of which nothing is there is an error of text, and so is a bug", async () => {
  found = [new CaptureError("there are no slices of that time")];
  const nothing = await get("profile?past=60");
  assert.deepEqual([nothing.status, nothing.text], [503, "no profile: there are no slices of that time\n"]);
  found = [new Error("a bug")];
  const bug = await get("profile?past=60");
  assert.deepEqual([bug.status, bug.text, bug.headers.get("x-go-pprof")], [500, "a bug\n", "1"]);
});

test("the seventeenth profile at a time is refused", async () => {
  const held = Promise.withResolvers<void>();
  release = held.promise;
  const running = Array.from({ length: 16 }, () => get("heap?worker=0"));
  while (captured.length < 16)
    await new Promise((resolve) => {
      setTimeout(resolve, 1);
    });
  const { status, headers } = await get("heap?worker=0");
  assert.deepEqual([status, headers.get("x-go-pprof")], [429, "1"]);
  held.resolve();
  assert.ok((await Promise.all(running)).every((each) => each.status === 200));
  assert.equal((await get("heap?worker=0")).status, 200);
});

test("what was begun for somebody who hangs up ends, and its place is free", async () => {
  release = new Promise(() => {});
  ended = 0;
  const client = new AbortController();
  const running = Array.from({ length: 16 }, () => fetch(`${base}/heap?worker=0`, { signal: client.signal }));
  while (captured.length < 16)
    await new Promise((resolve) => {
      setTimeout(resolve, 1);
    });
  client.abort();
  await Promise.allSettled(running);
  await eventually("all of them have ended", () => ended === 16);
  release = Promise.resolve();
  assert.equal((await get("heap?worker=0")).status, 200);
});

test("what is not there, or not GET, is an error that go tool pprof shows", async () => {
  const missing = await get("nothing");
  assert.deepEqual([missing.status, missing.headers.get("x-go-pprof")], [404, "1"]);
  const posted = await fetch(`${base}/symbol`, { method: "POST" });
  assert.deepEqual([posted.status, posted.headers.get("x-go-pprof")], [405, "1"]);
});

test("the command line is Go's way: separated by NUL", async () => {
  assert.equal((await get("cmdline")).text, "node\0main.ts\0serve");
});

test("threads and event loops are text in columns, and who does not answer is in it", async () => {
  const threads = await get("threads");
  assert.equal(
    threads.text,
    `worker 0
thread  tid  user s  system s  waited for a CPU s  voluntary  involuntary
node      7    1.50      0.25               0.125          3            4

worker 1
no answer: it does not run now

`,
  );
  const loops = await get("eventloop?worker=0");
  assert.match(
    loops.text,
    /^worker 0\nuntil .*max ms +≤1 +≤2 .* +≤1024 +>1024\n2023-11-14T22:13:20\.000Z +9 +1\.00 +1\.00 +2\.00 +3\.00 +250\.00 +5 +2 +1( +\.){5} +1( +\.){3}\n\n$/,
  );
});

test("threads and event loops are JSON for programs", async () => {
  const { headers, text } = await get("threads?format=json");
  assert.match(headers.get("content-type") ?? "", /^application\/json/);
  assert.deepEqual(JSON.parse(text), [
    { worker: "0", value: [thread] },
    { worker: "1", reason: "it does not run now" },
  ]);
  assert.deepEqual(JSON.parse((await get("eventloop?format=json&worker=0")).text), [{ worker: "0", value: [second] }]);
});

test("the index is found with and without its slash, and every link on it leads somewhere", async () => {
  const redirect = await fetch(base, { redirect: "manual" });
  assert.deepEqual([redirect.status, redirect.headers.get("location")], [302, "/debug/pprof/"]);
  const { text } = await get("");
  const links = Array.from(text.matchAll(/href="([^"]+)"/g), ([, href]) => href!.replaceAll("&amp;", "&"));
  assert.ok(links.length > 15);
  const targets = links.flatMap((link) => {
    const hash = new URLSearchParams(link.split("#")[1]);
    return [link, ...hash.getAll("profileURL")];
  });
  assert.ok(targets.includes("/debug/pprof/profile?past=300&worker=supervisor&format=speedscope"));
  for (const target of targets) {
    // A second is as good as thirty.
    const url = new URL(target.replace("seconds=30", "seconds=1"), `${base}/`);
    const { status } = await fetch(url);
    assert.equal(status, target === "allocs" ? 501 : 200, target);
  }
});

test("speedscope's files are served, and no others of its package", async () => {
  const url = base.replace("pprof", "speedscope");
  assert.equal((await fetch(url, { redirect: "manual" })).headers.get("location"), "/debug/speedscope/");
  const page = await fetch(`${url}/`);
  const html = await page.text();
  assert.match(page.headers.get("content-type") ?? "", /^text\/html/);
  const policy = page.headers.get("content-security-policy") ?? "";
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /script-src 'self'/);
  assert.match(policy, /connect-src 'self'/);
  const assets = Array.from(html.matchAll(/(?:src|href|data-app)="([^"]+)"/g), ([, name]) => name!);
  assert.ok(assets.length >= 3);
  assert.ok(assets.some((name) => /^speedscope-.*\.js$/.test(name)));
  for (const asset of assets) {
    const response = await fetch(`${url}/${asset}`);
    assert.equal(response.status, 200, asset);
    assert.notEqual(response.headers.get("content-type"), "application/octet-stream", asset);
    await response.arrayBuffer();
  }
  for (const name of ["package.json", "..%2fpackage.json", "../../package.json", "%2e%2e/release.txt", "release.txt"])
    assert.equal((await fetch(`${url}/${name}`)).status, 404, name);
});
