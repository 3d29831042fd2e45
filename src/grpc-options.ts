// What the gRPC servers are told of the configuration: a part of the composition root.

import type { Config } from "./config.ts";
import type { GrpcJsOptions } from "./grpc/grpc-js.ts";
import type { NativeOptions } from "./grpc/native/server.ts";
import { checkTls, readTls, type TlsPaths } from "./tls/files.ts";
import { readOpenFilesMax } from "./telemetry/process.ts";

/** File descriptors of a worker that are not for clients: the spool's files, connections to brokers, the process's own. */
export const OTHER_FILES = 256;

/** @throws IngestError if there is no certificate where the configuration says. */
export function grpcJsOptions(config: Config): GrpcJsOptions {
  const { host, port } = config.grpcListen;
  const tlsFiles = grpcTlsPaths(config);
  const tls = tlsFiles === undefined ? undefined : readTls(tlsFiles);
  return { host, port, messageBytesMax: config.grpcMessageBytesMax, tls, tlsFiles };
}

/** @throws IngestError if there is no certificate where the configuration says. */
export function nativeOptions(config: Config): NativeOptions {
  return {
    ...grpcJsOptions(config),
    receiveBytesMax: config.grpcReceiveBytesMax,
    messageTimeoutMs: config.grpcMessageTimeoutMs,
    connectionsMax: Math.min(config.grpcConnectionsMax, Math.max(1, readOpenFilesMax() - OTHER_FILES)),
    streamsMax: config.grpcStreamsMax,
    streamWindowBytes: config.grpcStreamWindowBytes,
    connectionWindowBytes: config.grpcConnectionWindowBytes,
    headerListBytesMax: config.grpcHeaderListBytesMax,
    unsentBytesMax: config.grpcUnsentBytesMax,
    handshakeTimeoutMs: config.grpcHandshakeTimeoutMs,
    headersTimeoutMs: config.grpcHeadersTimeoutMs,
    stallTimeoutMs: config.grpcStallTimeoutMs,
    keepaliveTimeMs: config.grpcKeepaliveTimeMs,
    keepaliveTimeoutMs: config.grpcKeepaliveTimeoutMs,
    idleMaxMs: config.grpcConnectionIdleMaxMs,
    ageMaxMs: config.grpcConnectionAgeMaxMs,
    ageGraceMs: config.grpcConnectionAgeGraceMs,
  };
}

/** What is wrong with the certificate, its key and the clients' authorities, one line each. */
export function tlsMistakes(config: Config): readonly string[] {
  const paths = grpcTlsPaths(config);
  const checked = paths === undefined ? undefined : checkTls(paths);
  return checked === undefined || checked.ok ? [] : checked.errors;
}

/** Undefined: the port speaks plaintext. */
export function grpcTlsPaths({ grpcTlsCertFile, grpcTlsKeyFile, grpcTlsClientCaFile }: Config): TlsPaths | undefined {
  if (grpcTlsCertFile === undefined || grpcTlsKeyFile === undefined) return undefined;
  return { options: "GRPC_TLS", certFile: grpcTlsCertFile, keyFile: grpcTlsKeyFile, clientCaFile: grpcTlsClientCaFile };
}
