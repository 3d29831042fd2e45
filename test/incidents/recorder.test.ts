import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import pino from "pino";
import { systemClock } from "../../src/clock.ts";
import type { Cause, Incident, IncidentKind } from "../../src/incidents/incident.ts";
import { IncidentRecorder } from "../../src/incidents/recorder.ts";
import type { IncidentSources } from "../../src/incidents/sources.ts";
import { IncidentStore } from "../../src/incidents/store.ts";
import { eventually } from "../support/service.ts";
import { fakeSources } from "./support.ts";

const EVERYTHING = [
  "config.json",
  "eventloop.json",
  "heap.pb.gz",
  "history.json",
  "ledger.json",
  "log.ndjson",
  "profile-after.pb.gz",
  "profile-before.pb.gz",
  "state.json",
  "threads.json",
  "versions.json",
];

interface Setup {
  readonly dir: string;
  readonly store: IncidentStore;
  readonly recorder: IncidentRecorder;
  readonly lines: Record<string, unknown>[];
  readonly counted: IncidentKind[];
  /** One entry for each time that a bundle has grown. */
  readonly grown: unknown[];
}

async function setup(
  t: TestContext,
  {
    sources = {},
    afterMs = 50,
    bytesMax = 1_000_000,
    dir = mkdtempSync(join(tmpdir(), "sluice-incidents-")),
  }: {
    readonly sources?: Partial<IncidentSources>;
    readonly afterMs?: number;
    readonly bytesMax?: number;
    readonly dir?: string;
  } = {},
): Promise<Setup> {
  t.after(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  const store = new IncidentStore({ dir, countMax: 20, bytesMax });
  await store.open();
  const lines: Record<string, unknown>[] = [];
  const counted: IncidentKind[] = [];
  const grown: unknown[] = [];
  const log = pino({}, { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) });
  const recorder = new IncidentRecorder({
    store,
    sources: fakeSources(sources),
    log,
    clock: systemClock,
    counted: (kind) => counted.push(kind),
    written: () => grown.push(undefined),
    afterMs,
  });
  return { dir, store, recorder, lines, counted, grown };
}

function cause(change: Partial<Cause> = {}): Cause {
  return { kind: "crash", worker: "0", atMs: Date.now(), why: "it ended with exit code 7", ...change };
}

const complete = (store: IncidentStore, id: string) =>
  eventually("the incident is complete", () => {
    const incident = store.get(id);
    return incident?.state === "complete" && incident;
  });

const read = ({ dir }: Setup, id: string, name: string) => readFileSync(join(dir, id, name), "utf8");
const names = ({ files }: Incident) => files.map(({ name }) => name);

test("an incident gets every file, the profile of the minutes before and that of the time after", async (t) => {
  const all = await setup(t);
  const of = cause({ value: 3, mean: 1, limit: 2 });
  const begun = await all.recorder.begin(of);
  assert.ok(begun);
  assert.equal(begun.state, "recording");
  const incident = await complete(all.store, begun.id);
  assert.deepEqual(names(incident), EVERYTHING);
  assert.deepEqual(incident.problems, []);
  assert.equal(incident.profile, "profile-before.pb.gz");
  assert.equal(read(all, begun.id, "profile-before.pb.gz"), `cpu ${of.atMs - 300_000} ${of.atMs}`);
  assert.equal(read(all, begun.id, "profile-after.pb.gz"), `cpu ${of.atMs} ${of.atMs + 50}`);
  assert.equal(read(all, begun.id, "heap.pb.gz"), `heap 0 ${of.atMs}`);
  assert.deepEqual(JSON.parse(read(all, begun.id, "threads.json")), { "0": "threads" });
  // The last history reaches to the end.
  assert.deepEqual(JSON.parse(read(all, begun.id, "history.json")), { fromMs: of.atMs - 300_000, toMs: of.atMs + 50 });
  await all.recorder.stop();
  assert.deepEqual(JSON.parse(read(all, begun.id, "incident.json")), incident);
  const { value, mean, limit, why, worker, kind } = incident;
  assert.deepEqual({ value, mean, limit, why, worker, kind, atMs: incident.atMs }, of);
  assert.deepEqual(all.counted, ["crash"]);
  assert.deepEqual(
    all.lines.map(({ msg, incident, kind }) => ({ msg, incident, kind })),
    [
      { msg: "an incident is recorded", incident: begun.id, kind: "crash" },
      { msg: "an incident is complete", incident: begun.id, kind: "crash" },
    ],
  );
});

