// A hot handler, on the real service under load: it comes back from every event, but too late.

import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, flatten } from "../../profiling/read.ts";
import { eventually } from "../../support/service.ts";
import { assertGuilty, assertReachesBack, bundleOf, fileOf } from "./bundle.ts";
import { Scene } from "./scene.ts";

const LIMIT = { timeout: 120_000 };

test("a handler that spins on one topic's events is named with its line and its topic", LIMIT, async () => {
  await using scene = await Scene.start({ triggers: "cpu=abs:0.8;hold:3s,event_loop=min:0.3;abs:0.3;hold:3s" });
  using _harm = scene.harm("harm-hot");
  // Where cores are shared, it may be the one or the other.
  const recorded = await scene.incident(["cpu", "event_loop"], ["profile-before.pb.gz"]);
  await scene.assertIngestGoesOn(recorded.worker);
  await eventually(
    "it is complete",
    async () => (await scene.incident([recorded.kind], [])).state === "complete",
    60_000,
  );
  const bundle = bundleOf(await scene.bundles(), recorded);

  assert.match(bundle.incident.why, /the CPU of a worker is|the longest turn of the event loop is/);
  assert.ok(bundle.incident.value! >= bundle.incident.limit!);
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
