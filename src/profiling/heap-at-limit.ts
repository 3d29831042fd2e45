// The heap of a process as it was when it reached its limit: V8 writes it down before it ends the process, and whoever finds it
// makes a profile of it.
//
// The process itself cannot do more: there is no memory for JavaScript to run. A command moves the file to where it is looked
// for. Rejected: a Node.js process as that command; it was too slow to begin in 5 of 40 deaths.

import { existsSync, mkdirSync } from "node:fs";
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { heap } from "@datadog/pprof";
import { Profile } from "pprof-format";
import { mergeProfiles } from "./merge.ts";

const MOVE = "/bin/mv";
const FOLDER = "heap-at-limit";
const LOOK_MS = 50;

const gzipAsync = promisify(gzip);

/** Makes V8 leave the heap's profile below `dir` when the limit is reached. Heap sampling has to be running. */
export function watchHeapLimit(dir: string): void {
  if (!existsSync(MOVE)) return;
  const folder = join(dir, FOLDER);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  heap.monitorOutOfMemory("auto", 1, false, [MOVE, "-t", folder]);
}

export interface HeapAtLimit {
  /** When it was written, in milliseconds since the epoch. */
  readonly atMs: number;
  /** Gzipped pprof; samples carry the label `worker`. */
  readonly profile: Uint8Array;
  /** Removes the file, if that is possible; whoever has the profile in safety calls it. */
  remove(): Promise<void>;
}

/**
 * The newest profile that a process left below `dir`, if it is whole and newer than `afterMs`; older ones, of processes that lived
 * on, are removed.
 * @param waitMs how long it may take to arrive.
 */
export async function findHeapAtLimit(
  dir: string,
  worker: string,
  afterMs: number,
  waitMs = 0,
): Promise<HeapAtLimit | undefined> {
  const endMs = performance.now() + waitMs;
  const folder = join(dir, FOLDER);
  for (;;) {
    const names = await readdir(folder).catch(() => []);
    const found = await Promise.all(names.map((name) => fileAt(join(folder, name))));
    const files = found.filter((file) => file !== undefined).sort((a, b) => b.atMs - a.atMs);
    const [newest, ...older] = files;
    for (const { path } of older) await removeIfPossible(path);
    if (newest !== undefined && newest.atMs < afterMs) await removeIfPossible(newest.path);
    if (newest !== undefined && newest.atMs >= afterMs) {
      const profile = await read(newest.path, worker, newest.atMs).catch(() => undefined);
      if (profile !== undefined) return { atMs: newest.atMs, profile, remove: () => removeIfPossible(newest.path) };
    }
    if (performance.now() >= endMs) return undefined;
    await setTimeout(LOOK_MS);
  }
}

/** Undefined if it is gone by now, or is no file. */
async function fileAt(path: string): Promise<{ readonly path: string; readonly atMs: number } | undefined> {
  const stats = await stat(path).catch(() => undefined);
  return stats?.isFile() === true ? { path, atMs: stats.mtimeMs } : undefined;
}

/** A disk that takes no changes must not cost the incident. */
async function removeIfPossible(path: string): Promise<void> {
  await rm(path, { force: true }).catch(() => {});
}

/** Rejects if the file is not whole: it may still be arriving. */
async function read(path: string, worker: string, atMs: number): Promise<Uint8Array> {
  const root = JSON.parse(await readFile(path, "utf8")) as Parameters<typeof heap.convertProfile>[0];
  const profile = Profile.decode(heap.convertProfile(root).encode());
  // The library adds the memory outside of the heap, but that of this process.
  const external = profile.function.find(({ name }) => profile.stringTable.strings[Number(name)] === "(external)")?.id;
  const locations = new Set(
    profile.location.filter(({ line }) => line.some(({ functionId }) => functionId === external)).map(({ id }) => id),
  );
  profile.sample = profile.sample.filter(({ locationId }) => !locationId.some((id) => locations.has(id)));
  profile.timeNanos = Math.round(atMs) * 1e6;
  return await gzipAsync(mergeProfiles([{ profile, labels: { worker } }]).encode());
}
