// What became of batches and is not on disk yet.
//
// A marker waits for a group of batches to share its sync, or for a moment; a crash before that sends the batch again. Many
// batches share one FORWARDED entry, and what is about deleted segments is never written.

import {
  type DeadLettered,
  encodeDeadLettered,
  encodeForwarded,
  EntryType,
  FORWARDED_PER_ENTRY_MAX,
} from "./entries.ts";

/** Appends one entry, and calls back if it could not be written. */
export type AppendMarker = (type: EntryType, head: Buffer, failed: () => void) => void;

export class Markers {
  #forwarded: number[] = [];
  #deadLettered: DeadLettered[] = [];

  get waiting(): boolean {
    return this.#forwarded.length > 0 || this.#deadLettered.length > 0;
  }

  forwarded(batch: number): void {
    this.#forwarded.push(batch);
  }

  deadLettered(batch: number, events: number): void {
    this.#deadLettered.push({ batch, events });
  }

  /**
   * Appends what waits. What fails waits again.
   *
   * @param wanted is a marker about this batch of use?
   */
  appendAll(wanted: (batch: number) => boolean, append: AppendMarker): void {
    const forwarded = this.#forwarded.filter(wanted);
    const deadLettered = this.#deadLettered.filter(({ batch }) => wanted(batch));
    this.#forwarded = [];
    this.#deadLettered = [];
    for (let at = 0; at < forwarded.length; at += FORWARDED_PER_ENTRY_MAX) {
      const batches = forwarded.slice(at, at + FORWARDED_PER_ENTRY_MAX);
      append(EntryType.FORWARDED, encodeForwarded(batches), () => {
        for (const batch of batches) this.#forwarded.push(batch);
      });
    }
    for (const marker of deadLettered) {
      append(EntryType.DEAD_LETTERED, encodeDeadLettered(marker), () => this.#deadLettered.push(marker));
    }
  }
}
