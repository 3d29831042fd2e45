// Where each worker's spool lies, and who looks after those whose worker is gone.
//
//   <data directory>/spool/worker-<i>          the spool of worker i
//   <data directory>/dead-letters/worker-<i>   what Kafka refused of it
//
// When WORKERS is lowered, the spools and the dead-letter logs of the higher numbers still hold acknowledged events. Each is
// adopted by one of the workers that are left: j by worker j modulo workers.

import { basename, join, resolve } from "node:path";
import { type FileSystem, listIfThere, nodeFileSystem } from "./file-system.ts";

export interface SpoolDirectories {
  /** The worker's own, whether it exists or not. */
  readonly own: string;
  /** In order of their numbers. */
  readonly adopted: readonly string[];
  /** The worker's dead-letter log, whether it exists or not. */
  readonly deadLetters: string;
  /** Dead-letter logs of workers that are gone, in order of their numbers. */
  readonly adoptedDeadLetters: readonly string[];
}

/** @param dataDir DATA_DIR, absolute or not. */
export async function spoolDirectories(
  dataDir: string,
  workerIndex: number,
  workers: number,
  fs: FileSystem = nodeFileSystem,
): Promise<SpoolDirectories> {
  const orphans = async (parent: string) =>
    (await workerDirectories(parent, fs))
      .filter(({ worker }) => worker >= workers && worker % workers === workerIndex)
      .map(({ dir }) => dir);
  return {
    own: resolve(dataDir, "spool", `worker-${workerIndex}`),
    adopted: await orphans(join(dataDir, "spool")),
    deadLetters: join(deadLettersDirectory(dataDir), `worker-${workerIndex}`),
    adoptedDeadLetters: await orphans(deadLettersDirectory(dataDir)),
  };
}

/** Where the dead-letter logs of all workers lie. */
export function deadLettersDirectory(dataDir: string): string {
  return resolve(dataDir, "dead-letters");
}

/** The number of the worker that a directory belongs to. */
export function workerOf(dir: string): number | undefined {
  const match = /^worker-(0|[1-9]\d*)$/.exec(basename(dir));
  return match === null ? undefined : Number(match[1]);
}

/** The workers' directories below `parent` that exist, in order of their numbers. */
export async function workerDirectories(
  parent: string,
  fs: FileSystem,
): Promise<{ readonly worker: number; readonly dir: string }[]> {
  const names = await listIfThere(fs, resolve(parent));
  return names
    .flatMap((name) => {
      const worker = workerOf(name);
      return worker === undefined ? [] : { worker, dir: resolve(parent, name) };
    })
    .sort((a, b) => a.worker - b.worker);
}
