// The native server with a real client on a real socket: what the parts add up to.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "node:net";
import { once } from "node:events";
import {
  Client,
  type ClientDuplexStream,
  compressionAlgorithms,
  credentials,
  Metadata,
  type ServiceError,
  type StatusObject,
} from "@grpc/grpc-js";
import { systemClock } from "../../../src/clock.ts";
import { IngestError } from "../../../src/errors.ts";
import { type NativeOptions, NativeServer } from "../../../src/grpc/native/server.ts";
import type { CallHandler, Method, ServerCall } from "../../../src/grpc/server.ts";
import { OK } from "../../../src/grpc/status.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";

const UNARY = "/test.Echo/Unary";
const STREAM = "/test.Echo/Stream";

const OPTIONS: NativeOptions = {
  host: "127.0.0.1",
  port: 0,
  tls: undefined,
  connectionsMax: 100,
  streamsMax: 1_000,
  streamWindowBytes: 256 << 10,
  connectionWindowBytes: 2 << 20,
  headerListBytesMax: 16 << 10,
  unsentBytesMax: 4 << 20,
  handshakeTimeoutMs: 10_000,
  headersTimeoutMs: 10_000,
  stallTimeoutMs: 30_000,
  keepaliveTimeMs: 60_000,
  keepaliveTimeoutMs: 20_000,
  idleMaxMs: 900_000,
  ageMaxMs: 1_800_000,
  ageGraceMs: 30_000,
  messageBytesMax: 4 << 20,
  receiveBytesMax: 64 << 20,
  messageTimeoutMs: 30_000,
};

/** Sends back what it gets, compressed if the client takes that, and its metadata; a call named by a header goes on for ever. */
class Echo implements CallHandler {
  readonly #call: ServerCall;
  readonly #stream: boolean;

  constructor(call: ServerCall, stream: boolean) {
    this.#call = call;
    this.#stream = stream;
    const initial = call.header("x-initial");
    if (initial !== undefined) call.sendHeaders([["x-initial", initial]]);
  }

  message(buffer: Buffer, start: number, end: number): void {
    const bytes = buffer.subarray(start, end);
    if (this.#call.header("x-stuck") !== undefined) return;
    this.#call.send(Buffer.from(bytes), true);
    if (!this.#stream) this.#end();
  }

  halfClose(): void {
    if (this.#stream) this.#end();
  }

  drained(): void {}

  cancelled(): void {}

  #end(): void {
    const trailing = this.#call.binaryHeader("x-trailing-bin");
    const code = this.#call.header("x-fail");
    if (code !== undefined) this.#call.end({ code: 9, message: code });
    else this.#call.end(trailing === undefined ? OK : { ...OK, trailers: [["x-trailing-bin", trailing]] });
  }
}

async function start(options: Partial<NativeOptions> = {}) {
  const metrics = createMetrics();
  const methods: Method[] = [
    { path: UNARY, requestStream: false, responseStream: false, open: (call) => new Echo(call, false) },
    { path: STREAM, requestStream: true, responseStream: true, open: (call) => new Echo(call, true) },
  ];
  const log = silentLogger();
  const server = new NativeServer({ log, metrics, clock: systemClock }, methods, { ...OPTIONS, ...options });
  await server.start();
  const client = new Client(`127.0.0.1:${server.address.port}`, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_send_message_length": -1,
    "grpc.max_receive_message_length": -1,
  });
  const stop = async (): Promise<void> => {
    client.close();
    await server.dispose();
    assert.equal(server.heldBytes, 0);
  };
  return { server, client, metrics, [Symbol.asyncDispose]: stop };
}

const identity = (bytes: Buffer): Buffer => bytes;

interface Answer {
  readonly message: Buffer | undefined;
  readonly error: ServiceError | undefined;
  readonly initial: Metadata | undefined;
  readonly status: StatusObject;
}

function unary(client: Client, message: Uint8Array, fields: Record<string, string | Buffer> = {}, deadlineMs = 60_000) {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(fields)) metadata.set(name, value);
  return new Promise<Answer>((resolve) => {
    let answer: { message: Buffer | undefined; error: ServiceError | undefined } | undefined;
    let initial: Metadata | undefined;
    const options = { deadline: Date.now() + deadlineMs };
    const call = client.makeUnaryRequest(
      UNARY,
      identity,
      identity,
      Buffer.from(message),
      metadata,
      options,
      (error, bytes) => {
        answer = { message: bytes, error: error ?? undefined };
      },
    );
    call.on("metadata", (metadata: Metadata) => (initial = metadata));
    call.on("status", (status: StatusObject) => {
      setImmediate(() => resolve({ message: answer?.message, error: answer?.error, initial, status }));
    });
  });
}

test("unary calls of many sizes come back as they were", async () => {
  await using running = await start();
  const sizes = [0, 1, 100, 16_379, 16_384, 65_535, 300_000, 4 << 20];
  const answers = await Promise.all(sizes.map((size) => unary(running.client, Buffer.alloc(size, size & 0xff))));
  for (const [i, { message, status }] of answers.entries()) {
    assert.equal(status.code, 0);
    assert.ok(message!.equals(Buffer.alloc(sizes[i]!, sizes[i]! & 0xff)), `${sizes[i]} bytes`);
  }
  assert.equal(running.metrics.grpcCalls.with(UNARY, "OK").value, sizes.length);
});

