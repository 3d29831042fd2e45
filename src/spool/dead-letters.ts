// Where events go that were acknowledged as PERSISTED and that Kafka refuses for good.
//
// The same segments as the spool's, in a directory of their own: a letter is written in a group, synced, and only then may
// the batch be marked as dead-lettered. Rejected: keeping such batches in the spool with a flag; one poison batch would hold
// its segment, and the oldest age would alarm for ever.
//
// Nothing is trimmed here: a letter stays until an operator deals with it.

import type { IngestError } from "../errors.ts";
import type { Component } from "../lifecycle.ts";
import { EntryType } from "./entries.ts";
import type { FileSystem } from "./file-system.ts";
import { type DeadLetter, decodeLetter, encodeLetterHead } from "./letter.ts";
import { SegmentLog, type SpoolDependencies } from "./segment-log.ts";
import { SegmentKind } from "./segment.ts";
import { SegmentsReader } from "./segments-reader.ts";

export interface DeadLettersOptions {
  /** An absolute path; created if need be. */
  readonly dir: string;
  readonly segmentBytes: number;
}

export class DeadLetters implements Component {
  readonly #segments: SegmentLog;

  constructor(dependencies: SpoolDependencies, options: DeadLettersOptions) {
    this.#segments = new SegmentLog(dependencies, { ...options, kind: SegmentKind.DEAD_LETTERS });
  }

  /** @throws IngestError FAILED_PRECONDITION if another process holds the directory, or it cannot be worked in. */
  async start(): Promise<void> {
    await this.#segments.open(() => {});
  }

  /** Resolves when the letter is synced; rejects with a retryable IngestError if it could not be written. */
  append(letter: DeadLetter): Promise<void> {
    return new Promise<void>((resolve, reject: (error: IngestError) => void) => {
      this.#segments.append(EntryType.LETTER, encodeLetterHead(letter), letter.bytes, {
        synced: () => resolve(),
        failed: reject,
      });
    });
  }

  async drain(): Promise<void> {
    await this.#segments.flush();
  }

  async dispose(): Promise<void> {
    await this.#segments.close();
  }
}

/** Every letter of a directory, oldest first, beside a running service or without one. */
export async function* readDeadLetters(fs: FileSystem, dir: string): AsyncGenerator<DeadLetter> {
  const reader = new SegmentsReader(fs, dir);
  try {
    for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
      if (entry.type === EntryType.LETTER) yield decodeLetter(Buffer.from(entry.payload));
    }
  } finally {
    await reader.close();
  }
}
