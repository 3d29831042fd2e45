// The letters of a dead-letter log, read beside its owner or without one: no lock, nothing written.
//
// What was dropped is passed over. A marker that says so may lie behind the letter, or be gone with its segment, and then the
// checkpoint repeats it. So all entries are read first and the checkpoint after them: a marker that was deleted before it was
// read is in that checkpoint. Rejected: reading the checkpoint first, which would show letters that were dropped meanwhile.

import { readCheckpoint } from "./checkpoint.ts";
import { decodeDropped, EntryType } from "./entries.ts";
import type { FileSystem } from "./file-system.ts";
import { type DeadLetter, decodeLetter } from "./letter.ts";
import { findSegment } from "./segment-state.ts";
import { SegmentsReader } from "./segments-reader.ts";

/** A letter where it lies. */
export interface StoredLetter extends DeadLetter {
  /** Its number in its log. */
  readonly sequence: number;
}

/** A letter without its record batch. */
export interface LetterSummary extends Omit<StoredLetter, "bytes"> {
  /** Of the record batch. */
  readonly size: number;
}

export interface LetterList {
  /** The log's random id; empty if there is no letter. */
  readonly logId: Buffer;
  /** Oldest first. */
  readonly letters: readonly LetterSummary[];
}

/** What lies in a directory, without the record batches. */
export async function listDeadLetters(fs: FileSystem, dir: string): Promise<LetterList> {
  const reader = new SegmentsReader(fs, dir);
  const letters = new Map<number, LetterSummary>();
  const dropped = new Set<number>();
  try {
    for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
      if (entry.type === EntryType.LETTER) {
        const { bytes, ...head } = decodeLetter(entry.payload);
        const spoolId = Buffer.from(head.spoolId);
        letters.set(entry.sequence, { ...head, spoolId, sequence: entry.sequence, size: bytes.length });
      } else if (entry.type === EntryType.DROPPED) {
        for (const sequence of decodeDropped(entry.payload)) dropped.add(sequence);
      }
    }
  } finally {
    await reader.close();
  }
  const checkpoint = letters.size === 0 ? "missing" : await readCheckpoint(fs, dir);
  const isDone = (sequence: number): boolean => {
    if (dropped.has(sequence)) return true;
    if (typeof checkpoint === "string" || sequence > checkpoint.through) return false;
    // What the checkpoint does not list was done.
    return findSegment(checkpoint.segments, sequence)?.isDone(sequence) ?? true;
  };
  return { logId: reader.spoolId, letters: [...letters.values()].filter(({ sequence }) => !isDone(sequence)) };
}

/** The letters with these numbers, as far as they are there, oldest first. */
export async function* readLetters(
  fs: FileSystem,
  dir: string,
  wanted: ReadonlySet<number>,
): AsyncGenerator<StoredLetter, void, undefined> {
  const reader = new SegmentsReader(fs, dir);
  const left = new Set(wanted);
  try {
    while (left.size > 0) {
      const entry = await reader.next();
      if (entry === undefined) return;
      if (entry.type !== EntryType.LETTER || !left.delete(entry.sequence)) continue;
      yield { ...decodeLetter(Buffer.from(entry.payload)), sequence: entry.sequence };
    }
  } finally {
    await reader.close();
  }
}

/** Every letter of a directory, oldest first, with its record batch. */
export async function* readDeadLetters(fs: FileSystem, dir: string): AsyncGenerator<StoredLetter, void, undefined> {
  const { letters } = await listDeadLetters(fs, dir);
  yield* readLetters(fs, dir, new Set(letters.map(({ sequence }) => sequence)));
}
