// A profile for eyes, what Go's `debug=1` is: the heaviest functions, then the stacks, heaviest first.
//
//   cpu of 12.31 s, 1224 stacks; lasted 30.00 s from 2026-01-01T00:00:00.000Z
//   types: sample/count wall/nanoseconds cpu/nanoseconds
//
//        flat  flat%         cum   cum%
//      2.10 s  17.1%      2.40 s  19.5%  burnCpu src/a.ts:12
//
//   1.20 s (9.7%) @ worker=0 topic=clicks
//   #  burnCpu src/a.ts:12
//   #  handle src/b.ts:3

import type { Profile } from "pprof-format";
import { frameText } from "./folded.ts";
import { type Frame, type Stacks, stacksOf } from "./stacks.ts";

const FUNCTIONS_MAX = 50;
const STACKS_MAX = 500;
const NANOSECONDS: Readonly<Record<string, number>> = {
  nanoseconds: 1,
  microseconds: 1e3,
  milliseconds: 1e6,
  seconds: 1e9,
};
const KIB = 1024;

/** A value with its unit, in seconds or in bytes where it is time or size: `1.20 s`, `3.4 MiB`, `17`. */
export function quantity(value: number, unit: string): string {
  const nanos = NANOSECONDS[unit];
  if (nanos !== undefined) return `${((value * nanos) / 1e9).toFixed(2)} s`;
  if (unit !== "bytes") return String(value);
  const size = Math.abs(value);
  if (size >= KIB ** 3) return `${(value / KIB ** 3).toFixed(1)} GiB`;
  if (size >= KIB ** 2) return `${(value / KIB ** 2).toFixed(1)} MiB`;
  return size >= KIB ? `${(value / KIB).toFixed(1)} KiB` : `${value} B`;
}

export interface FunctionWeight {
  readonly frame: Frame;
  /** Of the function itself. */
  readonly flat: number;
  /** Of the function and of what it called. */
  readonly cumulative: number;
}

/**
 * What each function weighs, the heaviest by itself first; in a difference that is the one that changed most.
 * @param type which of the sample types, by its index.
 */
export function heaviestFunctions({ samples }: Stacks, type: number): FunctionWeight[] {
  const weights = new Map<Frame, { frame: Frame; flat: number; cumulative: number }>();
  const weightOf = (frame: Frame) => {
    const weight = weights.get(frame) ?? { frame, flat: 0, cumulative: 0 };
    weights.set(frame, weight);
    return weight;
  };
  for (const { frames, values } of samples) {
    const value = values[type] ?? 0;
    // A recursive function has called itself, but its time only once.
    for (const frame of new Set(frames)) weightOf(frame).cumulative += value;
    const leaf = frames.at(-1);
    if (leaf !== undefined) weightOf(leaf).flat += value;
  }
  return [...weights.values()].sort(
    (a, b) => Math.abs(b.flat) - Math.abs(a.flat) || Math.abs(b.cumulative) - Math.abs(a.cumulative),
  );
}

/** @param type which of the sample types, by its index. */
export function profileText(profile: Profile, type: number): string {
  const stacks = stacksOf(profile);
  const { type: name = "", unit = "" } = stacks.types[type] ?? {};
  const total = stacks.samples.reduce((sum, { values }) => sum + (values[type] ?? 0), 0);
  const magnitude = stacks.samples.reduce((sum, { values }) => sum + Math.abs(values[type] ?? 0), 0);
  const percent = (value: number) => `${((value / (magnitude || 1)) * 100).toFixed(1)}%`;
  const lasted = quantity(Number(profile.durationNanos), "nanoseconds");
  const from = new Date(Number(profile.timeNanos) / 1e6).toISOString();
  const comments = profile.comment.map((index) => `${profile.stringTable.strings[Number(index)]}\n`);
  const table = heaviestFunctions(stacks, type)
    .slice(0, FUNCTIONS_MAX)
    .map(({ frame, flat, cumulative }) => {
      const own = `${quantity(flat, unit).padStart(12)} ${percent(flat).padStart(7)}`;
      return `${own} ${quantity(cumulative, unit).padStart(12)} ${percent(cumulative).padStart(7)}  ${frameText(frame)}\n`;
    });
  const listed = stacks.samples
    .map(({ frames, labels, values }) => ({ frames, labels, value: values[type] ?? 0 }))
    .filter(({ value }) => value !== 0)
    .sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const entries = listed.slice(0, STACKS_MAX).map(({ frames, labels, value }) => {
    const tags = [...labels].map(([key, of]) => ` ${key}=${of}`).join("");
    const lines = frames.toReversed().map((frame) => `#  ${frameText(frame)}\n`);
    return `\n${quantity(value, unit)} (${percent(value)}) @${tags}\n${lines.join("")}`;
  });
  const rest = listed.length - entries.length;
  return [
    `${name} of ${quantity(total, unit)}, ${listed.length} stacks; lasted ${lasted} from ${from}\n`,
    `types: ${stacks.types.map((each) => `${each.type}/${each.unit}`).join(" ")}\n`,
    ...comments,
    `\n${"flat".padStart(12)} ${"flat%".padStart(7)} ${"cum".padStart(12)} ${"cum%".padStart(7)}\n`,
    ...table,
    ...entries,
    rest > 0 ? `\n${rest} lighter stacks are not shown\n` : "",
  ].join("");
}
