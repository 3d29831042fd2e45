// What the double does with batches, and how it fails on demand.

import assert from "node:assert/strict";
import { connect } from "node:net";
import test from "node:test";

import * as kafka from "@platformatic/kafka";

import { ErrorCode, FakeCluster, once, times } from "./fake-broker.ts";
import { dial, produce, values, withCluster } from "./fake-broker/test-client.ts";

test("a batch is stored and read back with its producer, sequence and offsets", () =>
  withCluster({}, async (cluster, connection) => {
    const first = await produce(connection, ["a", "b"], { producerId: 7n, epoch: 0, sequence: 0 });
    const second = await produce(connection, ["c"], { producerId: 7n, epoch: 0, sequence: 2 });
    assert.deepEqual([first.errorCode, first.baseOffset, second.errorCode, second.baseOffset], [0, 0n, 0, 2n]);
    assert.deepEqual(values(cluster, 0), ["a", "b", "c"]);
    const { bytes, ...header } = cluster.log("t", 0)[1]!;
    assert.deepEqual(header, { producerId: 7n, epoch: 0, baseSequence: 2, count: 1, baseOffset: 2 });
    assert.equal(bytes.readInt32BE(8), bytes.length - 12);
    assert.equal(cluster.endOffset("t", 0), 3);
    assert.equal(cluster.endOffset("t", 1), 0);
  }));

