import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import test, { type TestContext } from "node:test";
import { type Cause, incidentId, isIncidentId } from "../../src/incidents/incident.ts";
import { IncidentStore } from "../../src/incidents/store.ts";

const AT_MS = Date.UTC(2026, 2, 1, 10, 11, 12, 345);

function cause(change: Partial<Cause> = {}): Cause {
  return { kind: "crash", worker: "0", atMs: AT_MS, why: "it ended with exit code 7", ...change };
}

function directory(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "sluice-incidents-"));
  t.after(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}

async function openStore(dir: string, limits: { countMax?: number; bytesMax?: number } = {}): Promise<IncidentStore> {
  const store = new IncidentStore({ dir, countMax: 20, bytesMax: 1_000_000, ...limits });
  await store.open();
  return store;
}

/** Records one with a file, and completes it. */
async function recorded(store: IncidentStore, atMs: number, bytes = 10) {
  const bundle = await store.create(cause({ atMs }));
  await store.write(bundle, "heap.pb.gz", Buffer.alloc(bytes));
  await bundle.update({ state: "complete" });
  return bundle;
}

test("an id says when, what and where, sorts by time, and is nothing but safe characters", () => {
  const id = incidentId(cause());
  assert.equal(id, "20260301T101112.345Z-crash-0");
  assert.ok(id < incidentId(cause({ atMs: AT_MS + 1, kind: "cpu" })));
  assert.ok(isIncidentId(id));
  assert.ok(isIncidentId(incidentId(cause({ worker: undefined, kind: "forced" }), 3)));
  assert.ok(isIncidentId(incidentId(cause({ worker: "supervisor", kind: "acknowledged_p99" }))));
  for (const no of ["", ".", "..", "../x", `${id}/..`, `${id}/`, `${id}\0`, `${id}\n`, "x", `/${id}`, `${id}.tar.gz`])
    assert.equal(isIncidentId(no), false, JSON.stringify(no));
});

test("two incidents of one millisecond get directories of their own", async (t) => {
  const store = await openStore(directory(t));
  const [a, b] = await Promise.all([store.create(cause()), store.create(cause())]);
  assert.deepEqual(
    store.list().map(({ id }) => id),
    [`${incidentId(cause())}.1`, incidentId(cause())],
  );
  assert.notEqual(a.dir, b.dir);
});

test("beyond the count the oldest goes, and one that is being recorded stays", async (t) => {
  const dir = directory(t);
  const store = await openStore(dir, { countMax: 3 });
  const recording = await store.create(cause({ atMs: AT_MS }));
  for (let i = 1; i <= 4; i++) await recorded(store, AT_MS + i);
  const ids = [4, 3, 0].map((i) => incidentId(cause({ atMs: AT_MS + i })));
  assert.deepEqual(
    store.list().map(({ id }) => id),
    ids,
  );
  assert.deepEqual(readdirSync(dir).sort(), ids.toReversed());
  assert.equal(recording.incident.state, "recording");
});

test("beyond the bytes the oldest goes, and what would never fit is refused and touches nothing else for longer", async (t) => {
  const dir = directory(t);
  const store = await openStore(dir, { bytesMax: 20_000 });
  for (let i = 0; i < 5; i++) await recorded(store, AT_MS + i, 6_000);
  assert.ok(store.bytes <= 20_000);
  const onDisk = readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + readFileSync(join(entry.parentPath, entry.name)).length, 0);
  assert.equal(onDisk, store.bytes);
  assert.deepEqual(
    store.list().map(({ atMs }) => atMs - AT_MS),
    [4, 3, 2],
  );
  const bundle = await store.create(cause({ atMs: AT_MS + 9 }));
  await assert.rejects(store.write(bundle, "heap.pb.gz", Buffer.alloc(30_000)), /do not fit below INCIDENTS_BYTES_MAX/);
  assert.deepEqual(bundle.incident.files, []);
});

test("a file is found by what is known alone, so that no name leaves its directory", async (t) => {
  const dir = directory(t);
  const store = await openStore(dir);
  const { incident } = await recorded(store, AT_MS);
  writeFileSync(join(dir, "secret.json"), "x");
  writeFileSync(join(dir, incident.id, "unknown.json"), "x");
  assert.equal(store.file(incident.id, "heap.pb.gz"), join(dir, incident.id, "heap.pb.gz"));
  assert.equal(store.file(incident.id, "incident.json"), join(dir, incident.id, "incident.json"));
  for (const name of ["../secret.json", "unknown.json", "", ".", "..", "/etc/passwd", "heap.pb.gz/", "__proto__"])
    assert.equal(store.file(incident.id, name), undefined, name);
  for (const id of ["..", ".", "", "../incidents", "__proto__", `${incident.id}/..`]) {
    assert.equal(store.file(id, "heap.pb.gz"), undefined, id);
    assert.equal(store.get(id), undefined, id);
    assert.equal(await store.archive(id), undefined, id);
  }
  const bundle = await store.create(cause({ atMs: AT_MS + 1 }));
  for (const name of ["../x.json", "a/b.json", "incident.json", "x.tmp", "X.json", ""])
    await assert.rejects(bundle.write(name, "x"), /assertion failed/, name);
});

