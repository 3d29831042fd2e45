// The run before this one, if it ended badly, and what it left for a bundle besides profiles and history: the files that a living
// supervisor would have taken from itself.

import type { Words } from "./last-words.ts";
import type { PastRun } from "./run-marker.ts";
import { type Attachment, CONFIG, fileOf, LEDGER, LOG, logFile, VERSIONS } from "./sources.ts";

/** @returns the files; none of an incident of an even earlier run. @param atMs when the incident happened. */
export function leftBehind(run: PastRun | undefined, words: Words | undefined, atMs: number): readonly Attachment[] {
  if (run === undefined || atMs < run.startedAtMs) return [];
  const { versions, config } = run;
  const found: Attachment[] = [];
  if (words?.startedAtMs === run.startedAtMs) {
    if (words.lines.length > 0) found.push({ name: LOG, content: logFile(words.lines) });
    found.push({ name: LEDGER, content: fileOf(words.ledger) });
  }
  if (versions !== undefined) found.push({ name: VERSIONS, content: fileOf(versions) });
  if (config !== undefined) found.push({ name: CONFIG, content: fileOf(config) });
  return found;
}