test("one of the last five batches, sent again, is answered with its old offset and stored once", () =>
  withCluster({}, async (cluster, connection) => {
    for (let sequence = 0; sequence < 6; sequence++) {
      await produce(connection, [`v${sequence}`], { producerId: 1n, epoch: 0, sequence });
    }
    const fifth = await produce(connection, ["again"], { producerId: 1n, epoch: 0, sequence: 1 });
    assert.deepEqual([fifth.errorCode, fifth.baseOffset], [0, 1n]);
    const sixth = await produce(connection, ["again"], { producerId: 1n, epoch: 0, sequence: 0 });
    assert.equal(sixth.errorCode, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert.equal(cluster.endOffset("t", 0), 6);
  }));

test("sequences are checked as a broker checks them", () =>
  withCluster({}, async (cluster, connection) => {
    const send = async (epoch: number, sequence: number, count = 1): Promise<number> => {
      const sent = Array.from({ length: count }, () => "v");
      return (await produce(connection, sent, { producerId: 5n, epoch, sequence })).errorCode;
    };
    assert.equal(await send(3, 41), 0, "any first sequence of an unknown producer");
    assert.equal(await send(3, 43), ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert.equal(await send(3, 41, 2), ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, "a duplicate has the same end too");
    assert.equal(await send(3, 42), 0);
    assert.equal(await send(2, 43), ErrorCode.INVALID_PRODUCER_EPOCH);
    assert.equal(await send(4, 43), ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, "a new epoch begins at 0");
    assert.equal(await send(4, 0), 0);
    assert.equal(await send(3, 42), ErrorCode.INVALID_PRODUCER_EPOCH);
    cluster.forgetProducer("t", 0);
    assert.equal(await send(4, 0x7fff_ffff, 2), 0, "sequences go on at 0 after 2^31 - 1");
    assert.equal(await send(4, 0x7fff_ffff, 2), 0, "and duplicates are found over that border");
    assert.equal(await send(4, 1), 0);
    assert.equal(cluster.endOffset("t", 0), 6);
  }));

test("corrupt, oversized and unknown are refused with their codes", () =>
  withCluster({ topics: { t: { configs: { "max.message.bytes": "200" } } } }, async (cluster, connection) => {
    assert.equal((await produce(connection, ["x".repeat(300)])).errorCode, ErrorCode.MESSAGE_TOO_LARGE);
    assert.equal((await produce(connection, ["x"], {}, 1)).errorCode, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
    const corrupt = (bytes: Buffer): Promise<unknown> => {
      const api = kafka.createAPI<[], unknown>(
        0,
        11,
        () =>
          kafka.Writer.create()
            .appendString(null)
            .appendInt16(-1)
            .appendInt32(1_000)
            .appendArray(["t"], (w, topic) =>
              w.appendString(topic).appendArray([0], (w, p) => w.appendInt32(p).appendBytes(bytes)),
            )
            .appendTaggedFields(),
        kafka.produceV11.parseResponse,
      );
      return api.async(connection);
    };
    const batch = kafka.createRecordsBatch([{ topic: "t", value: Buffer.from("v"), timestamp: 1n }]).buffer;
    await corrupt(batch);
    const flipped = Buffer.from(batch);
    flipped[flipped.length - 2]! ^= 1;
    await assert.rejects(corrupt(flipped), kafka.ResponseError);
    assert.deepEqual(values(cluster, 0), ["v"]);
  }));

test("after a leader moves, the old one names the new one and its address", () =>
  withCluster({ brokers: 3 }, async (cluster, connection) => {
    await produce(connection, ["a"], { producerId: 1n, epoch: 0, sequence: 0 });
    cluster.moveLeader("t", 0, 3);
    const answer = await produce(connection, ["b"], { producerId: 1n, epoch: 0, sequence: 1 });
    assert.equal(answer.errorCode, ErrorCode.NOT_LEADER_OR_FOLLOWER);
    assert.equal(answer.leaderId, 3);
    assert.deepEqual(
      answer.endpoints.map(({ nodeId, port }) => [nodeId, port]),
      [[3, cluster.broker(3).port]],
    );
    const there = await dial(cluster, 3);
    assert.equal((await produce(there, ["a"], { producerId: 1n, epoch: 0, sequence: 0 })).baseOffset, 0n);
    assert.equal((await produce(there, ["b"], { producerId: 1n, epoch: 0, sequence: 1 })).baseOffset, 1n);
    await there.close();
  }));

test("faults: errors before and after storing, lost answers and connections, throttling", () =>
  withCluster({}, async (cluster, connection) => {
    cluster.onProduce = once({ action: "error", code: 19 });
    assert.equal((await produce(connection, ["refused"])).errorCode, 19);
    cluster.onProduce = times(1, { action: "error", code: 7, when: "after" });
    assert.equal((await produce(connection, ["timed out"])).errorCode, 7);
    cluster.onProduce = once({ action: "error", code: 2, only: ({ partition }) => partition === 1 });
    assert.equal((await produce(connection, ["spared"])).errorCode, 0);
    cluster.onProduce = once({ throttleMs: 20 });
    assert.equal((await produce(connection, ["throttled"])).throttleTimeMs, 20);
    cluster.onProduce = once({ delayMs: 10 });
    assert.equal((await produce(connection, ["late"])).errorCode, 0);
    cluster.onProduce = once({ action: "disconnect", when: "before" });
    await assert.rejects(produce(connection, ["cut before"]));
    cluster.onProduce = once({ action: "disconnect", when: "after" });
    const second = await dial(cluster);
    await assert.rejects(produce(second, ["cut after"]));
    const third = await dial(cluster, 1, 50);
    cluster.onProduce = once({ action: "drop-response" });
    await assert.rejects(produce(third, ["unanswered"]));
    await third.close();
    assert.deepEqual(values(cluster, 0), ["timed out", "spared", "throttled", "late", "cut after", "unanswered"]);
  }));

test("a paused broker takes connections and bytes, and goes on with them when it resumes", () =>
  withCluster({}, async (cluster) => {
    cluster.broker(1).pause();
    const connection = await dial(cluster);
    const answer = produce(connection, ["v"]);
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.equal(cluster.endOffset("t", 0), 0);
    cluster.broker(1).resume();
    assert.equal((await answer).errorCode, 0);
    await connection.close();
  }));

test("a stopped broker refuses connections, has no leaders, and comes back on its port", () =>
  withCluster({ brokers: 2 }, async (cluster, connection) => {
    const { port } = cluster.broker(2);
    await cluster.broker(2).stop();
    await assert.rejects(kafka.metadataV12.api.async(connection, ["t"], false, false), (error: unknown) => {
      const { topics } = (
        error as { response: { topics: { partitions: { leaderId: number; errorCode: number }[] }[] } }
      ).response;
      const leaders = topics[0]!.partitions.map(({ leaderId, errorCode }) => [leaderId, errorCode]);
      assert.deepEqual(leaders, [
        [1, 0],
        [-1, ErrorCode.LEADER_NOT_AVAILABLE],
      ]);
      return true;
    });
    await assert.rejects(dial(cluster, 2));
    await cluster.broker(2).start();
    await kafka.metadataV12.api.async(connection, ["t"], false, false);
    assert.equal(cluster.broker(2).port, port);
    await (await dial(cluster, 2)).close();
  }));

test("a request in small pieces is understood, and a large one is not quadratic", () =>
  withCluster({ topics: { t: { configs: { "max.message.bytes": "20000000" } } } }, async (cluster, connection) => {
    assert.equal((await produce(connection, ["x".repeat(16_000_000)])).errorCode, 0);
    const request = kafka.produceV9.createRequest(-1, 1_000, [
      { topic: "t", partition: 0, value: Buffer.from("dribbled"), timestamp: 1n },
    ]);
    const head = kafka.Writer.create().appendInt16(0).appendInt16(9).appendInt32(1).appendString("x", false);
    const body = Buffer.concat([head.appendTaggedFields().buffer, request.buffer]);
    const size = Buffer.alloc(4);
    size.writeInt32BE(body.length);
    const socket = connect({ host: cluster.broker(1).host, port: cluster.broker(1).port, noDelay: true });
    const answered = new Promise((resolve) => socket.once("data", resolve));
    for (const byte of Buffer.concat([size, body])) {
      await new Promise<void>((resolve) => socket.write(Buffer.of(byte), () => setImmediate(resolve)));
    }
    await answered;
    socket.destroy();
    assert.equal(values(cluster, 0)[1], "dribbled");
  }));

test("topics are created by Metadata only where the cluster allows it", async () => {
  await using cluster = await FakeCluster.start({ autoCreatePartitions: 2 });
  const connection = await dial(cluster);
  const [unknown] = (await kafka.metadataV11.api.async(connection, ["new"], true, false)).topics;
  assert.equal(unknown!.partitions.length, 2);
  await connection.close();
});
