// The letters in DATA_DIR, over the logs of all workers, and which of them a command line means.

import { statSync } from "node:fs";
import { oneOf, text } from "../../config/kinds.ts";
import { type Config, loadConfig } from "../../config.ts";
import { Reason, reasonLabel } from "../../errors.ts";
import { type LetterSummary, listDeadLetters, readLetters } from "../../spool/dead-letter-reader.ts";
import { deadLettersDirectory, workerDirectories } from "../../spool/directories.ts";
import { nodeFileSystem } from "../../spool/file-system.ts";
import type { DeadLetter } from "../../spool/letter.ts";
import { formatLetterId, parseLetterId } from "../../spool/letter-id.ts";
import { printMistakes } from "../command.ts";
import { maybe, toggle } from "../flag.ts";
import { CliError, type CliIo, messageOf } from "../io.ts";
import { printable } from "../table.ts";

/** A letter and where it lies. */
export interface FoundLetter extends LetterSummary {
  readonly id: string;
  readonly worker: number;
  /** The directory of its log. */
  readonly dir: string;
  /** Its log's random id. */
  readonly logId: Buffer;
}

const REASONS = Object.values(Reason).map(reasonLabel);

/** The flags that choose letters by what they are. */
export const filterFlags = {
  topic: maybe(text("TOPIC", "the name of a topic"), "Only letters of this topic."),
  reason: maybe(
    { ...oneOf(...REASONS), placeholder: "REASON" },
    `Only letters that were refused for this reason: ${REASONS.join(", ")}.`,
  ),
};

export interface Filter {
  readonly topic: string | undefined;
  readonly reason: string | undefined;
}

/** The flags that choose letters, beside their ids. */
export const selectionFlags = { all: toggle("All letters, or all that the flags below leave."), ...filterFlags };

/** The configuration of the service, of which DATA_DIR and the addresses matter; undefined if mistakes were printed. */
export function readConfig(name: string, io: CliIo): Config | undefined {
  const loaded = loadConfig(io.env);
  if (loaded.ok) return loaded.config;
  printMistakes(io, `dead-letters ${name}`, loaded.errors);
  return undefined;
}

/** Every letter, the one that was refused first first. Throws a CliError if there is no DATA_DIR, or it cannot be read. */
export async function findLetters(dataDir: string): Promise<FoundLetter[]> {
  if (statSync(dataDir, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new CliError(`DATA_DIR: there is no directory ${dataDir}; give the one of the service`);
  try {
    const found: FoundLetter[] = [];
    for (const { worker, dir } of await workerDirectories(deadLettersDirectory(dataDir), nodeFileSystem)) {
      const { logId, letters } = await listDeadLetters(nodeFileSystem, dir);
      for (const letter of letters) {
        const id = formatLetterId({ worker, sequence: letter.sequence });
        found.push({ ...letter, id, worker, dir, logId });
      }
    }
    return found.sort((a, b) => a.atMs - b.atMs || a.worker - b.worker || a.sequence - b.sequence);
  } catch (cause) {
    throw new CliError(`the dead letters in ${dataDir} cannot be read: ${messageOf(cause)}`, { cause });
  }
}

export function filterLetters(letters: readonly FoundLetter[], { topic, reason }: Filter): FoundLetter[] {
  return letters.filter(
    (letter) =>
      (topic === undefined || letter.topic === topic) &&
      (reason === undefined || reasonLabel(letter.reason) === reason),
  );
}

/** The mistakes in what chooses letters, each as a line; none: it is right. */
export function selectionMistakes(ids: readonly string[], values: Filter & { readonly all: boolean }): string[] {
  const mistakes = ids
    .filter((id) => parseLetterId(id) === undefined)
    .map(
      (id) => `${JSON.stringify(id)} is not the id of a dead letter; give one as \`sluice dead-letters list\` shows it`,
    );
  if (ids.length === 0 && !values.all) mistakes.push("which letters? Give their ids, or --all");
  if (ids.length > 0 && values.all) mistakes.push("--all: ids are given as well; give one or the other");
  if (ids.length > 0 && (values.topic !== undefined || values.reason !== undefined))
    mistakes.push("--topic and --reason narrow --all down; give them without ids");
  return mistakes;
}

/** The letters that are meant. Throws a CliError that names the ids which are not there. */
export function selectLetters(
  letters: readonly FoundLetter[],
  ids: readonly string[],
  values: Filter & { readonly all: boolean },
): FoundLetter[] {
  if (values.all) return filterLetters(letters, values);
  const wanted = new Set(ids);
  const selected = letters.filter(({ id }) => wanted.has(id));
  for (const { id } of selected) wanted.delete(id);
  if (wanted.size > 0) {
    const which = [...wanted].join(", ");
    throw new CliError(
      `there is no dead letter ${which}; \`sluice dead-letters list\` shows those that are there, DATA_DIR says where`,
    );
  }
  return selected;
}

/** The letters with their record batches, log by log, oldest first; what was dropped meanwhile is passed over. */
export async function* withBatches(
  letters: readonly FoundLetter[],
): AsyncGenerator<{ readonly found: FoundLetter; readonly letter: DeadLetter }> {
  for (const [dir, those] of Map.groupBy(letters, (letter) => letter.dir)) {
    const bySequence = new Map(those.map((letter) => [letter.sequence, letter]));
    for await (const letter of readLetters(nodeFileSystem, dir, new Set(bySequence.keys())))
      yield { found: bySequence.get(letter.sequence)!, letter };
  }
}

export function totalEvents(letters: readonly FoundLetter[]): number {
  return letters.reduce((sum, { events }) => sum + events, 0);
}

/** `clicks/3`; the partition is left out where it was never known. */
export function placeOf({ topic, partition }: FoundLetter): string {
  return partition < 0 ? printable(topic) : `${printable(topic)}/${partition}`;
}
