// Parts of a profile, and profiles of profiles: by label, with labels as frames, and the difference of two.
//
// Each makes a profile of a profile, so that they can follow each other and every format has them all. What they do not
// change they share with the profile they were given, whose samples stay as they were (its table of strings may grow).
//
// `go tool pprof` can do the first two itself (-tagfocus, -tagroot) and the third (-diff_base); a flame graph in a browser
// cannot, because the viewers' formats know no labels.

import { Profile, type FunctionInput, type LocationInput, type SampleInput } from "pprof-format";
import { mergeProfiles } from "./merge.ts";
import { signed } from "./stacks.ts";

type Numeric = number | bigint;

/** What a sample's label has to be. */
export interface LabelFilter {
  readonly key: string;
  /** Empty: samples without that label. */
  readonly value: string;
}

/** The profile with other samples, and what these need on top. */
function withSamples(
  profile: Profile,
  sample: SampleInput[],
  functions: readonly FunctionInput[] = [],
  locations: readonly LocationInput[] = [],
): Profile {
  return new Profile({
    sampleType: profile.sampleType,
    sample,
    mapping: profile.mapping,
    location: [...profile.location, ...locations],
    function: [...profile.function, ...functions],
    stringTable: profile.stringTable,
    timeNanos: profile.timeNanos,
    durationNanos: profile.durationNanos,
    ...(profile.periodType === undefined ? {} : { periodType: profile.periodType }),
    period: profile.period,
    comment: profile.comment,
    defaultSampleType: profile.defaultSampleType,
  });
}

/** Reads the label `key` of a sample; a sample without it has the empty text. */
function labelReader(profile: Profile, key: string): (sample: Profile["sample"][number]) => string {
  const { strings } = profile.stringTable;
  const index = strings.indexOf(key);
  return ({ label }) => {
    const found = label.find((each) => Number(each.key) === index);
    if (found === undefined) return "";
    return found.str === 0 ? String(found.num) : (strings[Number(found.str)] ?? "");
  };
}

/** The values that a label has in the profile, in order; samples without it are left out. */
export function labelValues(profile: Profile, key: string): string[] {
  const values = new Set(profile.sample.map(labelReader(profile, key)));
  values.delete("");
  return [...values].sort();
}

/** The samples that satisfy every filter. */
export function withLabels(profile: Profile, filters: readonly LabelFilter[]): Profile {
  const readers = filters.map(({ key, value }) => ({ read: labelReader(profile, key), value }));
  return withSamples(
    profile,
    profile.sample.filter((sample) => readers.every(({ read, value }) => read(sample) === value)),
  );
}

/** The greatest of the numbers; 0 if there are none. */
function greatest(ids: readonly { readonly id: Numeric }[]): number {
  return ids.reduce((max, { id }) => Math.max(max, Number(id)), 0);
}

/**
 * The profile with labels as frames at the root of each stack, the first key outermost: `topic: clicks`. A sample without the
 * label stands under `topic: none`.
 */
export function rootedAt(profile: Profile, keys: readonly string[]): Profile {
  const functions: FunctionInput[] = [];
  const locations: LocationInput[] = [];
  const ids = new Map<string, number>();
  const functionsFrom = greatest(profile.function) + 1;
  const locationsFrom = greatest(profile.location) + 1;
  const locationOf = (name: string): number => {
    let index = ids.get(name);
    if (index === undefined) {
      index = ids.size;
      ids.set(name, index);
      functions.push({ id: functionsFrom + index, name: profile.stringTable.dedup(name) });
      locations.push({ id: locationsFrom + index, line: [{ functionId: functionsFrom + index }] });
    }
    return locationsFrom + index;
  };
  const readers = keys.map((key) => ({ key, read: labelReader(profile, key) })).reverse();
  const sample = profile.sample.map((each) => ({
    locationId: [...each.locationId, ...readers.map(({ key, read }) => locationOf(`${key}: ${read(each) || "none"}`))],
    value: each.value,
    label: each.label,
  }));
  return withSamples(profile, sample, functions, locations);
}

/**
 * What `later` has more than `earlier`, stack by stack; below zero where it has less. What did not change is left out. The
 * time and duration are those of `later`.
 * @param scale what `earlier` counts, for example 0.5 if it lasted twice as long.
 * @throws if their sample types differ.
 */
export function difference(later: Profile, earlier: Profile, scale = 1): Profile {
  const negative = withSamples(
    earlier,
    earlier.sample.map(({ locationId, value, label }) => ({
      locationId,
      label,
      value: value.map((each) => -Math.round(signed(each) * scale)),
    })),
  );
  const sum = mergeProfiles([{ profile: later }, { profile: negative }]);
  sum.sample = sum.sample.filter(({ value }) => value.some((each) => Number(each) !== 0));
  sum.timeNanos = later.timeNanos;
  sum.durationNanos = later.durationNanos;
  return sum;
}
