// Where each worker's spool lies, and who looks after those whose worker is gone.
//
//   <data directory>/spool/worker-<i>          the spool of worker i
//   <data directory>/dead-letters/worker-<i>   what Kafka refused of it
//
// When WORKERS is lowered, the spools of the higher numbers still hold acknowledged events. Each is adopted by one of the
// workers that are left: j by worker j modulo workers.

import { join, resolve } from "node:path";
import { type FileSystem, listIfThere, nodeFileSystem } from "./file-system.ts";

export interface SpoolDirectories {
  /** The worker's own, whether it exists or not. */
  readonly own: string;
  /** In order of their numbers. */
  readonly adopted: readonly string[];
  /** The worker's dead-letter log. */
  readonly deadLetters: string;
}

/** @param dataDir DATA_DIR, absolute or not. */
export async function spoolDirectories(
  dataDir: string,
  workerIndex: number,
  workers: number,
  fs: FileSystem = nodeFileSystem,
): Promise<SpoolDirectories> {
  const orphans = (await workerDirectories(join(dataDir, "spool"), fs)).filter(
    ({ worker }) => worker >= workers && worker % workers === workerIndex,
  );
  return {
    own: resolve(dataDir, "spool", `worker-${workerIndex}`),
    adopted: orphans.map(({ dir }) => dir),
    deadLetters: resolve(dataDir, "dead-letters", `worker-${workerIndex}`),
  };
}

/** The workers' directories below `parent` that exist, in order of their numbers. */
export async function workerDirectories(
  parent: string,
  fs: FileSystem,
): Promise<{ readonly worker: number; readonly dir: string }[]> {
  const names = await listIfThere(fs, resolve(parent));
  return names
    .flatMap((name) => {
      const match = /^worker-(0|[1-9]\d*)$/.exec(name);
      return match === null ? [] : { worker: Number(match[1]), dir: resolve(parent, name) };
    })
    .sort((a, b) => a.worker - b.worker);
}
