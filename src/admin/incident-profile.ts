// A profile of an incident's bundle, in any view (profile-view.ts), of one worker (?worker=), or what it has more than another
// of the same bundle (?base=profile-before.pb.gz).
//
// A difference compares what each second had, because the windows before and after an incident are not of one length.

import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { Profile } from "pprof-format";
import { difference, withLabels } from "../profiling/select.ts";
import { BadParameter, Parameters, type Query } from "./parameters.ts";
import { type ProfileView, readView, VIEW_PARAMETERS } from "./profile-view.ts";

/** How the name of a profile ends. */
const ENDING = ".pb.gz";
/** Five minutes of all processes are some MB; what grows beyond this is not ours. */
const PROFILE_BYTES_MAX = 64 * 1024 * 1024;

export interface BundleView extends ProfileView {
  readonly worker: string | undefined;
  /** The name of the other file. */
  readonly base: string | undefined;
}

export function isProfile(name: string): boolean {
  return name.endsWith(ENDING);
}

/** @throws BadParameter */
export function readBundleView(query: Query): BundleView {
  const parameters = new Parameters(query, ["worker", "base", ...VIEW_PARAMETERS]);
  const base = parameters.text("base");
  if (base !== undefined && !isProfile(base))
    throw new BadParameter(`base: ${JSON.stringify(base)} is no profile; give one of the bundle's ${ENDING} files`);
  return { ...readView(parameters), worker: parameters.text("worker"), base };
}

/** @param bytes gzipped. */
export async function decodeProfile(bytes: Uint8Array): Promise<Profile> {
  return Profile.decode(await promisify(gunzip)(bytes, { maxOutputLength: PROFILE_BYTES_MAX }));
}

/** @param base the profile that is taken off; undefined: none is. */
export async function profileOf(
  bytes: Uint8Array,
  base: Uint8Array | undefined,
  { worker }: BundleView,
): Promise<Profile> {
  const filters = worker === undefined ? [] : [{ key: "worker", value: worker }];
  const later = withLabels(await decodeProfile(bytes), filters);
  if (base === undefined) return later;
  const earlier = withLabels(await decodeProfile(base), filters);
  const scale = Number(later.durationNanos) / Number(earlier.durationNanos);
  return difference(later, earlier, Number.isFinite(scale) && scale > 0 ? scale : 1);
}
