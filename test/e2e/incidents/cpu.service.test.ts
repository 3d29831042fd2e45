// Incidents of the CPU, on the real service under load: a handler that takes too much of it, and one that never comes back.

import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, flatten } from "../../profiling/read.ts";
import { eventually } from "../../support/service.ts";
import { assertGuilty, assertReachesBack, bundleOf, fileOf, Scene } from "./scene.ts";

const LIMIT = { timeout: 120_000 };

test("a handler that spins on one topic's events is named with its line and its topic", LIMIT, async () => {
  await using scene = await Scene.start({ triggers: "cpu=abs:0.8;hold:3s,event_loop=off" });
  using _harm = scene.harm("harm-hot");
  const recorded = await scene.incident("cpu", ["profile-before.pb.gz"]);
  await scene.assertIngestGoesOn(recorded.worker);
  await eventually("it is complete", async () => (await scene.incident("cpu", [])).state === "complete", 60_000);
  const bundle = bundleOf(await scene.bundles(), recorded);

  assert.match(bundle.incident.why, /CPU/);
  assert.ok(bundle.incident.value! >= 0.8);
  assertReachesBack(bundle);
  for (const name of ["profile-before.pb.gz", "profile-after.pb.gz", bundle.incident.profile!])
    await assertGuilty(fileOf(bundle, name), "hotHandler");
  const samples = flatten(decode(fileOf(bundle, "profile-after.pb.gz"))).filter(
    ({ stack }) => stack[0]?.name === "hotHandler",
  );
  for (const { labels } of samples)
    assert.deepEqual(
      { worker: labels["worker"], topic: labels["topic"] },
      { worker: recorded.worker, topic: "harm-hot" },
    );
});

test("an endless loop is named with its line, by the watchdog, while the other worker goes on", LIMIT, async () => {
  await using scene = await Scene.start({ triggers: "none", env: { WATCHDOG_TIMEOUT: "2s" } });
  using _harm = scene.harm("harm-loop");
  const recorded = await scene.incident("stuck_loop", ["profile-stuck.pb.gz", "stack.txt", "profile-before.pb.gz"]);
  await scene.assertIngestGoesOn(recorded.worker);
  const bundle = bundleOf(await scene.bundles(), recorded);

  assert.match(bundle.incident.why, /stuck .* in endlessLoop \(.*harmful-service\.ts:\d+\)/);
  assertReachesBack(bundle);
  assert.equal(bundle.incident.profile, "profile-stuck.pb.gz");
  await assertGuilty(fileOf(bundle, "profile-stuck.pb.gz"), "endlessLoop");
  assert.match(fileOf(bundle, "stack.txt").toString(), /at endlessLoop \(.*harmful-service\.ts:\d+\)/);
});
