// Incidents of memory, on the real service under load: objects up to V8's limit, and Buffers, which that limit does not know of.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Cgroup, hostMemoryBytes } from "../../../src/telemetry/cgroup.ts";
import { pprofTop } from "../../support/pprof-top.ts";
import { assertGuilty, assertReachesBack, bundleOf, fileOf } from "./bundle.ts";
import { Scene } from "./scene.ts";

const LIMIT = { timeout: 120_000 };
/** Of all three processes; they take a good half of it by themselves. */
const RESIDENT_BYTES_MAX = 700 * 1024 * 1024;

test(
  "a heap that leaks up to its limit leaves the profile of who has it, and its worker is started again",
  LIMIT,
  async () => {
    await using scene = await Scene.start({
      triggers: "none",
      env: { NODE_OPTIONS: "--max-old-space-size=128" },
    });
    using _harm = scene.harm("harm-objects");
    const recorded = await scene.incident(["out_of_memory"], ["heap.pb.gz", "profile-before.pb.gz"]);
    await scene.assertIngestGoesOn(recorded.worker);
    const bundle = bundleOf(await scene.bundles(), recorded);

    assert.match(bundle.incident.why, /heap reached its limit/);
    assertReachesBack(bundle);
    await assertGuilty(fileOf(bundle, "heap.pb.gz"), "leakObjects", "inuse_space");
  },
);

test("a leak of Buffers fires on resident memory, and the heap profile names who keeps them", LIMIT, async () => {
  const limit = Math.min(hostMemoryBytes(), new Cgroup().memoryLimitBytes());
  const share = (RESIDENT_BYTES_MAX / limit).toFixed(6);
  await using scene = await Scene.start({ triggers: `rss=min:${share};abs:${share};hold:2s` });
  using harm = scene.harm("harm-buffers");
  const recorded = await scene.incident(["rss"], ["heap.pb.gz", "profile-before.pb.gz"]);
  harm[Symbol.dispose]();
  await scene.assertIngestGoesOn(recorded.worker);
  const bundle = bundleOf(await scene.bundles(), recorded);

  assert.match(bundle.incident.why, /memory of all processes/);
  assertReachesBack(bundle);
  const heap = fileOf(bundle, "heap.pb.gz");
  assert.equal(await pprofTop(heap, "inuse_space"), "(external)", "most of it is no objects");
  await assertGuilty(heap, "leakBuffers", "inuse_space", "(external)");
  const { workers } = JSON.parse(fileOf(bundle, "history.json").toString()) as {
    readonly workers: Readonly<Record<string, { readonly series: Readonly<Record<string, readonly number[]>> }>>;
  };
  const external = workers[recorded.worker]!.series["externalBytes"]!;
  assert.ok(external.at(-1)! > external[0]! + 50_000_000, "the history shows that it is no objects");
});
