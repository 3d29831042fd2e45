// grpc-js' own client on gRPC's interop test service, on both servers: the client that TypeScript users have.

import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";
import {
  type CallOptions,
  Client,
  compressionAlgorithms,
  credentials,
  Metadata,
  type ServiceError,
  status as Code,
} from "@grpc/grpc-js";
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  SimpleRequestSchema,
  SimpleResponseSchema,
  StreamingInputCallRequestSchema,
  StreamingInputCallResponseSchema,
  StreamingOutputCallRequestSchema,
  StreamingOutputCallResponseSchema,
} from "./gen/grpc/testing/messages_pb.js";
import { type Subject, SUBJECTS, startSubject } from "./subjects.ts";

const SERVICE = "/grpc.testing.TestService";
const identity = (bytes: Buffer): Buffer => bytes;

function bytes<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): Buffer {
  return Buffer.from(toBinary(schema, create(schema, init)));
}

const zeros = (size: number) => ({ body: new Uint8Array(size) });

interface Answer {
  readonly response: MessageShape<typeof SimpleResponseSchema> | undefined;
  readonly error: ServiceError | null;
  readonly headers: Metadata;
  readonly trailers: Metadata;
}

class TestClient implements Disposable {
  readonly #client: Client;

  constructor(port: number, options: Readonly<Record<string, number>> = {}) {
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_receive_message_length": -1,
      ...options,
    });
  }

  async unary(request: MessageInitShape<typeof SimpleRequestSchema>, metadata = new Metadata()): Promise<Answer> {
    return await this.call(`${SERVICE}/UnaryCall`, request, metadata);
  }

  async call(path: string, request: MessageInitShape<typeof SimpleRequestSchema>, metadata: Metadata): Promise<Answer> {
    const settled = Promise.withResolvers<Pick<Answer, "response" | "error">>();
    const call = this.#client.makeUnaryRequest(
      path,
      identity,
      identity,
      bytes(SimpleRequestSchema, request),
      metadata,
      (error, answer) => {
        settled.resolve({ error, response: answer && fromBinary(SimpleResponseSchema, answer) });
      },
    );
    const state = { headers: new Metadata(), trailers: new Metadata() };
    call.on("metadata", (headers) => (state.headers = headers));
    call.on("status", ({ metadata: trailers }) => (state.trailers = trailers));
    const outcome = await settled.promise;
    return { ...outcome, ...state };
  }

  duplex(method: string, options: CallOptions = {}) {
    return this.#client.makeBidiStreamRequest(`${SERVICE}/${method}`, identity, identity, new Metadata(), options);
  }

  clientStream(method: string, callback: (error: ServiceError | null, answer?: Buffer) => void) {
    return this.#client.makeClientStreamRequest(`${SERVICE}/${method}`, identity, identity, callback);
  }

  serverStream(method: string, request: Buffer) {
    return this.#client.makeServerStreamRequest(`${SERVICE}/${method}`, identity, identity, request);
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

function interop(
  title: string,
  body: (client: TestClient, subject: Subject) => Promise<void>,
  options?: Readonly<Record<string, number>>,
): void {
  for (const subject of SUBJECTS) {
    test(`${subject.name}: ${title}`, { timeout: 30_000 }, async () => {
      await using server = await startSubject(subject);
      using client = new TestClient(server.port, options);
      await body(client, subject);
    });
  }
}

const output = (sizes: readonly number[]): Buffer =>
  bytes(StreamingOutputCallRequestSchema, { responseParameters: sizes.map((size) => ({ size })) });
const sizeOf = (message: Buffer): number =>
  fromBinary(StreamingOutputCallResponseSchema, message).payload?.body.length ?? 0;

interop("a large unary call gets a large answer", async (client) => {
  const { response } = await client.unary({ responseSize: 314_159, payload: zeros(271_828) });
  assert.equal(response?.payload?.body.length, 314_159);
});

interop("a hundred calls at once on one connection are each answered with their own", async (client) => {
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, i) => client.unary({ responseSize: i * 500, payload: zeros(100_000 - i * 500) })),
  );
  assert.deepEqual(
    answers.map(({ response }) => response?.payload?.body.length),
    Array.from({ length: 100 }, (_, i) => i * 500),
  );
});

interop("a client's stream is added up", async (client) => {
  const answer = Promise.withResolvers<Buffer>();
  const stream = client.clientStream("StreamingInputCall", (error, bytes) => {
    if (bytes === undefined) answer.reject(error ?? new Error("no answer"));
    else answer.resolve(bytes);
  });
  const sizes = [27_182, 8, 1_828, 45_904];
  for (const size of sizes) stream.write(bytes(StreamingInputCallRequestSchema, { payload: zeros(size) }));
  stream.end();
  const { aggregatedPayloadSize } = fromBinary(StreamingInputCallResponseSchema, await answer.promise);
  assert.equal(aggregatedPayloadSize, 74_922);
});

