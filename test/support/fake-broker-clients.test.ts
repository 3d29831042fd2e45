// The double is judged by clients that are not ours: kafkajs, and @platformatic/kafka's codecs of every version.

import assert from "node:assert/strict";
import test from "node:test";

import * as kafka from "@platformatic/kafka";
import { type Kafka as KafkaJs, default as kafkajs } from "kafkajs";

import { ErrorCode, FakeCluster } from "./fake-broker.ts";
import { produce, values, withCluster } from "./fake-broker/test-client.ts";

test("every version of every API is understood by a client's codecs", () =>
  withCluster({ brokers: 2 }, async (cluster, connection) => {
    for (const [version, api] of [
      [3, kafka.produceV3],
      [4, kafka.produceV4],
      [5, kafka.produceV5],
      [6, kafka.produceV6],
      [7, kafka.produceV7],
      [8, kafka.produceV8],
      [9, kafka.produceV9],
      [10, kafka.produceV10],
      [11, kafka.produceV11],
    ] as const) {
      assert.equal((await produce(connection, ["v"], {}, 0, api.api)).baseOffset, BigInt(version - 3), `v${version}`);
      assert.equal((await produce(connection, ["v"], {}, 1, api.api)).errorCode, ErrorCode.NOT_LEADER_OR_FOLLOWER);
    }
    for (const api of [
      kafka.metadataV1,
      kafka.metadataV2,
      kafka.metadataV3,
      kafka.metadataV4,
      kafka.metadataV5,
      kafka.metadataV6,
      kafka.metadataV7,
      kafka.metadataV8,
      kafka.metadataV9,
      kafka.metadataV10,
      kafka.metadataV11,
      kafka.metadataV12,
    ]) {
      const send = api.api.async as (
        ...args: unknown[]
      ) => Promise<Awaited<ReturnType<typeof kafka.metadataV12.api.async>>>;
      const response = await send(connection, ["t"], false, false, false);
      assert.deepEqual(
        [...response.brokers.values()].map((broker) => [broker.nodeId, broker.port]),
        cluster.brokers.map((broker) => [broker.nodeId, broker.port]),
      );
      const [topic] = response.topics;
      assert.deepEqual([topic!.name, topic!.partitions.map((partition) => partition.leaderId)], ["t", [1, 2]]);
      assert.deepEqual(topic!.partitions[0]!.isrNodes, [1, 2]);
    }
    for (const api of [
      kafka.initProducerIdV0,
      kafka.initProducerIdV1,
      kafka.initProducerIdV2,
      kafka.initProducerIdV3,
      kafka.initProducerIdV4,
      kafka.initProducerIdV5,
    ]) {
      const send = api.api.async as (...args: unknown[]) => Promise<{ producerId: bigint; producerEpoch: number }>;
      const { producerId, producerEpoch } = await send(connection, null, 1_000, -1n, -1);
      assert.deepEqual([producerId >= 1000n, producerEpoch], [true, 0]);
    }
    for (const api of [
      kafka.describeConfigsV1,
      kafka.describeConfigsV2,
      kafka.describeConfigsV3,
      kafka.describeConfigsV4,
    ]) {
      const resources = [{ resourceType: 2, resourceName: "t", configurationKeys: ["max.message.bytes"] }];
      const send = api.api.async as (
        ...args: unknown[]
      ) => Promise<Awaited<ReturnType<typeof kafka.describeConfigsV4.api.async>>>;
      const { results } = await send(connection, resources, false, false);
      assert.deepEqual(
        results[0]!.configs.map(({ name, value }) => [name, value]),
        [["max.message.bytes", "1048588"]],
      );
    }
    for (const [version, api] of [
      [2, kafka.createTopicsV2],
      [3, kafka.createTopicsV3],
      [4, kafka.createTopicsV4],
      [5, kafka.createTopicsV5],
      [6, kafka.createTopicsV6],
      [7, kafka.createTopicsV7],
    ] as const) {
      const name = `made-by-v${version}`;
      const configs = [{ name: "max.message.bytes", value: "999" }];
      const send = api.api.async as (...args: unknown[]) => Promise<unknown>;
      const topics = [{ name, numPartitions: 3, replicationFactor: 2, assignments: [], configs }];
      await send(connection, topics, 1_000, false);
      assert.equal(cluster.leader(name, 2), 1);
      await assert.rejects(send(connection, topics, 1_000, false), kafka.ResponseError);
    }
    for (const api of [
      kafka.apiVersionsV0,
      kafka.apiVersionsV1,
      kafka.apiVersionsV2,
      kafka.apiVersionsV3,
      kafka.apiVersionsV4,
    ]) {
      const send = api.api.async as (
        ...args: unknown[]
      ) => Promise<Awaited<ReturnType<typeof kafka.apiVersionsV4.api.async>>>;
      const { apiKeys } = await send(connection, "test", "1");
      assert.equal(apiKeys.find((range) => range.apiKey === 0)!.maxVersion, 12);
    }
    assert.deepEqual(cluster.violations, []);
  }));