test("what an earlier run left is there again; half-written files, strange directories and broken descriptions are not", async (t) => {
  const dir = directory(t);
  const before = await openStore(dir);
  await recorded(before, AT_MS);
  const half = await before.create(cause({ atMs: AT_MS + 1 }));
  await half.write("log.ndjson", "{}\n");
  writeFileSync(join(half.dir, "profile-before.pb.gz.tmp"), "half");
  mkdirSync(join(dir, "other"));
  const strange = join(dir, incidentId(cause({ atMs: AT_MS + 2 })));
  mkdirSync(strange);
  writeFileSync(join(strange, "incident.json"), '{"id":');

  const after = await openStore(dir);
  assert.deepEqual(after.list(), before.list());
  assert.equal(after.bytes, before.bytes);
  assert.deepEqual(
    after.interrupted().map(({ incident }) => incident.id),
    [half.incident.id],
  );
  assert.equal(existsSync(join(half.dir, "profile-before.pb.gz.tmp")), false);
  assert.ok(existsSync(strange));
});

test("the archive is a gzipped tar of one folder with every file", async (t) => {
  const dir = directory(t);
  const store = await openStore(dir);
  const { incident } = await recorded(store, AT_MS, 100_000);
  const path = join(dir, "x.tar.gz");
  await pipeline((await store.archive(incident.id))!, createWriteStream(path));
  const listed = execFileSync("tar", ["tzf", path], { encoding: "utf8" }).trim().split("\n").sort();
  assert.deepEqual(listed, [`${incident.id}/heap.pb.gz`, `${incident.id}/incident.json`]);
  const told = execFileSync("tar", ["xzOf", path, `${incident.id}/incident.json`], { encoding: "utf8" });
  assert.deepEqual(JSON.parse(told), incident);
});

test("odd entries in one incident cost neither it nor the others", async (t) => {
  const dir = directory(t);
  const before = await openStore(dir);
  const odd = await recorded(before, AT_MS);
  await recorded(before, AT_MS + 1);
  symlinkSync(join(dir, "nowhere"), join(odd.dir, "threads.json"));
  mkdirSync(join(odd.dir, "state.json"));
  mkdirSync(join(odd.dir, "x.tmp", "y"), { recursive: true });
  const after = await openStore(dir);
  assert.deepEqual(after.list(), before.list());
  assert.equal(existsSync(join(odd.dir, "x.tmp")), false);
});

test("an incident that cannot begin leaves no directory", async (t) => {
  const dir = directory(t);
  const store = await openStore(dir);
  const why = { toJSON: () => assert.fail("no") } as unknown as string;
  await assert.rejects(store.create(cause({ why })));
  assert.deepEqual(readdirSync(dir), []);
  assert.deepEqual(store.list(), []);
});

test("repeats of one kind and worker go first, so that what happened once outlives a condition that stays", async (t) => {
  const store = await openStore(directory(t), { countMax: 4 });
  await recorded(store, AT_MS);
  for (let i = 1; i <= 9; i++) {
    const bundle = await store.create(cause({ kind: "rss", worker: undefined, atMs: AT_MS + i }));
    await bundle.update({ state: "complete" });
  }
  const other = await store.create(cause({ kind: "cpu", atMs: AT_MS + 10 }));
  await other.update({ state: "complete" });
  assert.deepEqual(
    store.list().map(({ kind, atMs }) => `${kind} ${atMs - AT_MS}`),
    ["cpu 10", "rss 9", "rss 8", "crash 0"],
  );
});

test("of what is new the older one goes, if everything else happened once", async (t) => {
  const store = await openStore(directory(t), { countMax: 2 });
  await recorded(store, AT_MS);
  for (const i of [1, 2]) {
    const bundle = await store.create(cause({ kind: "cpu", atMs: AT_MS + i }));
    await bundle.update({ state: "complete" });
  }
  assert.deepEqual(
    store.list().map(({ kind, atMs }) => `${kind} ${atMs - AT_MS}`),
    ["cpu 2", "crash 0"],
  );
});

test("files that are written at the same time do not together exceed the bytes", async (t) => {
  const store = await openStore(directory(t), { bytesMax: 20_000 });
  const bundle = await store.create(cause());
  const writes = Array.from({ length: 10 }, (_, i) => store.write(bundle, `part-${i}.json`, Buffer.alloc(4_000)));
  const outcomes = await Promise.allSettled(writes);
  assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 4);
  assert.ok(store.bytes <= 20_000, `${store.bytes}`);
  // What was refused or written is reserved no longer.
  await store.write(bundle, "last.json", Buffer.alloc(1_000));
});
