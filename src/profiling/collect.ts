// One profile of several processes: asks all of them at once, merges what comes, and says what did not come.
//
// The processes send their slices as they are; merging is done here, in the supervisor, where time is cheap.

import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { Profile } from "pprof-format";
import { mergeProfiles } from "./merge.ts";

/** What to profile: the next `seconds`, or the heap as it is. */
export type CaptureRequest = { readonly kind: "cpu"; readonly seconds: number } | { readonly kind: "heap" };

export interface ProfileSource {
  /** The value of the `worker` label. */
  readonly name: string;
  /** Encoded profiles that follow each other in time. Rejects with a message for people. */
  capture(request: CaptureRequest): Promise<readonly Uint8Array[]>;
}

/** No process gave a profile. */
export class CaptureError extends Error {
  override readonly name = "CaptureError";
}

const gzipAsync = promisify(gzip);

/**
 * The merged profile of the sources, gzipped as pprof wants it. Samples carry the label `worker`. A source that fails is
 * told in the profile's comments (`go tool pprof -comments`).
 * @throws CaptureError if every source fails.
 */
export async function collectProfile(sources: readonly ProfileSource[], request: CaptureRequest): Promise<Buffer> {
  const outcomes = await Promise.all(
    sources.map(async (source) => {
      const { name } = source;
      try {
        const profiles = (await source.capture(request)).map((bytes) => Profile.decode(bytes));
        return { name, profiles, failure: undefined };
      } catch (error) {
        return { name, profiles: [], failure: error instanceof Error ? error.message : String(error) };
      }
    }),
  );
  const failures = outcomes.flatMap(({ name, failure }) => (failure === undefined ? [] : [`${name}: ${failure}`]));
  if (failures.length === outcomes.length)
    throw new CaptureError(failures.length === 0 ? "there is no process to profile" : failures.join("; "));

  const merged = mergeProfiles(
    outcomes.flatMap(({ name, profiles }) => profiles.map((profile) => ({ profile, labels: { worker: name } }))),
  );
  // The processes ran side by side, so the window is as long as the longest of them, not as their sum.
  merged.durationNanos = Math.max(
    ...outcomes.map(({ profiles }) => profiles.reduce((sum, { durationNanos }) => sum + Number(durationNanos), 0)),
  );
  for (const failure of failures) merged.comment.push(merged.stringTable.dedup(`missing: worker ${failure}`));
  return await gzipAsync(merged.encode());
}