test("a thousand calls at a time get their own answers", async () => {
  await using running = await start();
  const answers = await Promise.all(
    Array.from({ length: 1_000 }, (_, i) => unary(running.client, Buffer.from(`${i}`))),
  );
  assert.deepEqual(
    answers.map(({ message }) => String(message)),
    answers.map((_, i) => `${i}`),
  );
});

test("a message over the limit gets RESOURCE_EXHAUSTED, and the connection goes on", async () => {
  await using running = await start({ messageBytesMax: 100_000 });
  const { status } = await unary(running.client, Buffer.alloc(2 << 20));
  assert.deepEqual([status.code, /GRPC_MESSAGE_BYTES_MAX/.test(status.details)], [8, true]);
  assert.equal((await unary(running.client, Buffer.from("next"))).status.code, 0);
});

test("metadata goes both ways, and a status message is any text", async () => {
  await using running = await start();
  const fields = { "x-initial": "hello", "x-trailing-bin": Buffer.of(0, 1, 255) };
  const { initial, status } = await unary(running.client, Buffer.from("x"), fields);
  assert.deepEqual(initial?.get("x-initial"), ["hello"]);
  assert.deepEqual(status.metadata.get("x-trailing-bin"), [Buffer.of(0, 1, 255)]);
  const failed = await unary(running.client, Buffer.from("x"), { "x-fail": "50% sure" });
  assert.deepEqual([failed.status.code, failed.status.details], [9, "50% sure"]);
});

test("a deadline passes at the server, too", async () => {
  await using running = await start();
  const { status } = await unary(running.client, Buffer.from("x"), { "x-stuck": "1" }, 50);
  assert.equal(status.code, 4);
  for (let turns = 0; turns < 500 && running.metrics.grpcHttp2Streams.with().value > 0; turns++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(running.metrics.grpcHttp2Streams.with().value, 0);
});

test("compressed messages go both ways", async () => {
  await using running = await start();
  const client = new Client(`127.0.0.1:${running.server.address.port}`, credentials.createInsecure(), {
    "grpc.default_compression_algorithm": compressionAlgorithms.gzip,
    "grpc.use_local_subchannel_pool": 1,
  });
  const message = Buffer.from("compress me ".repeat(10_000));
  const { message: answer } = await unary(client, message);
  client.close();
  assert.ok(answer!.equals(message));
  const { grpcReceivedBytes, grpcSentBytes } = running.metrics;
  for (const { value } of [grpcReceivedBytes.with(), grpcSentBytes.with()])
    assert.ok(value < message.length / 4, `${value} bytes`);
});

test("a stream of messages larger than its window comes back whole and in order", async () => {
  await using running = await start({ streamWindowBytes: 64 << 10 });
  const call: ClientDuplexStream<Buffer, Buffer> = running.client.makeBidiStreamRequest(STREAM, identity, identity);
  const received: number[] = [];
  call.on("data", (bytes: Buffer) => received.push(bytes.length));
  const lengths = Array.from({ length: 60 }, (_, i) => (i % 7) * 30_000 + i);
  for (const length of lengths) call.write(Buffer.alloc(length));
  call.end();
  const [status] = (await once(call, "status")) as [StatusObject];
  assert.equal(status.code, 0);
  assert.deepEqual(received, lengths);
});

test("an unknown method is UNIMPLEMENTED for the client", async () => {
  await using running = await start();
  const error = await new Promise<ServiceError | null>((resolve) => {
    running.client.makeUnaryRequest("/test.Echo/Nothing", identity, identity, Buffer.alloc(0), resolve);
  });
  assert.equal(error?.code, 12);
  assert.match(error.details, /no method \/test\.Echo\/Nothing/);
});

test("a port that is taken is told with what to do about it", async () => {
  await using running = await start();
  const { port } = running.server.address;
  await assert.rejects(
    start({ port }),
    (error) =>
      error instanceof IngestError && /cannot listen on 127\.0\.0\.1:\d+: the port is taken/.test(error.message),
  );
});

test("draining waits for the calls under way, and disposing ends those that are left", async () => {
  await using running = await start();
  const call: ClientDuplexStream<Buffer, Buffer> = running.client.makeBidiStreamRequest(STREAM, identity, identity);
  call.on("error", () => {});
  call.write(Buffer.from("a"));
  await once(call, "data");
  const drained = running.server.drain(Date.now() + 60_000);
  call.write(Buffer.from("b"));
  const [b] = (await once(call, "data")) as [Buffer];
  assert.equal(String(b), "b");
  call.end();
  call.resume();
  await once(call, "status");
  await drained;
  const refused = connect(running.server.address.port, "127.0.0.1");
  await once(refused, "error");
  await running.server.dispose();
});
