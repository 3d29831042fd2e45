// What an operator is told while something is slow: the real Prometheus with the rules that are shipped, at a test's pace, on
// the real service between a load and brokers that do what they are told.

import assert from "node:assert/strict";
import test from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { judge } from "../../scripts/judges.ts";
import { Durability, PublishRequestSchema } from "../../src/gen/sluice/v1/ingest_pb.js";
import { FakeCluster } from "../support/fake-broker.ts";
import { PUBLISH, RawClient } from "../support/raw-client.ts";
import { eventually, type RunningService, startService } from "../support/service.ts";
import { SteadyLoad } from "../support/steady-load.ts";
import { type Alert, PrometheusServer } from "./support/prometheus.ts";

const TOPIC = "clicks";
const FIRES_WITHIN_MS = 80_000;

/** Five minutes are ten seconds, and nothing has to last. */
function hastened(rules: string): string {
  return rules.replaceAll(/\[5m\]/g, "[10s]").replaceAll(/for: \d+m/g, "for: 1s");
}

interface Scene {
  readonly cluster: FakeCluster;
  readonly service: RunningService;
  readonly prometheus: PrometheusServer;
}

interface SceneOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly rules?: (text: string) => string;
}

/** A test on two fake brokers, of which each leads half of the topic's partitions, the service, and Prometheus. */
function sceneTest(
  title: string,
  { env = {}, rules = hastened }: SceneOptions,
  body: (scene: Scene) => Promise<void>,
): void {
  void test(title, { timeout: 140_000 }, async (context) => {
    const program = await judge("prometheus");
    if (typeof program === "string") {
      context.skip(program);
      return;
    }
    await using cluster = await FakeCluster.start({ brokers: 2, topics: { [TOPIC]: 4 }, store: false });
    await using service = await startService({
      env: { KAFKA_BROKERS: cluster.bootstrap, DRAIN_TIMEOUT: "2s", ...env },
    });
    const target = new URL(service.adminUrl).host;
    await using prometheus = await PrometheusServer.start(program, { target, rules });
    await body({ cluster, service, prometheus });
  });
}

/** Resolves with the first alert that fires and is what is looked for. */
async function fires(
  prometheus: PrometheusServer,
  name: string,
  labels: Readonly<Record<string, string>>,
): Promise<Alert> {
  let seen: readonly Alert[] = [];
  const found = eventually(
    `${name} fires`,
    async () => {
      seen = await prometheus.alerts();
      return seen.find(
        (alert) =>
          alert.state === "firing" &&
          alert.labels["alertname"] === name &&
          Object.entries(labels).every(([label, value]) => alert.labels[label] === value),
      );
    },
    FIRES_WITHIN_MS,
  );
  return await found.catch((error: unknown) => {
    throw new Error(`${String(error)} with ${JSON.stringify(labels)}; there are ${JSON.stringify(seen)}`);
  });
}

sceneTest(
  "one slow broker: the alerts say produce, and name the broker",
  {},
  async ({ cluster, service, prometheus }) => {
    const slow = cluster.broker(2);
    const name = `${slow.host}:${slow.port}`;
    cluster.onProduce = ({ nodeId }) => (nodeId === 2 ? { delayMs: 1_500 } : undefined);
    const { grpcAddress: address } = service;
    using load = new SteadyLoad({
      address,
      topic: TOPIC,
      durability: Durability.REPLICATED,
      streams: 2,
      batchesPerSecond: 10,
    });
    const broker = await fires(prometheus, "SluiceBrokerSlow", { broker: name });
    assert.match(broker.annotations["summary"]!, new RegExp(name));
    const alert = await fires(prometheus, "SluiceAcknowledgementSlow", { stage: "produce" });
    assert.match(alert.annotations["summary"]!, /the time goes into produce$/);
    assert.match(alert.annotations["description"]!, new RegExp(`topic ${TOPIC} \\(.*broker ${name} \\(`));
    assert.ok(load.acknowledged > 0);
  },
);

sceneTest(
  "a broker that hangs holds the byte budget: what waits for room is told as admit",
  {
    env: {
      ADMITTED_BYTES_MAX: "64KiB",
      GRPC_MESSAGE_BYTES_MAX: "64KiB",
      KAFKA_REQUEST_TIMEOUT: "10m",
      KAFKA_METADATA_MAX_AGE: "10m",
    },
  },
  async ({ cluster, service, prometheus }) => {
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
      const alert = await fires(prometheus, "SluiceAcknowledgementSlow", { stage: "admit" });
      assert.match(alert.annotations["summary"]!, /the time goes into admit$/);
      assert.match(alert.annotations["description"]!, new RegExp(`topic ${TOPIC} \\(`));
    } finally {
      ending.abort();
      await Promise.all(callers);
      cluster.broker(2).resume();
    }
  },
);

sceneTest(
  "all streams on one worker: the alert names it",
  // Whether it costs half a core depends on the machine.
  {
    env: { WORKERS: "2" },
    rules: (text) => hastened(text).replace("cpu_seconds:rate5m > 0.5", "cpu_seconds:rate5m > 0"),
  },
  async ({ service, prometheus }) => {
    const { grpcAddress: address } = service;
    using load = new SteadyLoad({
      address,
      topic: TOPIC,
      durability: Durability.REPLICATED,
      streams: 1,
      batchesPerSecond: 50,
    });
    const alert = await fires(prometheus, "SluiceWorkersUneven", {});
    const [busiest] = await prometheus.query(
      'topk(1, sum by (worker) (sluice_events_received_total{worker!="supervisor"}))',
    );
    assert.equal(alert.labels["worker"], busiest!.labels["worker"]);
    assert.ok((await prometheus.query("max(sluice_worker_imbalance_ratio)"))[0]!.value > 1.9);
    assert.ok(load.acknowledged > 0);
  },
);
