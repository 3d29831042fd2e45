// A process of a service that is made by a test: the supervisor, or, forked by it, a worker.

import cluster from "node:cluster";
import { loadConfig } from "../../src/config.ts";
import { ignoreSignals, shutdownOnSignals } from "../../src/supervisor/signals.ts";
import { runSupervisor } from "../../src/supervisor/supervisor.ts";
import { type CreateService, runWorker } from "../../src/supervisor/worker.ts";
import { LogRing } from "../../src/telemetry/log-ring.ts";
import { createLogger } from "../../src/telemetry/log.ts";

/**
 * @param create makes a worker's service.
 * @param entry the module that both processes run.
 * @returns the exit code.
 */
export async function runServiceProcess(create: CreateService, entry: string): Promise<number> {
  if (cluster.isWorker) {
    ignoreSignals();
    return await runWorker(create);
  }
  const shutdown = shutdownOnSignals((code) => process.exit(code));
  const loaded = loadConfig(process.env, process.argv.slice(2));
  if (!loaded.ok) throw new Error(loaded.errors.join("\n"));
  const logRing = new LogRing();
  const log = createLogger({ level: loaded.config.logLevel, name: "supervisor", ring: logRing });
  return await runSupervisor(loaded.config, log, shutdown, { workerEntry: entry, logRing });
}
