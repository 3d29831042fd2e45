// Folded stacks, one line a stack, as flamegraph.pl, inferno and most viewers read them:
//
//   line = frame *( ";" frame ) " " value      ; root first, the value a whole number above zero
//
// The format has no place for labels, units and signs: labels come in as frames (select.ts), the unit is that of the sample
// type, and what shrank is left out of a difference.

import { type Frame, type Stacks } from "./stacks.ts";

/** A frame in words, in every format for people: `burnCpu src/a.ts:12`. */
export function frameText({ name, file, line }: Frame): string {
  if (file === "") return name;
  return line === 0 ? `${name} ${file}` : `${name} ${file}:${line}`;
}

/** @param type which of the sample types the values are of, by its index. */
export function foldedText({ samples }: Stacks, type: number): string {
  const sums = new Map<string, number>();
  for (const { frames, values } of samples) {
    const stack = frames.map((frame) => frameText(frame).replaceAll(";", ":").replaceAll(/\s+/g, " "));
    const line = stack.join(";");
    sums.set(line, (sums.get(line) ?? 0) + (values[type] ?? 0));
  }
  const lines = [...sums].filter(([, value]) => value > 0).sort(([a], [b]) => (a < b ? -1 : 1));
  return lines.map(([stack, value]) => `${stack} ${Math.round(value)}\n`).join("");
}
