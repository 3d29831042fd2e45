// An endless loop, on the real service under load: its worker never comes back to say anything.

import assert from "node:assert/strict";
import { test } from "node:test";
import { assertGuilty, assertReachesBack, bundleOf, fileOf } from "./bundle.ts";
import { Scene } from "./scene.ts";

const LIMIT = { timeout: 120_000 };

test("an endless loop is named with its line, by the watchdog, while the other worker goes on", LIMIT, async () => {
  await using scene = await Scene.start({ triggers: "none", env: { WATCHDOG_TIMEOUT: "2s" } });
  using _harm = scene.harm("harm-loop");
  const recorded = await scene.incident(["stuck_loop"], ["profile-stuck.pb.gz", "stack.txt", "profile-before.pb.gz"]);
  await scene.assertIngestGoesOn(recorded.worker);
  const bundle = bundleOf(await scene.bundles(), recorded);

  assert.match(bundle.incident.why, /stuck .* in endlessLoop \(.*harmful-service\.ts:\d+\)/);
  assertReachesBack(bundle);
  assert.equal(bundle.incident.profile, "profile-stuck.pb.gz");
  await assertGuilty(fileOf(bundle, "profile-stuck.pb.gz"), "endlessLoop");
  assert.match(fileOf(bundle, "stack.txt").toString(), /at endlessLoop \(.*harmful-service\.ts:\d+\)/);
});
