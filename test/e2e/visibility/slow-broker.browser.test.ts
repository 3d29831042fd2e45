// One broker of three is slow: everybody says "produce", and its name.

import assert from "node:assert/strict";
import { eventually } from "../../support/service.ts";
import { sceneTest, TOPIC } from "./scene.ts";

const SLOW = 2;

sceneTest(
  "one slow broker: histogram, page, top and alerts say produce, and name that broker and no other",
  {
    brokers: 3,
    partitions: 6,
    onProduce: ({ nodeId }) => (nodeId === SLOW ? { delayMs: 1_200 } : undefined),
    // Every batch has events for each broker.
    load: { mode: "stream", callers: 16, window: 2, batch: 100, connections: 2, durability: 1 },
  },
  async (scene) => {
    const slow = scene.nameOf(SLOW);
    const others = [1, 3].map((nodeId) => scene.nameOf(nodeId));
    const name = slow.replaceAll(".", "\\.");
    const { prometheus } = scene;
    const [acknowledgement] = await Promise.all([
      prometheus.fires("SluiceAcknowledgementSlow", { stage: "produce" }),
      eventually(
        "the alert of slow brokers fires for this one alone",
        async () => {
          const fires = (await prometheus.alerts())
            .filter(({ state, labels }) => state === "firing" && labels["alertname"] === "SluiceBrokerSlow")
            .map(({ labels }) => labels["broker"]);
          return fires.length === 1 && fires[0] === slow;
        },
        80_000,
      ),
    ]);
    const [live] = await Promise.all([
      scene.live(({ bottleneck }) => bottleneck.broker === slow),
      scene.scraped(({ admit, queue, produce }) => produce > 1 && produce >= queue && produce > 3 * admit),
      scene.page("#bottleneck", new RegExp(`^Held up: produce.*broker ${name} `, "s"), "slow-broker"),
      scene.top(new RegExp(`^produce: broker ${name} `, "m")),
    ]);
    const [slowest] = await prometheus.query(
      "topk(1, histogram_quantile(0.99, sum by (broker, le) (sluice_kafka_request_seconds_bucket)))",
    );
    assert.equal(slowest?.labels["broker"], slow);
    assert.equal(live.bottleneck.stage, "produce");
    assert.ok(
      others.every((other) => !live.bottleneck.sentence.includes(other)),
      live.bottleneck.sentence,
    );
    const { summary = "", description = "" } = acknowledgement.annotations;
    assert.match(summary, /the time goes into produce$/);
    assert.match(description, new RegExp(`topic ${TOPIC} \\(.*most with broker ${name} \\(`));
    assert.ok(
      others.every((other) => !description.includes(other)),
      description,
    );
  },
);
