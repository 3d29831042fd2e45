// The files of a bundle that several parts of the service know by name, and what text files look like.

import type { Content } from "./bundle.ts";

export const LOG = "log.ndjson";
export const LEDGER = "ledger.json";
export const VERSIONS = "versions.json";
export const CONFIG = "config.json";

/** The heap of the process that is told of, or of all; of one that ran out of memory, as it was at its limit. */
export const HEAP = "heap.pb.gz";
export const PROFILE_BEFORE = "profile-before.pb.gz";
/** What a thread that never came back was seen doing. */
export const PROFILE_STUCK = "profile-stuck.pb.gz";
export const STACK = "stack.txt";
export const PROFILE_AFTER = "profile-after.pb.gz";

/** A file that came with the cause: what a dying process left. */
export interface Attachment {
  readonly name: string;
  readonly content: Content;
}

/** A value as a file of a bundle. */
export const fileOf = (value: unknown): string => `${JSON.stringify(value, undefined, 1)}\n`;

/** Lines of the log as a file of a bundle. */
export const logFile = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join("");
