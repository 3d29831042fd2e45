import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import { type AddressInfo, createServer } from "node:net";
import test, { type TestContext } from "node:test";
import * as grpc from "@grpc/grpc-js";
import fc from "fast-check";
import { StreamCaller, UnaryCaller, PUBLISH, PUBLISH_STREAM } from "../../bench/load/callers.ts";
import { Connection } from "../../bench/load/connection.ts";
import { Meter } from "../../bench/load/meter.ts";
import { Pacer } from "../../bench/load/pacer.ts";
import { prebuild } from "../../bench/load/requests.ts";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  PublishRequestSchema,
  PublishResponseSchema,
  PublishStreamResponseSchema,
  type PublishRequest,
  type PublishResponse,
  type PublishStreamResponse,
} from "../../src/gen/sluice/v1/ingest_pb.js";

const unary = { requestStream: false, responseStream: false };
const bidi = { requestStream: true, responseStream: true };
const requests = {
  requestSerialize: (request: PublishRequest) => Buffer.from(toBinary(PublishRequestSchema, request)),
  requestDeserialize: (bytes: Buffer) => fromBinary(PublishRequestSchema, bytes),
};
const DEFINITION = {
  Publish: {
    path: PUBLISH,
    ...unary,
    ...requests,
    responseSerialize: (response: PublishResponse) => Buffer.from(toBinary(PublishResponseSchema, response)),
    responseDeserialize: (bytes: Buffer) => fromBinary(PublishResponseSchema, bytes),
  },
  PublishStream: {
    path: PUBLISH_STREAM,
    ...bidi,
    ...requests,
    responseSerialize: (response: PublishStreamResponse) =>
      Buffer.from(toBinary(PublishStreamResponseSchema, response)),
    responseDeserialize: (bytes: Buffer) => fromBinary(PublishStreamResponseSchema, bytes),
  },
};

const SHAPE = { topics: ["bench"], batch: 50, valueBytes: 1000, keys: 100, headers: 1, durability: 0 };

/** A load of its own, without a rate. */
function work() {
  const meter = new Meter();
  meter.start();
  return { pool: prebuild(SHAPE, 1, Date.now(), 4), batch: SHAPE.batch, pacer: new Pacer(0), meter };
}

/** A grpc-js server of the two methods, and a connection of the load client to it. */
async function connected(t: TestContext, handlers: grpc.UntypedServiceImplementation, path: string, options = {}) {
  const server = new grpc.Server(options);
  server.addService(DEFINITION, handlers);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
  const connection = await Connection.connect({ host: "127.0.0.1", port, path, userAgent: "test" });
  t.after(() => {
    connection.close();
    server.forceShutdown();
  });
  return { connection, server };
}

const sequences = new Set<bigint>();
const answerTo = ({ sequence, events }: PublishRequest): PublishResponse =>
  create(PublishResponseSchema, { sequence, stored: events.length });

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, "it did not come to that within 20 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("unary callers are answered by a grpc-js server, request after request", async (t) => {
  const { connection } = await connected(
    t,
    {
      Publish(
        call: grpc.ServerUnaryCall<PublishRequest, PublishResponse>,
        callback: grpc.sendUnaryData<PublishResponse>,
      ) {
        sequences.add(call.request.sequence);
        callback(null, answerTo(call.request));
      },
    },
    PUBLISH,
  );
  const load = work();
  const callers = Array.from({ length: 5 }, (_, i) => new UnaryCaller(connection, load, i));
  for (const caller of callers) load.pacer.free(caller);
  await until(() => load.meter.counts.requests >= 100);
  load.pacer.stop();
  await until(() => !callers.some((caller) => caller.busy));
  const { requests, stored, errors, firstError } = load.meter.counts;
  assert.deepEqual([errors, firstError], [0, undefined]);
  assert.equal(stored, requests * SHAPE.batch);
  assert.ok(sequences.size >= requests / callers.length);
});