interop("a server's stream comes in order and whole, to a client that is slow to read", async (client) => {
  const sizes = Array.from({ length: 40 }, (_, i) => 100_000 + i);
  const received: number[] = [];
  for await (const message of client.serverStream("StreamingOutputCall", output(sizes))) {
    received.push(sizeOf(message as Buffer));
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  assert.deepEqual(received, sizes);
});

interop("ping-pong on a stream, which then ends with OK", async (client) => {
  const stream = client.duplex("FullDuplexCall");
  for (const size of [31_415, 9, 2_653, 58_979]) {
    stream.write(output([size]));
    const [message] = (await once(stream, "data")) as [Buffer];
    assert.equal(sizeOf(message), size);
  }
  stream.end();
  const [{ code }] = (await once(stream, "status")) as [{ code: number }];
  assert.equal(code, Code.OK);
});

interop("a half duplex stream is answered when the client has sent everything", async (client) => {
  const stream = client.duplex("HalfDuplexCall");
  const received: number[] = [];
  stream.on("data", (message: Buffer) => received.push(sizeOf(message)));
  stream.write(output([1, 2]));
  stream.write(output([3]));
  stream.end();
  await once(stream, "end");
  assert.deepEqual(received, [1, 2, 3]);
});

interop(
  "a stream that is cancelled after its first answer ends with CANCELLED, and the next call is answered",
  async (client) => {
    const stream = client.duplex("FullDuplexCall");
    const failed = once(stream, "error") as Promise<[ServiceError]>;
    const first = once(stream, "data");
    stream.write(output([31_415]));
    await first;
    stream.cancel();
    const [error] = await failed;
    assert.equal(error.code, Code.CANCELLED);
    assert.equal((await client.unary({ responseSize: 1 })).error, null);
  },
);

interop("a deadline ends a call that the server does not", async (client) => {
  const stream = client.duplex("FullDuplexCall", { deadline: Date.now() + 50 });
  const [error] = (await once(stream, "error")) as [ServiceError];
  assert.equal(error.code, Code.DEADLINE_EXCEEDED);
});

interop("custom metadata comes back, text in the headers and bytes in the trailers", async (client) => {
  const metadata = new Metadata();
  metadata.set("x-grpc-test-echo-initial", "test_initial_metadata_value");
  metadata.set("x-grpc-test-echo-trailing-bin", Buffer.from("ababab", "hex"));
  const { headers, trailers, error } = await client.unary({ responseSize: 1 }, metadata);
  assert.equal(error, null);
  assert.deepEqual(headers.get("x-grpc-test-echo-initial"), ["test_initial_metadata_value"]);
  assert.deepEqual(trailers.get("x-grpc-test-echo-trailing-bin"), [Buffer.from("ababab", "hex")]);
});

const MESSAGE = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";

interop("a status comes back with its code and its message, whitespace and all", async (client) => {
  const { error } = await client.unary({ responseStatus: { code: 2, message: MESSAGE } });
  assert.deepEqual([error?.code, error?.details], [Code.UNKNOWN, MESSAGE]);
});

interop("a method and a service that are not there are UNIMPLEMENTED", async (client) => {
  for (const path of [`${SERVICE}/UnimplementedCall`, "/grpc.testing.UnimplementedService/UnimplementedCall"]) {
    const { error } = await client.call(path, {}, new Metadata());
    assert.equal(error?.code, Code.UNIMPLEMENTED);
  }
});

for (const [name, algorithm] of [
  ["identity", compressionAlgorithms.identity],
  ["gzip", compressionAlgorithms.gzip],
] as const) {
  interop(
    `a request is taken with compression ${name}`,
    async (client, { compression }) => {
      const expectCompressed = compression ? { expectCompressed: { value: name === "gzip" } } : {};
      const { response, error } = await client.unary({
        responseSize: 1,
        payload: zeros(271_828),
        ...expectCompressed,
      });
      assert.equal(error, null);
      assert.equal(response?.payload?.body.length, 1);
    },
    { "grpc.default_compression_algorithm": algorithm },
  );
}

interop(
  "a request compressed in a way that the server does not know is UNIMPLEMENTED, and the client is told which ways are",
  async (client, { name }) => {
    const { error } = await client.unary({ responseSize: 1 });
    // grpc-js knows deflate.
    assert.equal(error?.code, name === "native" ? Code.UNIMPLEMENTED : undefined);
    if (name === "native") assert.match(error?.details ?? "", /gzip/);
  },
  { "grpc.default_compression_algorithm": compressionAlgorithms.deflate },
);

interop("an answer comes back that was asked to be compressed", async (client) => {
  const { response } = await client.unary({ responseSize: 314_159, responseCompressed: { value: true } });
  assert.equal(response?.payload?.body.length, 314_159);
});
