import assert from "node:assert/strict";
import test, { after, before, beforeEach } from "node:test";
import { gunzipSync } from "node:zlib";
import { heap } from "@datadog/pprof";
import { Recorder } from "../../src/profiling/recorder.ts";
import type { Slice } from "../../src/profiling/slice.ts";
import { decode, flatten } from "./read.ts";
import { burnFirst, until } from "./burn.ts";

let full = false;
/** The disk's write does not return until this settles. */
let hanging: Promise<void> | undefined;
let written: Slice[] = [];
let failures = 0;
const recorder = new Recorder({
  intervalMicros: 2_000,
  heldBytesMax: 20_000,
  write: async (slice) => {
    if (full) throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    await hanging;
    written.push(slice);
  },
  observer: {
    profilerRestarted: () => {},
    sliceWritten: () => {},
    sliceNotWritten: () => {
      failures += 1;
    },
  },
});

before(() => {
  recorder.start();
});

beforeEach(() => {
  full = false;
  written = [];
  failures = 0;
});

after(async () => {
  await recorder.stop(false);
});

const cut = (sinceMs = 0) => until(burnFirst, recorder.cut({ kind: "cpu", sinceMs }));

test("a cut is answered when its slice is written, gzipped", async () => {
  const { atMs, pid, held } = await cut();
  assert.deepEqual([pid, held], [process.pid, []]);
  const slice = written.at(-1)!;
  assert.equal(slice.toMs, atMs);
  assert.ok(flatten(decode(gunzipSync(slice.bytes))).length > 0);
  const next = await cut();
  assert.equal(written.at(-1)!.fromMs, atMs);
  assert.equal(written.at(-1)!.toMs, next.atMs);
});

test("a heap profile is of the moment in which it is asked for", async () => {
  const { atMs } = await recorder.cut({ kind: "heap", sinceMs: 0 });
  const [slice] = written;
  assert.deepEqual([slice?.kind, slice?.fromMs, slice?.toMs], ["heap", atMs, atMs]);
});

test("what a full disk does not take is held and handed over, and written when there is room", async () => {
  full = true;
  const first = await cut();
  assert.deepEqual(
    first.held.map(({ toMs }) => toMs),
    [first.atMs],
  );
  assert.match(
    recorder.problems[0] ?? "",
    /^profiles cannot be written \(ENOSPC: no space left on device, write\): the last /,
  );
  const second = await cut(first.atMs);
  // Only what the caller's window has.
  assert.deepEqual(
    second.held.map(({ toMs }) => toMs),
    [second.atMs],
  );
  assert.deepEqual([written, failures], [[], 2]);
  full = false;
  const third = await cut();
  assert.deepEqual(
    written.map(({ toMs }) => toMs),
    [first.atMs, second.atMs, third.atMs],
  );
  assert.deepEqual([third.held, recorder.problems], [[], []]);
});

test("what is held has a bound in bytes; the oldest go first", async () => {
  full = true;
  const first = await cut();
  let last = first;
  for (let i = 0; i < 40 && last.held.some(({ toMs }) => toMs === first.atMs); i++) last = await cut();
  assert.equal(last.held.at(-1)?.toMs, last.atMs);
  assert.ok(last.held.every(({ toMs }) => toMs > first.atMs));
  const bytes = last.held.reduce((sum, slice) => sum + slice.bytes.length, 0);
  assert.ok(bytes <= 20_000 && bytes > 10_000, `${bytes}`);
});

test("a disk that hangs delays a cut by a moment only, and what waits for it has the same bound", async () => {
  const disk = Promise.withResolvers<void>();
  hanging = disk.promise;
  const first = await cut();
  assert.equal(first.held.at(-1)?.toMs, first.atMs);
  const second = await cut();
  assert.equal(second.held.at(-1)?.toMs, second.atMs);
  assert.ok(second.held.reduce((sum, slice) => sum + slice.bytes.length, 0) <= 20_000);
  disk.resolve();
  hanging = undefined;
  const third = await cut();
  assert.deepEqual([third.held, recorder.problems], [[], []]);
  const ends = written.map(({ toMs }) => toMs);
  assert.deepEqual(
    ends.filter((toMs) => toMs >= first.atMs),
    [first.atMs, second.atMs, third.atMs],
  );
});

test("a heap profile that V8 does not give rejects for who asked, and the process goes on", async (t) => {
  t.mock.method(heap, "profile", () => {
    throw new Error("no heap profile");
  });
  await assert.rejects(recorder.cut({ kind: "heap", sinceMs: 0 }), /no heap profile/);
  t.mock.restoreAll();
  await recorder.cut({ kind: "heap", sinceMs: 0 });
  assert.deepEqual(recorder.problems, []);
});
