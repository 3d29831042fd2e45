// The servers that are judged: both that stand behind the port, each made by its constructor.

import { systemClock } from "../../src/clock.ts";
import { GrpcJsServer } from "../../src/grpc/grpc-js.ts";
import { type NativeOptions, NativeServer } from "../../src/grpc/native/server.ts";
import type { GrpcServer, Method } from "../../src/grpc/server.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { TEST_SERVICE } from "./test-service.ts";

export interface SubjectTls {
  readonly cert: string;
  readonly key: string;
}

export interface Subject {
  /** As in GRPC_SERVER. */
  readonly name: string;
  /** Compresses what a handler asks it to, and tells whether a message came compressed. */
  readonly compression: boolean;
  create(methods: readonly Method[], tls: SubjectTls | undefined): GrpcServer;
}

/** Room for the largest message of the official clients, 10 MiB. */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

const grpcJs: Subject = {
  name: "grpc-js",
  compression: false,
  create: (methods, tls) =>
    new GrpcJsServer(silentLogger(), createMetrics(), methods, {
      host: "127.0.0.1",
      port: 0,
      messageBytesMax: MESSAGE_BYTES_MAX,
      tls: tls && { ...tls, clientCa: undefined },
    }),
};

const MIB = 1024 * 1024;

/** The defaults of the service, but for the size of a message. */
export const NATIVE_OPTIONS: NativeOptions = {
  host: "127.0.0.1",
  port: 0,
  tls: undefined,
  connectionsMax: 10_000,
  streamsMax: 1_000,
  streamWindowBytes: MIB / 4,
  connectionWindowBytes: 2 * MIB,
  headerListBytesMax: 16 * 1024,
  unsentBytesMax: 4 * MIB,
  handshakeTimeoutMs: 10_000,
  headersTimeoutMs: 10_000,
  stallTimeoutMs: 30_000,
  keepaliveTimeMs: 60_000,
  keepaliveTimeoutMs: 20_000,
  idleMaxMs: 15 * 60_000,
  ageMaxMs: 30 * 60_000,
  ageGraceMs: 30_000,
  messageBytesMax: MESSAGE_BYTES_MAX,
  receiveBytesMax: 64 * MIB,
  messageTimeoutMs: 30_000,
};

export const native: Subject = {
  name: "native",
  compression: true,
  create: (methods, tls) => {
    const dependencies = { log: silentLogger(), metrics: createMetrics(), clock: systemClock };
    return new NativeServer(dependencies, methods, { ...NATIVE_OPTIONS, tls: tls && { ...tls, clientCa: undefined } });
  },
};

export const SUBJECTS: readonly Subject[] = [native, grpcJs];

export interface RunningSubject extends AsyncDisposable {
  readonly port: number;
}

/** A server with gRPC's interop test service. */
export async function startSubject(subject: Subject, tls?: SubjectTls): Promise<RunningSubject> {
  const server = subject.create(TEST_SERVICE, tls);
  await server.start();
  return { port: server.address.port, [Symbol.asyncDispose]: () => server.dispose() };
}