test("streams that share a small window all get their messages through, and answers in any order are matched", async (t) => {
  const received: number[] = [];
  const { connection } = await connected(
    t,
    {
      PublishStream(call: grpc.ServerDuplexStream<PublishRequest, PublishStreamResponse>) {
        const index = received.push(0) - 1;
        call.on("data", (request: PublishRequest) => {
          received[index]!++;
          const value = answerTo(request);
          const late = Number(request.sequence % 3n) * 2;
          setTimeout(
            () => call.write(create(PublishStreamResponseSchema, { event: { case: "published", value } })),
            late,
          );
        });
        call.on("end", () => setTimeout(() => call.end(), 20));
      },
    },
    PUBLISH_STREAM,
    { "grpc-node.flow_control_window": 70_000 },
  );
  const load = work();
  const streams = Array.from({ length: 3 }, (_, i) => new StreamCaller(connection, load, i));
  for (const stream of streams) for (const sender of stream.senders(4)) load.pacer.free(sender);
  await until(() => load.meter.counts.requests >= 200);
  load.pacer.stop();
  await until(() => !streams.some((stream) => stream.busy));
  for (const stream of streams) stream.end();
  assert.ok(Math.min(...received) > Math.max(...received) / 3, `requests of the streams: ${received.join(", ")}`);
  const { requests, stored, errors, firstError } = load.meter.counts;
  assert.deepEqual([errors, firstError], [0, undefined]);
  assert.equal(stored, requests * SHAPE.batch);
});

test("a call that ends with a status counts as an error that names it", async (t) => {
  const { connection } = await connected(
    t,
    {
      Publish(_call: unknown, callback: grpc.sendUnaryData<PublishResponse>) {
        callback({ code: grpc.status.RESOURCE_EXHAUSTED, message: "zu viel für jetzt" });
      },
    },
    PUBLISH,
  );
  const load = work();
  load.pacer.free(new UnaryCaller(connection, load, 0));
  await until(() => load.meter.counts.errors > 0);
  load.pacer.stop();
  assert.equal(load.meter.counts.firstError, "status 8: zu viel für jetzt");
  assert.equal(load.meter.counts.requests, 0);
});

test("an answer that does not account for every event is an error", async (t) => {
  const { connection } = await connected(
    t,
    {
      Publish(
        call: grpc.ServerUnaryCall<PublishRequest, PublishResponse>,
        callback: grpc.sendUnaryData<PublishResponse>,
      ) {
        callback(null, create(PublishResponseSchema, { sequence: call.request.sequence, stored: 49 }));
      },
    },
    PUBLISH,
  );
  const load = work();
  load.pacer.free(new UnaryCaller(connection, load, 0));
  await until(() => load.meter.counts.errors > 0);
  load.pacer.stop();
  assert.equal(load.meter.counts.firstError, "an answer accounts for 49 + 0 of 50 events");
});

test("a server that goes away ends its streams with an error", async (t) => {
  const { connection, server } = await connected(
    t,
    {
      PublishStream(call: grpc.ServerDuplexStream<PublishRequest, PublishStreamResponse>) {
        call.on("data", () => {});
      },
    },
    PUBLISH_STREAM,
  );
  const load = work();
  const stream = new StreamCaller(connection, load, 0);
  for (const sender of stream.senders(1)) load.pacer.free(sender);
  await until(() => stream.busy);
  server.forceShutdown();
  await until(() => load.meter.counts.errors > 0);
  assert.match(load.meter.counts.firstError ?? "", /^a stream ended with status 14: the server /);
});

test("a port where nobody listens, and one that speaks no HTTP/2, are errors", async () => {
  const server = createServer((socket) => socket.resume().end("HTTP/1.1 400 Bad Request\r\n\r\n")).listen(
    0,
    "127.0.0.1",
  );
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const endpoint = { host: "127.0.0.1", port, path: PUBLISH, userAgent: "test" };
  await assert.rejects(Connection.connect(endpoint), /does not speak HTTP\/2/);
  server.close();
  await once(server, "close");
  await assert.rejects(Connection.connect(endpoint), /ECONNREFUSED/);
});

const anyName = fc.stringMatching(/^x-[a-z0-9-]{1,20}$/);
const anyValue = fc.stringMatching(/^[!-~]{1,300}$/);

test("what node:http2 says in headers is understood, whatever its table holds", async (t) => {
  let headers: Record<string, string> = {};
  let message = "";
  const server = http2.createServer();
  server.on("stream", (stream) => {
    stream.respond(
      { ":status": 200, ...headers, "grpc-status": "7", "grpc-message": encodeURIComponent(message) },
      { endStream: true },
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const connection = await Connection.connect({ host: "127.0.0.1", port, path: PUBLISH, userAgent: "test" });
  t.after(() => {
    connection.close();
    server.close();
  });
  const call = async () =>
    await new Promise<[status: number, message: string]>((resolve) => {
      connection.call({ onMessage: () => {}, onEnd: (status, text) => resolve([status, text]) });
    });
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(anyName, anyValue, { maxKeys: 8 }),
      fc.string({ unit: "grapheme", maxLength: 60 }),
      async (anyHeaders, text) => {
        headers = anyHeaders;
        message = text;
        assert.deepEqual(await call(), [7, text]);
      },
    ),
    { numRuns: 200 },
  );
});
