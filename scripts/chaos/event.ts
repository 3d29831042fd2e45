// An event that tells its own identity: who sent it, in which of its batches, at which place, at which attempt.
//
// Key and value follow from the identity, so whoever reads an event back knows what it has to look like, and the record of
// what was sent need not hold it.

import type { EventInit } from "../../src/client/index.ts";

export interface EventId {
  readonly sender: number;
  readonly batch: number;
  /** Its place in the batch, which it keeps when only a part of the batch is sent again. */
  readonly index: number;
}

/** Keys of a sender. Few, so that each holds many events whose order can be judged. */
const KEYS = 8;
const PADDING = "0123456789abcdef".repeat(16);

/** No other sender uses the key, so that all its events come over one stream. Every tenth event has none. */
export function keyOf({ sender, batch, index }: EventId): string | null {
  const n = batch * 7 + index;
  return n % 10 === 9 ? null : `s${sender}-k${n % KEYS}`;
}

export function valueOf(run: string, { sender, batch, index }: EventId, attempt: number): string {
  return `${run}/${sender}/${batch}/${index}/${attempt}/${PADDING.slice(0, (batch * 31 + index * 17) % 256)}`;
}

export function eventOf(run: string, id: EventId, attempt: number): EventInit {
  return { key: keyOf(id), value: valueOf(run, id, attempt) };
}

/** The identity in the key and value of a record, or undefined if no event of this run looks like that. */
export function identify(run: string, key: string | null, value: string | null): EventId | undefined {
  const [ofRun, ...numbers] = (value ?? "").split("/", 5);
  const [sender = -1, batch = -1, index = -1, attempt = -1] = numbers.map(Number);
  const id = { sender, batch, index };
  return ofRun === run && value === valueOf(run, id, attempt) && key === keyOf(id) ? id : undefined;
}
