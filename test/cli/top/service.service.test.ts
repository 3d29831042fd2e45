// `sluice top` of a real service under load.

import assert from "node:assert/strict";
import test from "node:test";
import type { LiveSnapshot } from "../../../src/admin/live/model.ts";
import { Durability } from "../../../src/gen/sluice/v1/ingest_pb.js";
import { eventually, startService } from "../../support/service.ts";
import { SteadyLoad } from "../../support/steady-load.ts";
import { run } from "../support.ts";

test("what a service does shows in a frame, in JSON, and in lines", async () => {
  await using service = await startService({ env: { WORKERS: "2" } });
  using load = new SteadyLoad({
    address: service.grpcAddress,
    topic: "clicks",
    durability: Durability.PERSISTED,
    streams: 2,
    batchesPerSecond: 20,
  });
  const env = { ADMIN_LISTEN: new URL(service.adminUrl).host };
  const told = await eventually("events show", async () => {
    const snapshot = JSON.parse((await run(["top", "--json"], { env })).stdout) as LiveSnapshot;
    return (snapshot.history.service.eventsPerSecond.at(-1) ?? 0) > 0 && snapshot;
  });
  assert.ok(load.acknowledged > 0);
  assert.equal(told.service.workers, 2);
  assert.deepEqual(
    told.processes.map(({ name }) => name),
    ["0", "1", "supervisor"],
  );
  const frame = await eventually("a frame has them", async () => {
    const { code, stdout, stderr } = await run(["top", "--once"], { env });
    assert.equal(code, 0, stderr);
    return /^events received +[1-9][\d,.]*\/s/m.test(stdout) && stdout;
  });
  assert.match(frame, /^sluice .* ready {2}2 of 2 workers/);
  for (const part of [/^acknowledge p99 +[\d.]+ [mµ]?s/m, /^worker 0 +up /m, /^worker 1 +up /m, /^ledger +agrees /m])
    assert.match(frame, part);
  // Without a terminal it goes on by lines.
  const quit = new AbortController();
  const lines = run(["top"], { env, signal: quit.signal });
  setTimeout(() => {
    quit.abort();
  }, 3_500);
  const { code, stdout } = await lines;
  assert.equal(code, 0);
  assert.match(stdout, /^(\S+Z {2}ready 2\/2 {2}.* events {2}.*\n)+$/);
});
