// A profile of an incident's bundle in other formats: ?format=speedscope|folded|text, of one worker (?worker=), or what it has
// more than another of the same bundle (?base=profile-before.pb.gz).
//
// A difference compares what each second had, because the windows before and after an incident are not of one length.

import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import { Profile } from "pprof-format";
import { foldedText } from "../profiling/folded.ts";
import { difference, withLabels } from "../profiling/select.ts";
import { speedscopeFile } from "../profiling/speedscope.ts";
import { stacksOf } from "../profiling/stacks.ts";
import { profileText } from "../profiling/text.ts";

const FORMATS = ["pprof", "speedscope", "folded", "text"] as const;
type Format = (typeof FORMATS)[number];
const PARAMETERS = ["format", "worker", "base"];

/** Five minutes of all processes are some MB; what grows beyond this is not ours. */
const PROFILE_BYTES_MAX = 64 * 1024 * 1024;

export interface ProfileView {
  readonly format: Format;
  readonly worker: string | undefined;
  /** The name of the other file. */
  readonly base: string | undefined;
}

/** What was asked for; a text says what is wrong with it. */
export function readView(query: Readonly<Record<string, unknown>>): ProfileView | string {
  for (const [name, value] of Object.entries(query)) {
    if (!PARAMETERS.includes(name)) return `${name}: not known here; known are ${PARAMETERS.join(", ")}`;
    if (typeof value !== "string") return `${name}: given more than once`;
  }
  const { format = "pprof", worker, base } = query as Readonly<Record<string, string | undefined>>;
  const chosen = FORMATS.find((each) => each === format);
  if (chosen === undefined) return `format: ${JSON.stringify(format)} is none of ${FORMATS.join(", ")}`;
  return { format: chosen, worker, base };
}

/** @param bytes gzipped. */
export async function decodeProfile(bytes: Uint8Array): Promise<Profile> {
  return Profile.decode(await promisify(gunzip)(bytes, { maxOutputLength: PROFILE_BYTES_MAX }));
}

export interface Rendition {
  readonly type: string;
  readonly body: Buffer | string;
}

/**
 * @param name what viewers show as the title.
 * @param base the profile that is taken off.
 */
export async function renditionOf(
  name: string,
  bytes: Uint8Array,
  base: Uint8Array | undefined,
  { format, worker }: ProfileView,
): Promise<Rendition> {
  const filters = worker === undefined ? [] : [{ key: "worker", value: worker }];
  let profile = withLabels(await decodeProfile(bytes), filters);
  if (base !== undefined) profile = morePerSecond(profile, withLabels(await decodeProfile(base), filters));
  const stacks = stacksOf(profile);
  const type = stacks.defaultType;
  switch (format) {
    case "pprof":
      return { type: "application/octet-stream", body: await promisify(gzip)(profile.encode()) };
    case "speedscope":
      return { type: "application/json; charset=utf-8", body: JSON.stringify(speedscopeFile(stacks, type, name)) };
    case "folded":
      return { type: "text/plain; charset=utf-8", body: foldedText(stacks, type) };
    case "text":
      return { type: "text/plain; charset=utf-8", body: profileText(profile, type) };
    default:
      return format satisfies never;
  }
}

/** The difference after the earlier one, which is changed for it, is brought to the length of the later one. */
function morePerSecond(later: Profile, earlier: Profile): Profile {
  const factor = Number(later.durationNanos) / Number(earlier.durationNanos);
  if (Number.isFinite(factor) && factor > 0)
    for (const sample of earlier.sample) sample.value = sample.value.map((value) => Math.round(Number(value) * factor));
  return difference(later, earlier);
}
