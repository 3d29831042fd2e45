// What a process that dies of an exception says last: a file beside its slices, which the supervisor puts into the incident.
//
// It is written synchronously, from an event that only watches: Node.js prints the error and exits as it would have without.
// Rejected: telling the supervisor over the channel, because a message that waits in a dying process may never leave it.
//
// Invariants: nothing here throws into a process that dies already. An error's message may quote what a client sent: quoted
// text is left out, and the rest has a bound. The stack is functions and lines.

import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";

const MESSAGE_CHARS_MAX = 500;
const FRAMES_MAX = 50;
/** Reports that nobody took. */
const FILES_MAX = 4;
/** An older one is of another process that had the same id. */
const AGE_MAX_MS = 60_000;
const PREFIX = "crash-";

/** An error as it may be kept. */
export interface ToldError {
  readonly type: string;
  readonly message: string;
  /** Lines that begin with `at`. */
  readonly frames: readonly string[];
}

export interface CrashReport {
  /** In milliseconds since the epoch. */
  readonly atMs: number;
  readonly error: ToldError;
  /** Of the log, those that the supervisor may not have. */
  readonly lines: readonly string[];
}

export interface FoundCrash extends CrashReport {
  /** Removes the file; whoever has the content in safety calls it. */
  remove(): Promise<void>;
}

/** @param thrown is anything. */
export function toldError(thrown: unknown): ToldError {
  if (!(thrown instanceof Error)) return { type: typeof thrown, message: "what was thrown is no Error", frames: [] };
  const unquoted = thrown.message.replace(/"[^"]*"?|'[^']{2,}'|`[^`]*`/g, "…");
  const message = unquoted.length > MESSAGE_CHARS_MAX ? `${unquoted.slice(0, MESSAGE_CHARS_MAX)}…` : unquoted;
  // The message comes first in the stack, and may have lines of its own.
  const stack = String(thrown.stack);
  const after = stack.slice(stack.indexOf(thrown.message) + thrown.message.length);
  const frames = after.split("\n").filter((line) => /^\s+at /.test(line));
  return { type: thrown.name, message, frames: frames.slice(0, FRAMES_MAX).map((line) => line.trim()) };
}

/** The error for people. */
export function crashText({ type, message, frames }: ToldError): string {
  return `${[`${type}: ${message}`, ...frames.map((frame) => `    ${frame}`)].join("\n")}\n`;
}

/** Leaves a report of this process in `dir`. Throws the disk's error. */
export function writeCrash(dir: string, report: CrashReport): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const old = readdirSync(dir)
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => ({ path: join(dir, name), atMs: statSync(join(dir, name)).mtimeMs }))
    .sort((a, b) => b.atMs - a.atMs);
  for (const { path } of old.slice(FILES_MAX - 1)) rmSync(path, { force: true });
  const path = join(dir, `${PREFIX}${process.pid}.json`);
  writeFileSync(`${path}.tmp`, JSON.stringify(report), { mode: 0o600 });
  renameSync(`${path}.tmp`, path);
}

function isCrashReport(value: unknown): value is CrashReport {
  if (typeof value !== "object" || value === null) return false;
  const { atMs, error, lines } = value as Partial<CrashReport>;
  const areTexts = (texts: unknown) => Array.isArray(texts) && texts.every((text) => typeof text === "string");
  return (
    typeof atMs === "number" &&
    typeof error === "object" &&
    error !== null &&
    typeof error.type === "string" &&
    typeof error.message === "string" &&
    areTexts(error.frames) &&
    areTexts(lines)
  );
}

/** What the process with that id, which has just ended, left in `dir`. Never rejects. */
export async function findCrash(
  dir: string,
  pid: number | undefined,
  endedMs: number,
): Promise<FoundCrash | undefined> {
  const found = await read(join(dir, `${PREFIX}${pid}.json`));
  return found !== undefined && Math.abs(endedMs - found.atMs) <= AGE_MAX_MS ? found : undefined;
}

/** What processes of earlier runs left in `dir` and nobody took, oldest first. @param beforeMs when this run began. Never rejects. */
export async function findPastCrashes(dir: string, beforeMs: number): Promise<FoundCrash[]> {
  const names = (await readdir(dir).catch(() => [])).filter(
    (name) => name.startsWith(PREFIX) && name.endsWith(".json"),
  );
  const found = await Promise.all(names.map((name) => read(join(dir, name))));
  return found
    .filter((crash) => crash !== undefined)
    .filter(({ atMs }) => atMs < beforeMs)
    .sort((a, b) => a.atMs - b.atMs);
}

/** Undefined if there is no whole report. */
async function read(path: string): Promise<FoundCrash | undefined> {
  try {
    const report: unknown = JSON.parse(await readFile(path, "utf8"));
    return isCrashReport(report) ? { ...report, remove: () => rm(path, { force: true }).catch(() => {}) } : undefined;
  } catch {
    return undefined;
  }
}