test("a version of ApiVersions that is too high gets UNSUPPORTED_VERSION in the shape of v0", () =>
  withCluster({ profile: "2.8" }, async (_cluster, connection) => {
    const raw = kafka.createAPI<[], [number, number]>(
      18,
      4,
      kafka.apiVersionsV4.createRequest,
      (_correlation, _key, _version, reader) => [reader.readInt16(), reader.readInt32()],
      true,
      false,
    );
    const send = raw.async as (...args: unknown[]) => Promise<[number, number]>;
    assert.deepEqual(await send(connection, "test", "1"), [ErrorCode.UNSUPPORTED_VERSION, 1]);
    assert.equal((await produce(connection, ["v"], {}, 0, kafka.produceV9.api)).errorCode, 0);
  }));

test("a request outside the advertised versions ends the connection and is listed as a violation", () =>
  withCluster({ profile: "2.8" }, async (cluster, connection) => {
    await assert.rejects(produce(connection, ["v"], {}, 0, kafka.produceV10.api));
    assert.equal(cluster.violations.length, 1);
    assert.match(cluster.violations[0]!, /Produce v10/);
  }));

const kafkaJs = (cluster: FakeCluster): KafkaJs =>
  new kafkajs.Kafka({ brokers: cluster.bootstrap.split(","), logLevel: kafkajs.logLevel.NOTHING });

for (const profile of ["2.8", "4.1"] as const) {
  for (const idempotent of [false, true]) {
    test(`kafkajs produces to brokers like ${profile}, idempotent ${idempotent}`, async () => {
      await using cluster = await FakeCluster.start({ brokers: 2, profile, topics: { t: 2 } });
      const producer = kafkaJs(cluster).producer({ idempotent, maxInFlightRequests: 1 });
      await producer.connect();
      try {
        for (const round of ["1", "2", "3"]) {
          const messages = [0, 1].map((partition) => ({ partition, value: `${partition}:${round}` }));
          await producer.send({ topic: "t", acks: -1, messages });
        }
      } finally {
        await producer.disconnect();
      }
      assert.deepEqual(values(cluster, 0), ["0:1", "0:2", "0:3"]);
      assert.deepEqual(values(cluster, 1), ["1:1", "1:2", "1:3"]);
      assert.equal(cluster.log("t", 0)[0]!.producerId >= 0n, idempotent);
      assert.deepEqual(cluster.violations, []);
    });
  }

  test(`@platformatic/kafka produces to brokers like ${profile}`, async () => {
    await using cluster = await FakeCluster.start({ brokers: 2, profile, topics: { t: 2 } });
    const producer = new kafka.Producer({
      clientId: "test",
      bootstrapBrokers: cluster.bootstrap.split(","),
      idempotent: true,
    });
    try {
      await producer.send({
        messages: [0, 1].map((partition) => ({ topic: "t", partition, value: Buffer.from(`v${partition}`) })),
      });
    } finally {
      await producer.close();
    }
    assert.deepEqual([values(cluster, 0), values(cluster, 1)], [["v0"], ["v1"]]);
    assert.deepEqual(cluster.violations, []);
  });
}

test("a stand-in acknowledges without keeping anything", async () => {
  await using cluster = await FakeCluster.start({ store: false, verify: false, topics: { t: 1 } });
  const producer = kafkaJs(cluster).producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  await producer.send({ topic: "t", messages: Array.from({ length: 100 }, (_, i) => ({ value: `v${i}` })) });
  const [record] = await producer.send({ topic: "t", messages: [{ value: "last" }] });
  await producer.disconnect();
  assert.equal(record!.baseOffset, "100");
  assert.equal(cluster.endOffset("t", 0), 101);
  assert.deepEqual([cluster.log("t", 0).length, cluster.requests.length], [0, 0]);
});
