// The file format of speedscope (https://www.speedscope.app/file-format-schema.json), whose app the admin port serves.
//
// It has one list of frames, and samples that are lists of indexes into it, the root first. Weights cannot be below zero: what
// shrank is left out of a difference. speedscope reads pprof, too, but then it takes the one sample type and shows paths and
// labels as it likes; and its reader of protocol buffers tries what the content security policy forbids.
//
// Samples come largest first, so that the view by time, which means nothing for a merged profile, at least shows that.

import type { Frame, Stacks } from "./stacks.ts";

const UNITS: Readonly<Record<string, string>> = {
  nanoseconds: "nanoseconds",
  microseconds: "microseconds",
  milliseconds: "milliseconds",
  seconds: "seconds",
  bytes: "bytes",
};

export interface SpeedscopeFile {
  readonly $schema: "https://www.speedscope.app/file-format-schema.json";
  readonly exporter: "sluice";
  readonly name: string;
  readonly shared: {
    readonly frames: readonly { readonly name: string; readonly file?: string; readonly line?: number }[];
  };
  readonly profiles: readonly {
    readonly type: "sampled";
    readonly name: string;
    readonly unit: string;
    readonly startValue: number;
    readonly endValue: number;
    readonly samples: readonly (readonly number[])[];
    readonly weights: readonly number[];
  }[];
}

/**
 * @param type which of the sample types the weights are of, by its index.
 * @param name what the viewer shows as the title.
 */
export function speedscopeFile({ types, samples }: Stacks, type: number, name: string): SpeedscopeFile {
  const indexes = new Map<Frame, number>();
  const indexOf = (frame: Frame): number => {
    const known = indexes.get(frame);
    if (known !== undefined) return known;
    indexes.set(frame, indexes.size);
    return indexes.size - 1;
  };
  const shown = samples
    .map(({ frames, values }) => ({ frames, weight: values[type] ?? 0 }))
    .filter(({ weight }) => weight > 0)
    .sort((a, b) => b.weight - a.weight);
  const stacks = shown.map(({ frames }) => frames.map(indexOf));
  const { type: typeName = "", unit = "" } = types[type] ?? {};
  return {
    $schema: "https://www.speedscope.app/file-format-schema.json",
    exporter: "sluice",
    name,
    shared: {
      frames: [...indexes.keys()].map(({ name, file, line }) => ({
        name,
        ...(file === "" ? {} : { file }),
        ...(line === 0 ? {} : { line }),
      })),
    },
    profiles: [
      {
        type: "sampled",
        name: `${name} (${typeName})`,
        unit: UNITS[unit] ?? "none",
        startValue: 0,
        endValue: shown.reduce((sum, { weight }) => sum + weight, 0),
        samples: stacks,
        weights: shown.map(({ weight }) => weight),
      },
    ],
  };
}
