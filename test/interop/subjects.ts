// The servers that are judged: both that stand behind the port, each made by its constructor.

import { GrpcJsServer } from "../../src/grpc/grpc-js.ts";
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
  readonly tls: boolean;
  create(methods: readonly Method[], tls: SubjectTls | undefined): GrpcServer;
}

/** Room for the largest message of the official clients, 10 MiB. */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

const grpcJs: Subject = {
  name: "grpc-js",
  compression: false,
  tls: false,
  create: (methods) =>
    new GrpcJsServer(silentLogger(), createMetrics(), methods, {
      host: "127.0.0.1",
      port: 0,
      messageBytesMax: MESSAGE_BYTES_MAX,
    }),
};

export const SUBJECTS: readonly Subject[] = [grpcJs];

export interface RunningSubject extends AsyncDisposable {
  readonly port: number;
}

/** A server with gRPC's interop test service. */
export async function startSubject(subject: Subject, tls?: SubjectTls): Promise<RunningSubject> {
  const server = subject.create(TEST_SERVICE, tls);
  await server.start();
  return { port: server.address.port, [Symbol.asyncDispose]: () => server.dispose() };
}
