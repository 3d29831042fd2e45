// What an operator is told while a broker hangs: the real Prometheus with the rules that are shipped, at a test's pace, on the
// real service between a load and brokers that do what they are told. A broker that is slow, a budget that is taken and streams
// that lie on one worker are in test/e2e/visibility, where the page and the command line have to say the same.

import assert from "node:assert/strict";
import test from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { judge } from "../../scripts/judges.ts";
import { Durability, PublishRequestSchema } from "../../src/gen/sluice/v1/ingest_pb.js";
import { FakeCluster } from "../support/fake-broker.ts";
import { PUBLISH, RawClient } from "../support/raw-client.ts";
import { startService } from "../support/service.ts";
import { hastened, PrometheusServer } from "./support/prometheus.ts";

const TOPIC = "clicks";

void test(
  "a broker that hangs holds the byte budget: what waits for room is told as admit",
  { timeout: 140_000 },
  async (context) => {
    const program = await judge("prometheus");
    if (typeof program === "string") {
      context.skip(program);
      return;
    }
    await using cluster = await FakeCluster.start({ brokers: 2, topics: { [TOPIC]: 4 }, store: false });
    const limits = { ADMITTED_BYTES_MAX: "64KiB", GRPC_MESSAGE_BYTES_MAX: "64KiB" };
    const patience = { KAFKA_REQUEST_TIMEOUT: "10m", KAFKA_METADATA_MAX_AGE: "10m", DRAIN_TIMEOUT: "2s" };
    await using service = await startService({ env: { KAFKA_BROKERS: cluster.bootstrap, ...limits, ...patience } });
    const target = new URL(service.adminUrl).host;
    await using prometheus = await PrometheusServer.start(program, { target, rules: hastened });
    const [healthy, hanging] = [1, 2].map((node) =>
      [0, 1].find((partition) => cluster.leader(TOPIC, partition) === node)!,
    );
    const [host = "", port = ""] = service.grpcAddress.split(":");
    using client = new RawClient({ host, port: Number(port) });
    const publish = async (partition: number | undefined, bytes: number, timeoutMs = 60_000): Promise<void> => {
      const events = [{ value: Buffer.alloc(bytes, "x"), ...(partition === undefined ? {} : { partition }) }];
      const request = create(PublishRequestSchema, { topic: TOPIC, durability: Durability.REPLICATED, events });
      await client.unary(PUBLISH, toBinary(PublishRequestSchema, request), { deadline: Date.now() + timeoutMs });
    };
    await Promise.all([publish(healthy, 10), publish(hanging, 10)]);
    cluster.broker(2).pause();
    await publish(hanging, 45_000, 1_000);
    // Of these one at a time has room.
    cluster.onProduce = () => ({ delayMs: 300 });
    const ending = new AbortController();
    const callers = Array.from({ length: 6 }, async () => {
      while (!ending.signal.aborted) await publish(healthy, 10_000);
    });
    try {
      const alert = await prometheus.fires("SluiceAcknowledgementSlow", { stage: "admit" });
      assert.match(alert.annotations["summary"]!, /the time goes into admit$/);
      assert.match(alert.annotations["description"]!, new RegExp(`topic ${TOPIC} \\(`));
    } finally {
      ending.abort();
      await Promise.all(callers);
      cluster.broker(2).resume();
    }
  },
);
