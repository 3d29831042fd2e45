// Profiles made by hand.

import { Profile, StringTable } from "pprof-format";

export interface Given {
  /** Function names with lines, the leaf first. */
  readonly stack: readonly (readonly [name: string, line: number])[];
  readonly value: readonly [number, number];
  readonly labels?: Readonly<Record<string, string>>;
}

/** A profile with its own numbering: functions and strings are counted from the back. */
export function profile(
  samples: readonly Given[],
  timeNanos = 0,
  durationNanos = 0,
  types = ["sample", "cpu"],
): Profile {
  const stringTable = new StringTable();
  const string = (text: string) => stringTable.dedup(text);
  const frames = [...new Map(samples.flatMap(({ stack }) => stack).map((frame) => [frame.join(), frame])).values()];
  const idOf = (frame: readonly [string, number]) => frames.length - frames.findIndex((f) => f.join() === frame.join());
  return new Profile({
    stringTable,
    sampleType: types.map((type) => ({ type: string(type), unit: string("count") })),
    function: frames.map((frame) => ({ id: idOf(frame), name: string(frame[0]), filename: string("a.ts") })),
    location: frames.map((frame) => ({ id: idOf(frame), line: [{ functionId: idOf(frame), line: frame[1] }] })),
    sample: samples.map(({ stack, value, labels = {} }) => ({
      locationId: stack.map(idOf),
      value: [...value],
      label: Object.entries(labels).map(([key, str]) => ({ key: string(key), str: string(str) })),
    })),
    timeNanos,
    durationNanos,
    period: 25,
    periodType: { type: string("cpu"), unit: string("nanoseconds") },
  });
}
