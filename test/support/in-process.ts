// A worker's service in this process, with a directory of its own: for tests of what it answers, not of how it is run.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../src/config.ts";
import { createService, type Environment, realEnvironment, type Service } from "../../src/service.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import type { SendSpans } from "../../src/tracing/span-data.ts";

export interface InProcessService extends AsyncDisposable {
  readonly service: Service;
  readonly address: { readonly host: string; readonly port: number };
  readonly dataDir: string;
}

/**
 * @param env options over the defaults; ports are free ones, and the spool's directory is removed in the end.
 * @param environment what is not real.
 * @param sendSpans what takes the spans of recorded requests.
 */
export async function startInProcess(
  env: Readonly<Record<string, string>> = {},
  environment: Partial<Environment> = {},
  sendSpans?: SendSpans,
): Promise<InProcessService> {
  const dataDir = env["DATA_DIR"] ?? (await mkdtemp(join(tmpdir(), "sluice-test-")));
  const loaded = loadConfig({ WORKERS: "1", GRPC_LISTEN: "127.0.0.1:0", ...env, DATA_DIR: dataDir });
  if (!loaded.ok) throw new Error(loaded.errors.join("\n"));
  const service = createService({
    config: loaded.config,
    workerIndex: 0,
    log: silentLogger(),
    sendSpans,
    environment: { ...realEnvironment, ...environment },
  });
  const stop = async (): Promise<void> => {
    await service.dispose();
    if (env["DATA_DIR"] === undefined) await rm(dataDir, { recursive: true, force: true });
  };
  try {
    await service.start();
  } catch (error) {
    await stop();
    throw error;
  }
  return { service, address: service.address, dataDir, [Symbol.asyncDispose]: stop };
}
