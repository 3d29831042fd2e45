// How a profile is shown: which of its samples, with which labels as frames, in which format. The same for every profile that
// the admin port serves, of now, of a while ago or of an incident.
//
//   label=topic:clicks    only samples with this label; again for another one; `topic:` for those without it
//   root=topic,worker     labels as frames at the root of each stack, for viewers that know no labels
//   type=wall             which sample type the formats with one value have; without it that which pprof shows
//   format=pprof          or folded, speedscope, text; debug=1 is Go's word for text

import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Profile } from "pprof-format";
import { foldedText } from "../profiling/folded.ts";
import { labelValues, rootedAt, withLabels, type LabelFilter } from "../profiling/select.ts";
import { speedscopeFile } from "../profiling/speedscope.ts";
import { sampleTypes, stacksOf } from "../profiling/stacks.ts";
import { profileText } from "../profiling/text.ts";
import { BadParameter, type Parameters } from "./parameters.ts";

const FORMATS = ["pprof", "folded", "speedscope", "text"] as const;
type Format = (typeof FORMATS)[number];

export const VIEW_PARAMETERS: readonly string[] = ["label", "root", "type", "format", "debug"];

export interface ProfileView {
  readonly labels: readonly LabelFilter[];
  readonly root: readonly string[];
  readonly type: string | undefined;
  readonly format: Format;
}

/** What was asked for is not in the profile. */
export class NothingFound extends Error {
  override readonly name = "NothingFound";
}

const gzipAsync = promisify(gzip);

/** Values of a label that an error lists. */
const LISTED_MAX = 20;

/** @throws BadParameter */
export function readView(parameters: Parameters): ProfileView {
  const labels = parameters.all("label").map((text): LabelFilter => {
    const colon = text.indexOf(":");
    if (colon > 0) return { key: text.slice(0, colon), value: text.slice(colon + 1) };
    throw new BadParameter(`label: ${JSON.stringify(text)} is not name:value, for example topic:clicks`);
  });
  const root = parameters.text("root")?.split(",") ?? [];
  if (root.includes("")) throw new BadParameter("root: a label's name is missing; give for example root=topic,worker");
  parameters.exclude("debug", "format");
  const debug = parameters.oneOf("debug", ["0", "1"]);
  const format = parameters.oneOf("format", FORMATS) ?? (debug === "1" ? "text" : "pprof");
  return { labels, root, type: parameters.text("type"), format };
}

/** @throws NothingFound if no sample has a label that is asked for. */
function select(profile: Profile, { labels, root }: ProfileView): Profile {
  let selected = profile;
  for (const filter of labels) {
    const before = selected;
    selected = withLabels(before, [filter]);
    if (selected.sample.length > 0 || before.sample.length === 0) continue;
    const values = labelValues(before, filter.key);
    const listed = values.slice(0, LISTED_MAX).join(", ") + (values.length > LISTED_MAX ? ", ..." : "");
    const known = values.length === 0 ? `no sample has a label ${filter.key}` : `${filter.key} is one of ${listed}`;
    throw new NothingFound(`label: no sample has ${filter.key}:${filter.value}; ${known}`);
  }
  return root.length === 0 ? selected : rootedAt(selected, root);
}

/** @throws BadParameter if the profile has no such type. */
function typeIndex(profile: Profile, asked: string | undefined): number {
  const { types, defaultType } = sampleTypes(profile);
  if (asked === undefined) return defaultType;
  const index = types.findIndex(({ type }) => type === asked);
  if (index !== -1) return index;
  const names = types.map(({ type }) => type).join(", ");
  throw new BadParameter(`type: ${JSON.stringify(asked)} is none of ${names}`);
}

/** A profile with the type that is asked for as the one that pprof shows. */
function withDefaultType(profile: Profile, type: number): Profile {
  profile.defaultSampleType = profile.sampleType[type]?.type ?? 0;
  return profile;
}

/**
 * Answers with the profile.
 * @param name of the file without its extension, and the viewer's title.
 * @throws BadParameter and NothingFound, before anything is sent.
 */
export async function sendProfile(
  request: FastifyRequest,
  reply: FastifyReply,
  profile: Profile,
  view: ProfileView,
  name: string,
): Promise<void> {
  const selected = select(profile, view);
  const type = typeIndex(selected, view.type);
  if (view.format === "pprof") {
    const shown = view.type === undefined ? selected : withDefaultType(selected, type);
    await reply
      .type("application/octet-stream")
      .header("content-disposition", `attachment; filename="${name}.pb.gz"`)
      .send(await gzipAsync(shown.encode()));
    return;
  }
  const [contentType, body] = rendered(selected, view.format, type, name);
  reply.type(contentType).header("vary", "accept-encoding");
  if (request.headers["accept-encoding"]?.includes("gzip") === true)
    await reply.header("content-encoding", "gzip").send(await gzipAsync(body));
  else await reply.send(body);
}

function rendered(
  profile: Profile,
  format: Exclude<Format, "pprof">,
  type: number,
  name: string,
): readonly [contentType: string, body: string] {
  const text = "text/plain; charset=utf-8";
  switch (format) {
    case "folded":
      return [text, foldedText(stacksOf(profile), type)];
    case "text":
      return [text, profileText(profile, type)];
    case "speedscope":
      return ["application/json; charset=utf-8", JSON.stringify(speedscopeFile(stacksOf(profile), type, name))];
    default:
      return format satisfies never;
  }
}
