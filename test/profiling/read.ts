// Profiles as plain data, for assertions.

import { gunzipSync } from "node:zlib";
import { Profile } from "pprof-format";

export interface Frame {
  readonly name: string;
  readonly file: string;
  readonly line: number;
}

export interface FlatSample {
  /** The leaf first. */
  readonly stack: readonly Frame[];
  readonly labels: Readonly<Record<string, string>>;
  /** By sample type, for example `cpu`. */
  readonly values: Readonly<Record<string, number>>;
}

/** @param bytes an encoded profile, gzipped or not. */
export function decode(bytes: Uint8Array): Profile {
  return Profile.decode(bytes[0] === 0x1f ? gunzipSync(bytes) : bytes);
}

export function flatten(profile: Profile): FlatSample[] {
  const text = (index: number | bigint) => profile.stringTable.strings[Number(index)] ?? "";
  const functions = new Map(profile.function.map((f) => [Number(f.id), f]));
  const frames = new Map(
    profile.location.map((location): [number, Frame[]] => [
      Number(location.id),
      location.line.map(({ functionId, line }) => {
        const f = functions.get(Number(functionId))!;
        return { name: text(f.name), file: text(f.filename), line: Number(line) };
      }),
    ]),
  );
  const types = profile.sampleType.map(({ type }) => text(type));
  return profile.sample.map((sample) => ({
    stack: sample.locationId.flatMap((id) => frames.get(Number(id))!),
    labels: Object.fromEntries(
      sample.label.map(({ key, str, num }) => [text(key), str === 0 ? String(num) : text(str)]),
    ),
    values: Object.fromEntries(types.map((type, i) => [type, Number(sample.value[i])])),
  }));
}

/** What a profile says, independent of its numbering and order: values by stack and labels. */
export function content(profile: Profile): Map<string, readonly number[]> {
  const samples = flatten(profile).map(({ stack, labels, values }): [string, number[]] => [
    JSON.stringify([stack, Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))]),
    Object.values(values),
  ]);
  return new Map(samples.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The function that had the most of `type` itself, with how much. */
export function top(samples: readonly FlatSample[], type: string): { readonly frame: Frame; readonly value: number } {
  const sums = new Map<string, { frame: Frame; value: number }>();
  for (const { stack, values } of samples) {
    const [frame] = stack;
    if (frame === undefined) continue;
    const sum = sums.get(JSON.stringify(frame)) ?? { frame, value: 0 };
    sum.value += values[type]!;
    sums.set(JSON.stringify(frame), sum);
  }
  return [...sums.values()].sort((a, b) => b.value - a.value)[0]!;
}
