import assert from "node:assert/strict";
import test from "node:test";
import { command, FIXTURE, startFixture } from "../supervisor/fixture/client.ts";
import { eventually, type RunningService } from "../support/service.ts";
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
