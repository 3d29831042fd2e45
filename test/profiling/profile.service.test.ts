import assert from "node:assert/strict";
import test from "node:test";
import { command, FIXTURE, startFixture } from "../supervisor/fixture/client.ts";
import { eventually, type RunningService } from "../support/service.ts";
import type { SpeedscopeFile } from "../../src/profiling/speedscope.ts";
import { decode, flatten, top } from "./read.ts";

async function profileOf(service: RunningService, query: string) {
  const response = await fetch(`${service.adminUrl}/debug/pprof/${query}`);
  assert.equal(response.status, 200, response.ok ? "" : await response.text());
  return decode(Buffer.from(await response.arrayBuffer()));
}

test("one profile has every worker's samples under its label, and ?worker= has one worker's alone", async () => {
  await using service = await startFixture({ WORKERS: "2" });
  const taken = Promise.all([
    profileOf(service, "profile?seconds=2"),
    profileOf(service, "profile?seconds=2&worker=1"),
  ]);
  let done = false;
  const end = taken.finally(() => (done = true));
  const takers = new Set<number | undefined>();
  await eventually("both workers were busy until the end", async () => {
    takers.add((await command(service, "busy 100"))?.index);
    return done;
  });
  const [merged, single] = await end;
  assert.deepEqual(takers, new Set([0, 1]));

  const byWorker = Map.groupBy(flatten(merged), ({ labels }) => labels["worker"]);
  for (const worker of ["0", "1"]) {
    const { frame } = top(byWorker.get(worker) ?? [], "cpu");
    assert.equal(frame.name, "burnCpu");
    assert.equal(frame.file, FIXTURE);
    assert.ok(frame.line > 1);
  }
  assert.ok(byWorker.has("supervisor"));
  assert.ok(Number(merged.durationNanos) >= 1.9e9);

  const labels = new Set(flatten(single).map((sample) => sample.labels["worker"]));
  assert.deepEqual(labels, new Set(["1"]));
  assert.equal(top(flatten(single), "cpu").frame.name, "burnCpu");
});

test("a profile of a worker that dies meanwhile says so, and the others' are there", async () => {
  await using service = await startFixture({ WORKERS: "2" });
  const taken = profileOf(service, "profile?seconds=2");
  const alone = fetch(`${service.adminUrl}/debug/pprof/profile?seconds=2&worker=supervisor`);
  const taker = await command(service, "count 0");
  process.kill(taker!.pid, "SIGKILL");
  const profile = await taken;
  assert.deepEqual(
    profile.comment.map((index) => profile.stringTable.strings[Number(index)]),
    [`incomplete: worker ${taker!.index}: it ended (signal SIGKILL)`],
  );
  assert.ok(flatten(profile).length > 0);
  assert.equal((await alone).status, 200);
});

test("the heap of all workers is one profile", async () => {
  await using service = await startFixture({ WORKERS: "2" });
  const heap = await profileOf(service, "heap");
  assert.deepEqual(new Set(flatten(heap).map(({ labels }) => labels["worker"])), new Set(["0", "1", "supervisor"]));
  assert.ok(flatten(heap).every(({ values }) => values["inuse_space"]! > 0));
});

test("the past, its difference, and each format are answered from what is on disk", async () => {
  await using service = await startFixture({ WORKERS: "1" });
  await profileOf(service, "profile?seconds=1&worker=0");
  const busy = profileOf(service, "profile?seconds=2&worker=0");
  let done = false;
  void busy.finally(() => (done = true)).catch(() => {});
  await eventually("the worker was busy until the end", async () => {
    await command(service, "busy 100");
    return done;
  });
  const startedMs = performance.now();
  const past = await profileOf(service, "profile?past=60");
  assert.ok(performance.now() - startedMs < 30_000, "it does not wait for the window to pass");
  assert.equal(top(flatten(past), "cpu").frame.name, "burnCpu");

  const text = async (query: string) => await (await fetch(`${service.adminUrl}/debug/pprof/${query}`)).text();
  const folded = await text("profile?past=60&format=folded&root=worker");
  assert.match(folded, /^worker: 0;.*;burnCpu [^;]+main\.ts:\d+ \d+$/m);
  assert.match(folded, /^worker: supervisor;/m);
  const speedscope = JSON.parse(await text("profile?past=60&format=speedscope&worker=0")) as SpeedscopeFile;
  assert.ok(speedscope.shared.frames.some(({ name, file }) => name === "burnCpu" && file === FIXTURE));
  assert.match(await text("profile?past=60&debug=1"), /^cpu of [\d.]+ s, .*\n[\s\S]*% {2}burnCpu /);
  assert.match(await text("threads"), /^worker 0\nthread .*\n[\s\S]*\nsupervisor\nthread /m);
  assert.match(await text("eventloop?worker=0"), /^worker 0\nuntil .*\n20/);
});
