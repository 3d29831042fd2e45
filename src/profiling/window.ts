// A window of time, of one process or of all of them, as one profile: the sum of the slices that lie in it.
//
// It needs no process but the one that runs it, so it works for the living, the stuck and the dead alike. Slices cannot be
// split: a window that begins and ends with cuts is exact, any other one has all of the slices that it reaches into.
//
// Adding up a quarter of an hour of many processes takes a while. It is done slice by slice with a turn of the event loop in
// between, and holds one slice in memory beside the sum.

import { setImmediate } from "node:timers/promises";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { Profile } from "pprof-format";
import { Merger } from "./merge.ts";
import { isWithin, type ProfileKind, type Slice, sliceFileName, type Span, workerLabelOf } from "./slice.ts";
import { processesOf, readSlice, sliceFilesOf } from "./slice-files.ts";

/** A slice that is not on disk, because the disk did not take it. */
export interface HeldSlice extends Slice {
  readonly process: string;
}

export interface WindowRequest extends Span {
  /** Of all processes' slices: DATA_DIR/profiles. */
  readonly dir: string;
  readonly kind: ProfileKind;
  /** `worker-0`, `supervisor`; all of them if it is missing. */
  readonly process?: string | undefined;
  /** Where the window of single processes begins and ends, if not where the others' do: at their cuts. */
  readonly spans?: ReadonlyMap<string, Span>;
  readonly held?: readonly HeldSlice[];
  /** Nobody waits any more. */
  readonly signal?: AbortSignal | undefined;
}

/** There is no slice in the window. */
export class EmptyWindowError extends Error {
  override readonly name = "EmptyWindowError";
}

interface Chosen extends Span {
  readonly process: string;
  readonly read: () => Promise<Uint8Array | undefined>;
}

const gunzipAsync = promisify(gunzip);

/**
 * The sum of the slices, oldest first; of the heap, the last profile of each process. Samples carry the label `worker`. Slices that
 * cannot be read are told in the comments (`go tool pprof -comments`).
 * @throws EmptyWindowError if there is none; the signal's reason.
 */
export async function profileOf(request: WindowRequest): Promise<Profile> {
  const chosen = await choose(request);
  const merger = new Merger();
  const durations = new Map<string, number>();
  const unreadable: string[] = [];
  for (const { process, read, fromMs, toMs } of chosen) {
    request.signal?.throwIfAborted();
    let profile: Profile;
    try {
      const bytes = await read();
      if (bytes === undefined) continue;
      profile = Profile.decode(await gunzipAsync(bytes));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      unreadable.push(`unreadable: ${process}, ${fromMs}-${toMs}: ${why}`);
      continue;
    }
    merger.add({ profile, labels: { worker: workerLabelOf(process) ?? process } });
    durations.set(process, (durations.get(process) ?? 0) + Number(profile.durationNanos));
    await setImmediate();
  }
  if (durations.size === 0) throw new EmptyWindowError(["there are no slices of that time", ...unreadable].join("; "));
  const merged = merger.result();
  // The processes ran side by side, so the window is as long as the longest of them, not as their sum.
  merged.durationNanos = Math.max(...durations.values());
  addComments(merged, unreadable);
  return merged;
}

/** @param comments for people, one line each. */
export function addComments(profile: Profile, comments: readonly string[]): void {
  for (const comment of comments) profile.comment.push(profile.stringTable.dedup(comment));
}

async function choose(request: WindowRequest): Promise<Chosen[]> {
  const { dir, kind, spans, held = [] } = request;
  const isWanted = (process: string) => request.process === undefined || process === request.process;
  const processes = (await processesOf(dir)).filter(isWanted);
  const files = (await Promise.all(processes.map((process) => sliceFilesOf(dir, process)))).flat();
  // What was held may have been written since.
  const written = new Set(files.map((file) => `${file.process}/${sliceFileName(file)}`));
  const candidates = [
    ...files.map((file) => ({ ...file, read: () => readSlice(file) })),
    ...held
      .filter((slice) => isWanted(slice.process) && !written.has(`${slice.process}/${sliceFileName(slice)}`))
      .map((slice) => ({ ...slice, read: () => Promise.resolve(slice.bytes) })),
  ];
  const inside = candidates
    .filter((slice) => slice.kind === kind && isWithin(slice, spans?.get(slice.process) ?? request))
    .sort((a, b) => a.fromMs - b.fromMs);
  if (kind === "cpu") return inside;
  return [...new Map(inside.map((slice) => [slice.process, slice])).values()];
}
