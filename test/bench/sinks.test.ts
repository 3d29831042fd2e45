import assert from "node:assert/strict";
import test from "node:test";
import { type Caller, PUBLISH, PUBLISH_STREAM, StreamCaller, UnaryCaller } from "../../bench/load/callers.ts";
import { Connection } from "../../bench/load/connection.ts";
import { Meter } from "../../bench/load/meter.ts";
import { Pacer } from "../../bench/load/pacer.ts";
import { prebuild } from "../../bench/load/requests.ts";
import { answerTo, streamAnswerTo } from "../../bench/sinks/answering.ts";
import { createSink, SINK_SERVERS } from "../../bench/sinks/sink.ts";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  Durability,
  PublishRequestSchema,
  PublishResponseSchema,
  PublishStreamResponseSchema,
} from "../../src/gen/sluice/v1/ingest_pb.js";

const REQUEST_BYTES = toBinary(
  PublishRequestSchema,
  create(PublishRequestSchema, {
    sequence: 2n ** 63n,
    topic: "bench",
    durability: Durability.REPLICATED,
    events: Array.from({ length: 300 }, (_, i) => ({ value: Buffer.alloc(i) })),
  }),
);

test("a sink's answer has the request's sequence and calls all of its events stored", () => {
  const request = Buffer.from(REQUEST_BYTES);
  const { sequence, stored, failures } = fromBinary(PublishResponseSchema, answerTo(request));
  assert.deepEqual([sequence, stored, failures], [2n ** 63n, 300, []]);
  const { event } = fromBinary(PublishStreamResponseSchema, streamAnswerTo(request));
  assert.ok(event.case === "published");
  assert.deepEqual([event.value.sequence, event.value.stored], [2n ** 63n, 300]);
});

test("a request that does not begin with its sequence is not answered with another one", () => {
  assert.throws(() => answerTo(Buffer.from(REQUEST_BYTES.subarray(10))), /does not begin with its sequence/);
});

// Bodies of more than a window, so that the flow control has to work as well.
const SHAPE = { topics: ["bench"], batch: 100, valueBytes: 1024, keys: 100, headers: 0, durability: 0 };
const CONNECTIONS = 8;

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, "it did not come to that within 20 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

for (const server of SINK_SERVERS) {
  test(`the ${server} sink answers every request of many connections at a time`, async (t) => {
    const sink = await createSink(server, { GRPC_LISTEN: "127.0.0.1:0" });
    await sink.start();
    t.after(() => sink.dispose());
    for (const path of [PUBLISH, PUBLISH_STREAM]) {
      const connections = await Promise.all(
        Array.from({ length: CONNECTIONS }, () => Connection.connect({ ...sink.address, path, userAgent: "test" })),
      );
      const meter = new Meter();
      meter.start();
      const work = { pool: prebuild(SHAPE, 1, Date.now(), 4), batch: SHAPE.batch, pacer: new Pacer(0), meter };
      const callers = Array.from({ length: 3 * CONNECTIONS }, (_, i): Caller => {
        const connection = connections[i % CONNECTIONS]!;
        return path === PUBLISH ? new UnaryCaller(connection, work, i) : new StreamCaller(connection, work, i);
      });
      for (const caller of callers) for (const sender of caller.senders(4)) work.pacer.free(sender);
      await until(() => callers.every((caller) => caller.answers >= 10));
      work.pacer.stop();
      await until(() => !callers.some((caller) => caller.busy));
      for (const caller of callers) caller.end();
      const { requests, stored, errors, firstError } = meter.counts;
      assert.deepEqual([errors, firstError], [0, undefined]);
      assert.equal(stored, requests * SHAPE.batch);
      for (const connection of connections) connection.close();
    }
  });
}