test("a part that fails is told, and no other is missing", async (t) => {
  const all = await setup(t, {
    sources: {
      pastHeapProfile: () => Promise.reject(new Error("the worker is gone")),
      ledger: () => {
        throw new Error("no books");
      },
    },
  });
  const { id } = (await all.recorder.begin(cause()))!;
  const incident = await complete(all.store, id);
  assert.deepEqual(
    names(incident),
    EVERYTHING.filter((name) => name !== "heap.pb.gz" && name !== "ledger.json"),
  );
  assert.deepEqual([...incident.problems].sort(), ["heap.pb.gz: the worker is gone", "ledger.json: no books"]);
});

test("what a dying process left goes into the bundle as it is", async (t) => {
  const all = await setup(t);
  const attachments = [
    { name: "heap.pb.gz", content: "at its limit" },
    { name: "stack.txt", content: "guilty" },
  ];
  const { id } = (await all.recorder.begin(cause({ kind: "out_of_memory" }), attachments))!;
  const incident = await complete(all.store, id);
  assert.equal(read(all, id, "heap.pb.gz"), "at its limit");
  assert.equal(read(all, id, "stack.txt"), "guilty");
  assert.equal(incident.profile, "heap.pb.gz");
});

test("a second cause of one kind and worker is noted in the first; one of another has its own, up to the bound", async (t) => {
  const all = await setup(t, { afterMs: 60_000 });
  const [first, second] = await Promise.all([all.recorder.begin(cause()), all.recorder.begin(cause({ why: "again" }))]);
  assert.equal(second, undefined);
  const other = await all.recorder.begin(cause({ worker: "1" }));
  const third = await all.recorder.begin(cause({ kind: "cpu" }));
  assert.ok(other && third);
  assert.equal(await all.recorder.begin(cause({ kind: "rss", why: "one too many" })), undefined);
  await all.recorder.stop();
  assert.equal(all.store.list().length, 3);
  assert.deepEqual(
    all.store.get(first!.id)!.notes.map(({ why }) => why),
    ["again"],
  );
  assert.deepEqual(
    all.store.get(third.id)!.notes.map(({ kind, why }) => [kind, why]),
    [["rss", "one too many"]],
  );
  assert.deepEqual(all.store.get(other.id)!.notes, []);
  // What was noted counts as no incident of its own.
  assert.equal(all.counted.length, 3);
});

test("when the service ends, what is being recorded is completed at once, and says that it was cut short", async (t) => {
  const all = await setup(t, {
    afterMs: 3_600_000,
    sources: { inspect: () => new Promise(() => {}) },
  });
  const { id } = (await all.recorder.begin(cause()))!;
  await all.recorder.stop();
  const incident = all.store.get(id)!;
  assert.equal(incident.state, "complete");
  assert.ok(names(incident).includes("profile-after.pb.gz"));
  assert.ok(incident.problems.includes("threads.json: it took too long"));
  assert.ok(incident.problems.includes("the service ended before the time after the incident was over"));
});

test("a recorder that dies half-way leaves a readable half, which the next start completes from what is on disk", async (t) => {
  const all = await setup(t, { afterMs: 3_600_000, sources: { pastHeapProfile: () => new Promise(() => {}) } });
  const of = cause();
  const { id } = (await all.recorder.begin(of))!;
  const half = await eventually("the first files are there", () => {
    const onDisk = JSON.parse(read(all, id, "incident.json")) as Incident;
    // What is on disk may be written once more for each file: one that has died writes nothing beside the next.
    return names(onDisk).length === EVERYTHING.length - 2 && all.grown.length >= EVERYTHING.length - 2 && onDisk;
  });
  assert.equal(half.state, "recording");

  const next = await setup(t, { dir: all.dir });
  await next.recorder.completeInterrupted(({ atMs }) => {
    assert.equal(atMs, of.atMs);
    return ["ledger.json", "ledger-of-the-end.json"].map((name) => ({ name, content: "of the end" }));
  });
  const incident = next.store.get(id)!;
  assert.equal(incident.state, "complete");
  assert.deepEqual(incident.problems, ["its recorder died; what was left on disk was added at the next start"]);
  assert.ok(names(incident).includes("heap.pb.gz"));
  assert.equal(read(next, id, "ledger-of-the-end.json"), "of the end");
  assert.notEqual(read(next, id, "ledger.json"), "of the end", "what was there stays");
  assert.equal(read(next, id, "profile-before.pb.gz"), `cpu ${of.atMs - 300_000} ${of.atMs}`);
  assert.equal(next.store.interrupted().length, 0);
  await all.recorder.stop();
});

