// The options of the servers that tests attack.

import type { NativeOptions } from "../../../src/grpc/native/server.ts";

/** Small and fast, so that every limit is reached in a test; what a test is about it sets itself. */
export const TEST_OPTIONS: NativeOptions = {
  host: "127.0.0.1",
  port: 0,
  tls: undefined,
  connectionsMax: 1000,
  streamsMax: 1000,
  streamWindowBytes: 65_536,
  connectionWindowBytes: 262_144,
  headerListBytesMax: 16_384,
  unsentBytesMax: 1_048_576,
  handshakeTimeoutMs: 10_000,
  headersTimeoutMs: 10_000,
  stallTimeoutMs: 30_000,
  keepaliveTimeMs: 60_000,
  keepaliveTimeoutMs: 20_000,
  idleMaxMs: 900_000,
  ageMaxMs: 1_800_000,
  ageGraceMs: 30_000,
  messageBytesMax: 1_048_576,
  receiveBytesMax: 16_777_216,
  messageTimeoutMs: 30_000,
};
