// A series as one line of blocks: the highest value of each stretch of time, against the highest of all.
//
// Stretches begin at round times, so that what is drawn moves by whole columns and a peak keeps its height while it moves.

import type { Values } from "../../admin/live/model.ts";

const BLOCKS = "▁▂▃▄▅▆▇█";
const PARTS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"] as const;

/**
 * The last `seconds` of a series; blanks are what is not known.
 * @param t when each value was so, in milliseconds since the epoch, ascending.
 */
export function sparkline(t: readonly number[], values: Values, width: number, seconds: number): string {
  const lastMs = t.at(-1);
  if (lastMs === undefined || width <= 0) return " ".repeat(Math.max(0, width));
  const stepMs = Math.max(1, Math.ceil(seconds / width)) * 1000;
  const last = Math.floor(lastMs / stepMs);
  const peaks: (number | null)[] = Array.from({ length: width }, () => null);
  for (const [i, value] of values.entries()) {
    const column = width - 1 - (last - Math.floor(t[i]! / stepMs));
    if (value === null || column < 0) continue;
    peaks[column] = Math.max(peaks[column] ?? 0, value);
  }
  const top = Math.max(...peaks.map((peak) => peak ?? 0));
  return peaks
    .map((peak) => {
      if (peak === null) return " ";
      return BLOCKS[top === 0 ? 0 : Math.min(BLOCKS.length - 1, Math.floor((peak / top) * BLOCKS.length))];
    })
    .join("");
}

/** A share from 0 to 1 as a bar, in eighths of a character; as wide as it may be. */
export function bar(share: number, width: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * width * 8);
  return ("█".repeat(Math.floor(eighths / 8)) + PARTS[eighths % 8]).padEnd(width);
}