test("a past incident asks no process and waits for nothing", async (t) => {
  const all = await setup(t, {
    afterMs: 3_600_000,
    sources: {
      inspect: () => {
        throw new Error("asked");
      },
    },
  });
  const { id } = (await all.recorder.past(cause({ kind: "supervisor_died", worker: "supervisor" })))!;
  const incident = await complete(all.store, id);
  assert.deepEqual(names(incident), [
    "heap.pb.gz",
    "history.json",
    "log.ndjson",
    "profile-after.pb.gz",
    "profile-before.pb.gz",
  ]);
  assert.deepEqual(incident.problems, []);
});

test("a disk that takes nothing is logged, and the recorder goes on", async (t) => {
  const all = await setup(t);
  rmSync(all.dir, { recursive: true });
  assert.equal(await all.recorder.begin(cause()), undefined);
  assert.equal(all.lines[0]?.["msg"], "an incident cannot be recorded");
  await all.store.open();
  assert.ok(await all.recorder.begin(cause()));
  await all.recorder.stop();
});

test("the end of a process gets a bundle of its own, however many are being recorded", async (t) => {
  const all = await setup(t, { afterMs: 60_000 });
  for (const worker of ["0", "1", "2"]) await all.recorder.begin(cause({ kind: "acknowledged_p99", worker }));
  assert.equal(await all.recorder.begin(cause({ kind: "forced", worker: undefined })), undefined);
  const ended = await all.recorder.begin(cause({ kind: "out_of_memory" }), [{ name: "heap.pb.gz", content: "full" }]);
  assert.ok(ended);
  assert.equal(read(all, ended.id, "heap.pb.gz"), "full");
  await all.recorder.stop();
  assert.equal(all.store.list().length, 4);
});

test("what comes with a cause that is noted in another incident is added there, under names of its own", async (t) => {
  const all = await setup(t, { afterMs: 60_000 });
  const of = cause({ kind: "out_of_memory" });
  const begin = (content: string) => all.recorder.begin(of, [{ name: "heap.pb.gz", content }]);
  const [first, second, third] = await Promise.all([begin("1"), begin("2"), begin("3")]);
  assert.deepEqual([second?.id, third?.id], [first!.id, first!.id]);
  await all.recorder.stop();
  const file = (name: string) => read(all, first!.id, name);
  assert.deepEqual(["heap.pb.gz", "heap-2.pb.gz", "heap-3.pb.gz"].map(file), ["1", "2", "3"]);
});

test("an incident one of whose files did not fit is not said to have it, so that nobody removes that one", async (t) => {
  const all = await setup(t, { bytesMax: 50_000 });
  const large = [{ name: "heap.pb.gz", content: "x".repeat(60_000) }];
  assert.equal(await all.recorder.begin(cause(), large), undefined);
  assert.equal(await all.recorder.begin(cause(), large), undefined);
  await all.recorder.stop();
  assert.match(all.store.list()[0]!.problems.join(), /heap\.pb\.gz: .* do not fit/);
});

test("an incident that cannot be written to its end may be put out like any other", async (t) => {
  const all = await setup(t, { afterMs: 60_000 });
  const { id } = (await all.recorder.begin(cause()))!;
  rmSync(join(all.dir, id), { recursive: true });
  await all.recorder.stop();
  assert.equal(all.store.get(id)!.state, "complete");
});
