// What clients see of the service: answers, health, reflection, and the end of a worker.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, timestampMs } from "@bufbuild/protobuf/wkt";
import { Code } from "../../src/errors.ts";
import {
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthCheckResponseSchema,
  HealthListRequestSchema,
  HealthListResponseSchema,
} from "../../src/gen/grpc/health/v1/health_pb.js";
import {
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from "../../src/gen/grpc/reflection/v1/reflection_pb.js";
import {
  Durability,
  PublishRequestSchema,
  PublishResponseSchema,
  type PublishStreamResponse,
  PublishStreamResponseSchema,
} from "../../src/gen/sluice/v1/ingest_pb.js";
import type { GrpcServer, Method, ServerCall, Status } from "../../src/grpc/server.ts";
import { startInProcess } from "../support/in-process.ts";
import { PUBLISH, PUBLISH_STREAM, RawClient } from "../support/raw-client.ts";
import { eventually } from "../support/service.ts";

const event = (value: string) => ({ value: Buffer.from(value) });

function request(sequence: bigint, count: number): Uint8Array {
  const events = Array.from({ length: count }, (_, i) => event(`${sequence}/${i}`));
  return toBinary(PublishRequestSchema, create(PublishRequestSchema, { sequence, topic: "t", events }));
}

test("a unary call and a stream give the same answer", async () => {
  await using running = await startInProcess();
  using client = new RawClient(running.address);
  const unary = await client.unary(PUBLISH, request(9_007_199_254_740_993n, 3));
  assert.ok(Buffer.isBuffer(unary));
  const stream = client.publishStream();
  stream.send(request(9_007_199_254_740_993n, 3));
  const streamed = await stream.next();
  assert.ok(streamed.case === "published");
  assert.deepEqual(streamed.value, fromBinary(PublishResponseSchema, unary));
  assert.deepEqual(
    [streamed.value.sequence, streamed.value.stored, streamed.value.durability],
    [9_007_199_254_740_993n, 3, Durability.PERSISTED],
  );
  stream.halfClose();
  assert.equal((await stream.ended).code, Code.OK);
});

test("a stream that is half-closed gets every answer before it ends", async () => {
  await using running = await startInProcess();
  using client = new RawClient(running.address);
  const stream = client.publishStream();
  for (let sequence = 1n; sequence <= 50n; sequence++) stream.send(request(sequence, 20));
  stream.halfClose();
  const answered = new Set<bigint>();
  for (let i = 0; i < 50; i++) {
    const answer = await stream.next();
    assert.ok(answer.case === "published");
    assert.equal(answer.value.stored, 20);
    answered.add(answer.value.sequence);
  }
  assert.equal(answered.size, 50);
  assert.equal((await stream.ended).code, Code.OK);
});

test("a draining worker says Drain on every stream, answers what it has, and ends the stream with UNAVAILABLE", async () => {
  await using running = await startInProcess();
  using client = new RawClient(running.address);
  const idle = client.publishStream();
  const busy = client.publishStream();
  idle.send(request(5n, 1));
  assert.equal((await idle.next()).case, "published");
  // The first answer shows that the stream is open; the next batches are under way when the drain begins.
  busy.send(request(1n, 1));
  assert.equal((await busy.next()).case, "published");
  const deadlineMs = Date.now() + 10_000;
  const drained = running.service.drain(deadlineMs);

  const drain = await idle.next();
  assert.ok(drain.case === "drain");
  assert.equal(drain.value.lastSettledSequence, 5n);
  assert.ok(drain.value.deadline !== undefined);
  // Streams end a second before the worker's deadline, so that what they were told is on its way by then.
  assert.equal(timestampMs(drain.value.deadline), deadlineMs - 1_000);
  assert.equal((await busy.next()).case, "drain");
  for (const stream of [idle, busy]) {
    const status = await stream.ended;
    assert.equal(status.code, Code.UNAVAILABLE);
    assert.match(status.message, /going away/);
  }
  client[Symbol.dispose]();
  await drained;
  assert.deepEqual(running.service.health(), { ready: false, problems: ["the worker is draining"] });
});

test("what has no answer when a worker's time is up ends with UNAVAILABLE, on streams and unary", async () => {
  // Nobody listens there: what is taken waits for Kafka.
  await using running = await startInProcess({ KAFKA_BROKERS: "127.0.0.1:1" });
  using client = new RawClient(running.address);
  using other = new RawClient(running.address);
  const stream = client.publishStream();
  stream.send(request(1n, 1));
  const unary = other.unary(PUBLISH, request(2n, 1));
  const received = running.service.metrics.publishBytes.with();
  await eventually("both are taken", () => received.value >= 2 * request(1n, 1).length);
  const drained = running.service.drain(Date.now() + 400);
  assert.equal((await stream.next()).case, "drain");
  for (const status of [await stream.ended, await unary]) {
    assert.ok(!Buffer.isBuffer(status));
    assert.equal(status.code, Code.UNAVAILABLE);
    assert.match(status.message, /going away.*may or may not be stored/);
  }
  await drained;
});

test("health answers for the server and for each service, and knows no other", async () => {
  await using running = await startInProcess();
  using client = new RawClient(running.address);
  const check = (service: string) =>
    client.call(
      "/grpc.health.v1.Health/Check",
      HealthCheckRequestSchema,
      create(HealthCheckRequestSchema, { service }),
      HealthCheckResponseSchema,
    );
  assert.equal((await check("")).status, ServingStatus.SERVING);
  assert.equal((await check("sluice.v1.EventIngest")).status, ServingStatus.SERVING);
  await assert.rejects(check("sluice.v1.Other"), { message: /service "sluice.v1.Other" is not served here/ });
  const { statuses } = await client.call(
    "/grpc.health.v1.Health/List",
    HealthListRequestSchema,
    create(HealthListRequestSchema),
    HealthListResponseSchema,
  );
  assert.deepEqual(
    new Map(Object.entries(statuses).map(([service, { status }]) => [service, status])),
    new Map([
      ["", ServingStatus.SERVING],
      ["sluice.v1.EventIngest", ServingStatus.SERVING],
    ]),
  );
});

test("a data directory that cannot be read is one sentence that says what it has to be", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "sluice-test-"));
  t.after(() => rm(dir, { recursive: true }));
  const file = join(dir, "file");
  await writeFile(file, "");
  await assert.rejects(startInProcess({ DATA_DIR: file }), {
    name: "IngestError",
    message: /^DATA_DIR: cannot read .*file: ENOTDIR.*; give a directory that this user may read and write$/,
  });
});

