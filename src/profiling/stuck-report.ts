// What the watchdog saw of a main thread that did not come back: a file that its thread writes, and that the supervisor reads.
//
// Names, files and lines only: what the functions were given is never looked at.
//
// This file imports nothing, because the thread loads it.

export interface StuckFrame {
  readonly name: string;
  /** As V8 has it: a file's URL, or a module's name (`node:…`). */
  readonly url: string;
  /** Where it is now, from 1 on. */
  readonly line: number;
  /** Where it begins, from 1 on. */
  readonly startLine: number;
}

export interface StuckReport {
  /** When the watchdog looked, in milliseconds since the epoch. */
  readonly atMs: number;
  /** For how long the main thread had not come back by then, in milliseconds. */
  readonly stuckMs: number;
  /** Time between two looks, in milliseconds. */
  readonly intervalMs: number;
  /** The stacks seen, the leaf first, with how often. None if the thread was outside of JavaScript. */
  readonly stacks: readonly { readonly frames: readonly StuckFrame[]; readonly count: number }[];
  /** What went wrong, as a sentence. */
  readonly problem?: string;
}

/** `stuck-<milliseconds since the epoch>.json` */
export const STUCK_FILE_PREFIX = "stuck-";

export function isStuckReport(value: unknown): value is StuckReport {
  if (typeof value !== "object" || value === null) return false;
  const { atMs, stuckMs, intervalMs, stacks } = value as Partial<Record<keyof StuckReport, unknown>>;
  return [atMs, stuckMs, intervalMs].every(isCount) && Array.isArray(stacks) && stacks.every(isStack);
}

function isStack(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { frames, count } = value as Readonly<Record<string, unknown>>;
  return isCount(count) && Array.isArray(frames) && frames.every(isFrame);
}

function isFrame(value: unknown): value is StuckFrame {
  if (typeof value !== "object" || value === null) return false;
  const { name, url, line, startLine } = value as Partial<Record<keyof StuckFrame, unknown>>;
  return typeof name === "string" && typeof url === "string" && isCount(line) && isCount(startLine);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER;
}
