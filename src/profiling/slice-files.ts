// The slices on disk: one directory for each process below DATA_DIR/profiles.
//
// Each process writes its own, and the supervisor reads them all, so a process that is stuck or dead has left what it saw. A
// slice appears whole or not at all to readers in a running system (written under another name, then renamed). It is not
// synced: it has to survive the process, and a slice lost with the machine's power is not worth a disk flush in each ten seconds.

import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseSliceFileName, type Slice, type SliceKey, sliceFileName, workerLabelOf } from "./slice.ts";

/** What a slice's file is called until it is whole. */
export const UNFINISHED = ".tmp";

/** The directory of all processes' slices. */
export function profilesDirectory(dataDir: string): string {
  return join(dataDir, "profiles");
}

/** Where a process puts its slices. Rejects with the disk's error. */
export type WriteSlice = (slice: Slice) => Promise<void>;

/** @param process for example `worker-0`; its directory is made when it is needed. */
export function sliceWriter(dir: string, process: string): WriteSlice {
  const directory = join(dir, process);
  return async (slice) => {
    const file = join(directory, sliceFileName(slice));
    const unfinished = `${file}${UNFINISHED}`;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    try {
      await writeFile(unfinished, slice.bytes, { mode: 0o600 });
      await rename(unfinished, file);
    } catch (error) {
      // A full disk has no room for the half of a slice either.
      await rm(unfinished, { force: true }).catch(() => {});
      throw error;
    }
  };
}

/** A slice that lies on disk. */
export interface SliceFile extends SliceKey {
  readonly process: string;
  readonly file: string;
}

async function names(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch {
    // It is not there, or no directory: it has no slices.
    return [];
  }
}

/** The processes that have a directory. */
export async function processesOf(dir: string): Promise<string[]> {
  return (await names(dir)).filter((name) => workerLabelOf(name) !== undefined);
}

/** The slices of a process, in no order. */
export async function sliceFilesOf(dir: string, process: string): Promise<SliceFile[]> {
  return (await names(join(dir, process))).flatMap((name) => {
    const key = parseSliceFileName(name);
    return key === undefined ? [] : [{ ...key, process, file: join(dir, process, name) }];
  });
}

/** The slices' bytes; undefined: the file has aged out meanwhile. */
export async function readSlice({ file }: SliceFile): Promise<Buffer | undefined> {
  try {
    return await readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
