// The servers that a sink can be. Those of the service are built by the service's own composition root, so that a sink's
// frames, limits and metrics are the service's, and all that is missing is what happens to the events.

import { loadConfig } from "../../src/config.ts";
import { realEnvironment } from "../../src/service.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { METHODS } from "./answering.ts";
import { NodeHttp2Sink } from "./node-http2.ts";

export const SINK_SERVERS = ["native", "grpc-js", "http2"] as const;
export type SinkServer = (typeof SINK_SERVERS)[number];

export interface Sink {
  readonly address: { readonly host: string; readonly port: number };
  start(): Promise<void>;
  dispose(): Promise<void>;
}

/** @throws Error for an option of the service that is wrong, one line each. */
export async function createSink(server: SinkServer, env: Readonly<Record<string, string | undefined>>): Promise<Sink> {
  const own = server === "http2" ? {} : { GRPC_SERVER: server };
  const loaded = loadConfig({ ...env, ...own });
  if (!loaded.ok) throw new Error(loaded.errors.join("\n"));
  const { config } = loaded;
  if (server === "http2") return new NodeHttp2Sink(config.grpcListen.host, config.grpcListen.port);
  return await realEnvironment.createServer(METHODS, silentLogger(), createMetrics(), config);
}
