// What the load client writes down: every attempt when it is sent, and its outcome when that is known.
//
// A line of JSON each, written at once and by a process of its own, so that whatever is killed around it, the record says
// what had been acknowledged. An attempt without an outcome is one whose outcome nobody knows.

import { closeSync, createReadStream, openSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";

/** Names an attempt: the sender, its batch, and how often the batch had been sent before. */
interface Of {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly sender: number;
  readonly batch: number;
  readonly attempt: number;
}

export interface Sent extends Of {
  readonly kind: "sent";
  /** Counts the streams of the sender; the order of events is promised within one. -1: a unary call. */
  readonly stream: number;
  readonly topic: string;
  /** 1 REPLICATED, 2 PERSISTED. */
  readonly durability: number;
  /** Events of the whole batch. */
  readonly count: number;
  /** The events that are sent; absent: all. */
  readonly indices?: readonly number[];
}

/** Every event that was sent is stored but those that failed, each with the number of its reason. */
export interface Stored extends Of {
  readonly kind: "stored";
  readonly durability: number;
  readonly failed: readonly (readonly [index: number, reason: number])[];
  /** Where the stored ones lie, as the answer says. */
  readonly placed: readonly (readonly [partition: number, offset: number, count: number])[];
}

/** `refused`: nothing is stored. `unknown`: there was no answer. */
export interface Unanswered extends Of {
  readonly kind: "refused" | "unknown";
  /** The name of gRPC's code. */
  readonly code: string;
}

export type Line = Sent | Stored | Unanswered;

export class RecordWriter {
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, "a");
  }

  write(line: Line): void {
    writeSync(this.#file, `${JSON.stringify(line)}\n`);
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** The lines of a record in their order. A line that was cut off when the client was killed is left out. */
export async function* readRecord(path: string): AsyncGenerator<Line> {
  for await (const line of createInterface({ input: createReadStream(path) })) {
    if (line.endsWith("}")) yield JSON.parse(line) as Line;
  }
}
