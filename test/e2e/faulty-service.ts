// The real service, whose workers come to harm on demand: SIGUSR2 to a worker does to it what FAULT says.
//
//   leak   takes memory until V8's heap limit ends the process
//   throw  throws what nobody catches
//   full   makes every write to disk fail with ENOSPC, from then on

import cluster from "node:cluster";
import { loadConfig } from "../../src/config.ts";
import { createService, realEnvironment } from "../../src/service.ts";
import { type File, type FileSystem, nodeFileSystem } from "../../src/spool/file-system.ts";
import { ignoreSignals, shutdownOnSignals } from "../../src/supervisor/signals.ts";
import { runSupervisor } from "../../src/supervisor/supervisor.ts";
import { type CreateService, runWorker } from "../../src/supervisor/worker.ts";
import { createLogger } from "../../src/telemetry/log.ts";

let full = false;

function fullDisk(): Error {
  return Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
}

/** The real file system, until it is full. */
const fs: FileSystem = {
  ...nodeFileSystem,
  open: async (path, mode): Promise<File> => {
    if (full && mode === "create") throw fullDisk();
    const file = await nodeFileSystem.open(path, mode);
    return {
      read: (buffer, position) => file.read(buffer, position),
      write: async (buffers, position) => {
        if (full) throw fullDisk();
        await file.write(buffers, position);
      },
      truncate: (size) => file.truncate(size),
      sync: () => file.sync(),
      size: () => file.size(),
      close: () => file.close(),
    };
  },
};

const leaked: unknown[] = [];

function harm(): void {
  const fault = process.env["FAULT"];
  if (fault === "full") full = true;
  else if (fault === "leak") {
    for (;;) leaked.push(Array.from({ length: 1_000 }, (_, i) => ({ i, leaked: leaked.length })));
  } else throw new Error(`FAULT is ${fault}`);
}

const create: CreateService = (options) => {
  process.on("SIGUSR2", harm);
  return createService({ ...options, environment: { ...realEnvironment, fs } });
};

async function main(): Promise<number> {
  if (cluster.isWorker) {
    ignoreSignals();
    return await runWorker(create);
  }
  const shutdown = shutdownOnSignals((code) => process.exit(code));
  const loaded = loadConfig(process.env, process.argv.slice(2));
  if (!loaded.ok) throw new Error(loaded.errors.join("\n"));
  const log = createLogger({ level: loaded.config.logLevel, name: "supervisor" });
  return await runSupervisor(loaded.config, log, shutdown, { workerEntry: import.meta.filename });
}

process.exit(await main());