test("reflection lists the services and gives a file with all that it imports, in both versions", async () => {
  await using running = await startInProcess();
  using client = new RawClient(running.address);
  for (const version of ["v1", "v1alpha"]) {
    const stream = client.duplex(`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`);
    const ask = async (messageRequest: object): Promise<ServerReflectionResponse["messageResponse"]> => {
      const init = { messageRequest } as Parameters<typeof create<typeof ServerReflectionRequestSchema>>[1];
      stream.write(Buffer.from(toBinary(ServerReflectionRequestSchema, create(ServerReflectionRequestSchema, init))));
      const bytes = await new Promise<Buffer>((resolve) => stream.once("data", resolve));
      return fromBinary(ServerReflectionResponseSchema, bytes).messageResponse;
    };
    const services = await ask({ case: "listServices", value: "" });
    assert.ok(services.case === "listServicesResponse");
    assert.ok(services.value.service.some(({ name }) => name === "sluice.v1.EventIngest"));

    const files = await ask({ case: "fileContainingSymbol", value: "sluice.v1.EventIngest.Publish" });
    assert.ok(files.case === "fileDescriptorResponse");
    const names = files.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name);
    assert.deepEqual(names.sort(), [
      "google/protobuf/any.proto",
      "google/protobuf/timestamp.proto",
      "google/rpc/status.proto",
      "sluice/v1/ingest.proto",
    ]);
    const details = await ask({ case: "fileContainingSymbol", value: "google.rpc.BadRequest" });
    assert.equal(details.case, "fileDescriptorResponse");
    const unknown = await ask({ case: "fileContainingSymbol", value: "sluice.v1.Nothing" });
    assert.ok(unknown.case === "errorResponse");
    assert.equal(unknown.value.errorCode, Code.NOT_FOUND);
    const ended = once(stream, "end");
    stream.end();
    stream.resume();
    await ended;
  }
});

test("an unknown method is UNIMPLEMENTED", async () => {
  await using running = await startInProcess();
  using client = new RawClient(running.address);
  const status = await client.unary("/sluice.v1.EventIngest/Consume", Buffer.alloc(0));
  assert.ok(!Buffer.isBuffer(status));
  assert.equal(status.code, Code.UNIMPLEMENTED);
});

test("a stream whose connection is to end says Drain, answers what it has, and ends with UNAVAILABLE by the first deadline", async () => {
  let methods: readonly Method[] = [];
  const nowhere: GrpcServer = {
    address: { host: "127.0.0.1", port: 0 },
    inspect: () => ({ server: "native", unknown: [], callers: [], callersLeftOut: 0 }),
    start: () => Promise.resolve(),
    drain: () => Promise.resolve(),
    dispose: () => Promise.resolve(),
  };
  const createServer = (served: readonly Method[]): GrpcServer => {
    methods = served;
    return nowhere;
  };
  await using running = await startInProcess({}, { createServer });
  const sent: PublishStreamResponse["event"][] = [];
  const ended = Promise.withResolvers<Status>();
  const call: ServerCall = {
    peer: "192.0.2.1:1",
    unsentBytes: 0,
    traceparent: undefined,
    header: () => undefined,
    binaryHeader: () => undefined,
    sendHeaders: () => {},
    send: (bytes) => sent.push(fromBinary(PublishStreamResponseSchema, bytes).event),
    pause: () => {},
    resume: () => {},
    end: (status) => ended.resolve(status),
  };
  const handler = methods.find(({ path }) => path === PUBLISH_STREAM)!.open(call);
  const deadlineMs = Date.now() + 3_600_000;
  const message = Buffer.from(request(7n, 1));
  handler.message(message, 0, message.length);
  handler.goingAway?.(deadlineMs);
  const [drain] = sent;
  assert.ok(drain?.case === "drain" && drain.value.deadline !== undefined);
  assert.equal(timestampMs(drain.value.deadline), deadlineMs);
  handler.halfClose();
  assert.equal((await ended.promise).code, Code.UNAVAILABLE);
  assert.deepEqual(
    sent.map((event) => event.case),
    ["drain", "published"],
  );

  // The worker itself goes away, while a stream still has an hour.
  const late = Promise.withResolvers<Status>();
  const other = methods.find(({ path }) => path === PUBLISH_STREAM)!.open({ ...call, end: late.resolve });
  other.goingAway?.(deadlineMs);
  await running.service.drain(Date.now() + 200);
  assert.equal((await late.promise).code, Code.UNAVAILABLE);
  assert.equal(sent.filter((event) => event.case === "drain").length, 2);
});
