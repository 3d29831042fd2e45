// Which letters lie in one dead-letter log now, and the gauges that tell of them.
//
// About a hundred bytes a letter, like the lanes of the spool; the letters themselves stay on disk.

import type { Metrics } from "../telemetry/metrics.ts";
import type { SegmentState } from "./segment-state.ts";

export interface IndexedLetter {
  readonly sequence: number;
  readonly segment: SegmentState;
  readonly topic: string;
  readonly events: number;
  /** On disk. */
  readonly bytes: number;
  /** When it was refused. */
  readonly atMs: number;
}

export class LetterIndex {
  readonly #metrics: Metrics;
  /** By sequence number, oldest first. */
  readonly #letters = new Map<number, IndexedLetter>();
  #events = 0;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  /** Events of all letters. */
  get events(): number {
    return this.#events;
  }

  /** Infinity if there is none. */
  get oldestAtMs(): number {
    for (const { atMs } of this.#letters.values()) return atMs;
    return Infinity;
  }

  get(sequence: number): IndexedLetter | undefined {
    return this.#letters.get(sequence);
  }

  add(letter: IndexedLetter): void {
    this.#letters.set(letter.sequence, letter);
    this.#account(letter, 1);
  }

  remove(letter: IndexedLetter): void {
    if (this.#letters.delete(letter.sequence)) this.#account(letter, -1);
  }

  /** Takes all letters off the gauges: the log is closed. */
  clear(): void {
    for (const letter of this.#letters.values()) this.#account(letter, -1);
    this.#letters.clear();
  }

  #account({ topic, events, bytes }: IndexedLetter, sign: 1 | -1): void {
    this.#events += sign * events;
    this.#metrics.deadLetters.with(topic).inc(sign * events);
    this.#metrics.deadLetterBytes.with(topic).inc(sign * bytes);
  }
}
