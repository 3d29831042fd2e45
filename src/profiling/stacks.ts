// A profile as plain data: stacks of frames with their labels and values. What the formats for people and for viewers read.
//
// pprof numbers everything (strings, functions, locations); whoever writes another format needs the names, and the same frame
// to be one object wherever it occurs, so that a format with a table of frames can have each once.

import type { Profile } from "pprof-format";

type Numeric = number | bigint;

/** A place in the code; a frame of a stack is the same object wherever it occurs in one profile. */
export interface Frame {
  /** Never empty: V8's functions without a name are `(anonymous)`. */
  readonly name: string;
  /** As the runtime tells it, a path or a URL; empty: not from a file. */
  readonly file: string;
  /** From 1; 0: not known. */
  readonly line: number;
}

export interface StackSample {
  /** The root first. */
  readonly frames: readonly Frame[];
  readonly labels: ReadonlyMap<string, string>;
  /** One for each of the profile's types, in their order. Below zero in a difference. */
  readonly values: readonly number[];
}

export interface SampleType {
  /** For example `cpu`. */
  readonly type: string;
  /** For example `nanoseconds`. */
  readonly unit: string;
}

export interface Stacks {
  readonly types: readonly SampleType[];
  /** Which of them `go tool pprof` shows unless told otherwise. */
  readonly defaultType: number;
  readonly samples: readonly StackSample[];
}

/** A value as pprof means it: pprof-format reads what is below zero as if it had no sign. */
export function signed(value: Numeric): number {
  return typeof value === "bigint" ? Number(BigInt.asIntN(64, value)) : value;
}

export function sampleTypes(profile: Profile): Pick<Stacks, "types" | "defaultType"> {
  const { strings } = profile.stringTable;
  const text = (index: Numeric) => strings[Number(index)] ?? "";
  const types = profile.sampleType.map(({ type, unit }) => ({ type: text(type), unit: text(unit) }));
  const named = types.findIndex(({ type }) => type === text(profile.defaultSampleType));
  return { types, defaultType: named === -1 ? types.length - 1 : named };
}

export function stacksOf(profile: Profile): Stacks {
  const { strings } = profile.stringTable;
  const text = (index: Numeric) => strings[Number(index)] ?? "";
  const functions = new Map(profile.function.map((each) => [Number(each.id), each]));
  const interned = new Map<string, Frame>();
  const frameOf = (functionId: number, line: number): Frame => {
    const key = `${functionId}:${line}`;
    const known = interned.get(key);
    if (known !== undefined) return known;
    const its = functions.get(functionId);
    const frame = {
      name: (its === undefined ? "" : text(its.name)) || "(anonymous)",
      file: its === undefined ? "" : text(its.filename),
      line,
    };
    interned.set(key, frame);
    return frame;
  };
  // Within a location inlined functions come first, as leaves do within a stack.
  const locations = new Map(
    profile.location.map(({ id, line }) => [
      Number(id),
      line.map((each) => frameOf(Number(each.functionId), Number(each.line))),
    ]),
  );
  const samples = profile.sample.map(({ locationId, label, value }) => ({
    frames: locationId.flatMap((id) => locations.get(Number(id)) ?? []).reverse(),
    labels: new Map(label.map(({ key, str, num }) => [text(key), str === 0 ? String(num) : text(str)])),
    values: value.map(signed),
  }));
  return { ...sampleTypes(profile), samples };
}
