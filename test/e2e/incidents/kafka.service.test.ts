// Incidents of Kafka, on the real service under load over a fake cluster: a broker that answers slowly.
//
// No function is guilty of that, so the bundle has to name the partition, its leader, and what waits for it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Durability } from "../../../src/gen/sluice/v1/ingest_pb.js";
import type { WorkerState } from "../../../src/supervisor/inspection.ts";
import { FakeCluster } from "../../support/fake-broker.ts";
import { SteadyLoad } from "../../support/steady-load.ts";
import { assertReachesBack, bundleOf, fileOf } from "./bundle.ts";
import { Scene } from "./scene.ts";

const LIMIT = { timeout: 120_000 };
const SLOW = 2;

test(
  "a broker that answers slowly is named with its partitions, and what goes to the other one goes on",
  LIMIT,
  async () => {
    await using cluster = await FakeCluster.start({ brokers: 2, topics: { clicks: 2, orders: 2 }, store: false });
    for (const partition of [0, 1]) {
      cluster.moveLeader("clicks", partition, 1);
      cluster.moveLeader("orders", partition, SLOW);
    }
    await using scene = await Scene.start({
      triggers: "acknowledged_p99=min:0.5;abs:1;hold:2s",
      durability: Durability.REPLICATED,
      env: { KAFKA_BROKERS: cluster.bootstrap },
      withoutSecrets: true,
    });
    cluster.onProduce = ({ nodeId }) => (nodeId === SLOW ? { delayMs: 2_000 } : undefined);
    using _orders = new SteadyLoad({
      address: scene.service.grpcAddress,
      topic: "orders",
      durability: Durability.REPLICATED,
      streams: 4,
      batchesPerSecond: 25,
    });
    const recorded = await scene.incident(["acknowledged_p99"], ["state.json", "profile-before.pb.gz"]);
    await scene.assertIngestGoesOn(recorded.worker);
    const bundle = bundleOf(await scene.bundles(), recorded);

    assert.ok(bundle.incident.value! >= 1);
    assertReachesBack(bundle);
    const state = JSON.parse(fileOf(bundle, "state.json").toString()) as Readonly<Record<string, WorkerState>>;
    const [busiest] = state[recorded.worker]!.kafka!.partitions;
    assert.deepEqual({ topic: busiest?.topic, leader: busiest?.leader }, { topic: "orders", leader: SLOW });
    assert.ok(busiest!.queuedBytes > 0 && busiest!.inFlight + busiest!.queuedBatches > 0);
  },
);
