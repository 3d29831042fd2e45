// The run before this one, if it ended badly, and what it left for a bundle besides profiles and history: the files that a living
// supervisor would have taken from itself.

import type { Words } from "./last-words.ts";
import type { PastRun } from "./run-marker.ts";
import { type Attachment, CONFIG, fileOf, LEDGER, LOG, logFile, VERSIONS } from "./files.ts";

/**
 * The files. Of an incident of an even earlier run there is nothing but what its process left itself.
 * @param atMs when the incident happened.
 * @param lines the last ones of the log of the process that it happened to, as far as it left them itself.
 */
export function leftBehind(
  run: PastRun | undefined,
  words: Words | undefined,
  atMs: number,
  lines: readonly string[] = [],
): readonly Attachment[] {
  const isOfRun = run !== undefined && atMs >= run.startedAtMs;
  const said = isOfRun && words?.startedAtMs === run.startedAtMs ? words : undefined;
  const log = [...new Set([...(said?.lines ?? []), ...lines])];
  const found: Attachment[] = log.length === 0 ? [] : [{ name: LOG, content: logFile(log) }];
  if (said !== undefined) found.push({ name: LEDGER, content: fileOf(said.ledger) });
  if (!isOfRun) return found;
  const { versions, config } = run;
  if (versions !== undefined) found.push({ name: VERSIONS, content: fileOf(versions) });
  if (config !== undefined) found.push({ name: CONFIG, content: fileOf(config) });
  return found;
}
