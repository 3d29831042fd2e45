// Records what real clients send: node test/http2/fuzz/record.ts writes recordings/*.bin again, one file for each client.
//
// A proxy in front of a @grpc/grpc-js server (the reference, so that a recording owes nothing to the server under test) keeps
// the bytes that clients send. What they send is kept in the repository, for a seed has to mean the same everywhere. Needs Go for
// grpc-go, and curl.

import { execFile } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect as connectHttp2, constants } from "node:http2";
import { type AddressInfo, connect, createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { Client, compressionAlgorithms, credentials, Metadata } from "@grpc/grpc-js";
import { GrpcJsServer } from "../../../src/grpc/grpc-js.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";
import { EchoCounts, echoMethods, JOIN, REPEAT, STREAM, UNARY } from "../support/echo.ts";
import { message } from "../support/grpc.ts";

const run = promisify(execFile);
const identity = (bytes: Buffer): Buffer => bytes;

/** @returns the bytes that the client sent on its first connection. */
async function recorded(server: number, client: (port: number) => Promise<void>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let connections = 0;
  const proxy = createServer((socket) => {
    const isFirst = connections++ === 0;
    const upstream = connect(server, "127.0.0.1");
    socket.on("data", (bytes) => {
      if (isFirst) pieces.push(bytes);
      upstream.write(bytes);
    });
    upstream.on("data", (bytes) => socket.write(bytes));
    for (const [one, other] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      one.on("error", () => undefined);
      one.on("close", () => other.destroy());
    }
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  await client((proxy.address() as AddressInfo).port);
  proxy.close();
  return Buffer.concat(pieces);
}

async function grpcJs(port: number): Promise<void> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.default_compression_algorithm": compressionAlgorithms.identity,
  });
  const metadata = new Metadata();
  metadata.set("x-tag", "grpc-js");
  const unary = (text: string): Promise<unknown> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(UNARY, identity, identity, Buffer.from(text), metadata, (error, answer) => {
        if (error === null) resolve(answer);
        else reject(error);
      });
    });
  await unary("js-unary-1");
  await Promise.all(["js-unary-2", "js-unary-3", "js-unary-4"].map(unary));
  const streams = ["js-stream-a", "js-stream-b"].map(async (name) => {
    const stream = client.makeBidiStreamRequest(STREAM, identity, identity, metadata);
    stream.resume();
    for (let i = 0; i < 3; i++) stream.write(Buffer.from(`${name}-${i}`));
    stream.end();
    await once(stream, "end");
  });
  await Promise.all(streams);
  const repeated = client.makeServerStreamRequest(REPEAT, identity, identity, Buffer.from("js-repeat"), metadata);
  repeated.resume();
  await once(repeated, "end");
  const cancelled = client.makeBidiStreamRequest(STREAM, identity, identity, metadata);
  cancelled.on("error", () => undefined);
  cancelled.write(Buffer.from("js-cancelled"));
  await once(cancelled, "data");
  cancelled.cancel();
  await unary("js-unary-5");
  client.close();
}

async function nodeHttp2(port: number): Promise<void> {
  const session = connectHttp2(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 200 } });
  await once(session, "connect");
  const call = async (path: string, texts: readonly string[]): Promise<void> => {
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: "POST",
      [constants.HTTP2_HEADER_PATH]: path,
      "content-type": "application/grpc",
      te: "trailers",
      "x-tag": `node ${texts[0]}`,
    });
    stream.resume();
    for (const text of texts) stream.write(message(text));
    stream.end();
    await once(stream, "close");
  };
  await call(UNARY, ["node-unary-1"]);
  await new Promise<void>((resolve) => {
    session.ping(() => {
      resolve();
    });
  });
  await Promise.all([
    call(STREAM, ["node-stream-a-0", "node-stream-a-1"]),
    call(JOIN, ["node-join-0", "node-join-1", "node-join-2"]),
    call(STREAM, ["node-long ".repeat(60).trim()]),
  ]);
  session.settings({ initialWindowSize: 1000 });
  await call("/test.Echo/Missing", ["node-missing"]);
  session.close();
  await once(session, "close");
}

async function grpcGo(port: number): Promise<void> {
  await run("go", ["run", ".", `127.0.0.1:${port}`], { cwd: join(import.meta.dirname, "go-client") });
}

async function curl(port: number): Promise<void> {
  const post = ["--http2-prior-knowledge", "-s", "-o", "/dev/null", "-H", "content-type: application/grpc"];
  const url = `http://127.0.0.1:${port}`;
  const child = run("curl", [...post, "-H", "te: trailers", "--data-binary", "@-", `${url}${UNARY}`]);
  child.child.stdin!.end(message("curl-unary"));
  await child;
}

const server = new GrpcJsServer(silentLogger(), createMetrics(), echoMethods(new EchoCounts()), {
  host: "127.0.0.1",
  port: 0,
  messageBytesMax: 1_000_000,
  tls: undefined,
});
await server.start();
const clients = { "grpc-js": grpcJs, "node-http2": nodeHttp2, "grpc-go": grpcGo, curl };
for (const [name, client] of Object.entries(clients)) {
  const bytes = await recorded(server.address.port, client);
  writeFileSync(join(import.meta.dirname, "recordings", `${name}.bin`), bytes);
  process.stdout.write(`${name}: ${bytes.length} bytes\n`);
}
await server.dispose();
