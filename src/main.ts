// The entry of every process: the command line in the first one, a worker in those that the supervisor forks.
//
// It owns what belongs to a process as a whole: signals and the exit. Nothing else in src/ touches them. Everything is imported
// only where it is needed, because a worker must not load the command line, nor a command the service.
//
// Compiled code is cached: a supervisor with two workers starts with 0.67 instead of 1.17 CPU seconds. The cache lies in the
// package, not in Node's default below the system's temporary directory, where another user could put code for us to run. If
// the package cannot be written, there is no cache.

import cluster from "node:cluster";
import { enableCompileCache } from "node:module";
import { join } from "node:path";
import { ignoreSignals, shutdownOnSignals } from "./supervisor/signals.ts";

enableCompileCache(join(import.meta.dirname, "../.cache/compile"));

async function main(): Promise<number> {
  if (cluster.isWorker) {
    ignoreSignals();
    const [{ runWorker }, { createService }] = await Promise.all([
      import("./supervisor/worker.ts"),
      import("./service.ts"),
    ]);
    return await runWorker(createService);
  }
  const shutdown = shutdownOnSignals((code) => process.exit(code));
  const { runCli } = await import("./cli/cli.ts");
  const { argv, env, stdin, stdout, stderr } = process;
  return await runCli(argv.slice(2), { env, stdin, stdout, stderr, shutdown });
}

process.exit(await main());
