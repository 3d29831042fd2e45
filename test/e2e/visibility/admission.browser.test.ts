// One topic has too few replicas in sync, and what waits for it takes the byte budget, while brokers answer quickly and everything
// else is well: batches of the other topic wait for room, and everybody says "admit".
//
// A broker that is slow would fill the budget, too; but then it is the reason, and everybody has to say that.

import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import { Durability, PublishRequestSchema } from "../../../src/gen/sluice/v1/ingest_pb.js";
import type { FakeCluster } from "../../support/fake-broker.ts";
import { PUBLISH, RawClient } from "../../support/raw-client.ts";
import { eventually, type RunningService } from "../../support/service.ts";
import { sceneTest } from "./scene.ts";

const BUDGET = 256 * 1024;
/** Room for one batch of the load. */
const ROOM = 6_500;
const HELD_MS = 600_000;
const STUCK = "orders";
const NOT_ENOUGH_REPLICAS = 19;

/** Resolves when the room is all that is left of the budget. */
async function blockAdmission(cluster: FakeCluster, { grpcAddress, adminUrl }: RunningService): Promise<Disposable> {
  cluster.createTopic(STUCK, { partitions: 1 });
  const [host = "", port = ""] = grpcAddress.split(":");
  const client = new RawClient({ host, port: Number(port) });
  const events = [{ value: Buffer.alloc(BUDGET - ROOM, "x") }];
  const request = create(PublishRequestSchema, { topic: STUCK, durability: Durability.REPLICATED, events });
  // It ends with its connection.
  void client.unary(PUBLISH, toBinary(PublishRequestSchema, request), { deadline: Date.now() + HELD_MS });
  await eventually("the budget is taken", async () => {
    const metrics = await (await fetch(`${adminUrl}/metrics`)).text();
    return Number(/^sluice_admitted_bytes\{.*\} (\d+)$/m.exec(metrics)?.[1]) > BUDGET - ROOM;
  });
  return client;
}

sceneTest(
  "a byte budget that is taken: histogram, page, top and alerts say admit, and nobody blames a broker",
  {
    brokers: 1,
    partitions: 1,
    // So long that those who wait for their turn wait for seconds, and far too short to be a reason.
    onProduce: () => ({
      action: "error",
      code: NOT_ENOUGH_REPLICAS,
      only: ({ topic }) => topic === STUCK,
      delayMs: 30,
    }),
    env: {
      ADMITTED_BYTES_MAX: String(BUDGET),
      GRPC_MESSAGE_BYTES_MAX: String(BUDGET),
      ADMISSION_TIMEOUT: "1m",
    },
    prepare: blockAdmission,
    load: { mode: "unary", callers: 60, batch: 16, connections: 4, durability: 1 },
  },
  async (scene) => {
    const { prometheus } = scene;
    const [acknowledgement] = await Promise.all([
      prometheus.fires("SluiceAcknowledgementSlow", { stage: "admit" }),
      prometheus.fires("SluiceAdmissionFull"),
    ]);
    const [live] = await Promise.all([
      scene.live(
        ({ bottleneck, history: { service } }) => bottleneck.stage === "admit" && (service.admitP99.at(-1) ?? 0) > 1,
      ),
      scene.scraped(({ admit, queue, produce }) => admit > 1 && admit > 3 * queue && admit > 3 * produce),
      scene.page(
        "#bottleneck",
        /^Held up: admit.*ADMITTED_BYTES_MAX, 256 KiB a worker.* wait for Kafka, which may be what holds the budget/s,
        "admission",
      ),
      scene.top(/^admit: batches wait .*ADMITTED_BYTES_MAX, 256 KiB a worker/m),
    ]);
    assert.equal(live.bottleneck.broker, null);
    assert.match(acknowledgement.annotations["summary"]!, /the time goes into admit$/);
    assert.doesNotMatch(acknowledgement.annotations["description"]!, /with broker/);
  },
);
