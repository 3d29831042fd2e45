// The end of a turn of the event loop: every connection that has something to write writes it then, once.
//
// Kafka's answers settle batches of many connections in one turn, and clients' chunks bring many requests in another.
// Rejected: microtasks, which run after each socket's callback, so that what two brokers answer in one turn is written twice.

import type { Clock } from "../clock.ts";

export interface EndOfTurn {
  endTurn(): void;
}

/** Does the work; for whoever wants to know what it costs. */
export type Around = (work: () => void) => void;

export class Turn {
  readonly #clock: Clock;
  readonly #around: Around;
  #waiting: EndOfTurn[] = [];
  #spare: EndOfTurn[] = [];

  constructor(clock: Clock, around: Around = (work) => work()) {
    this.#clock = clock;
    this.#around = around;
  }

  /** Calls `endTurn` at the end of this turn. Call it once per turn. */
  schedule(who: EndOfTurn): void {
    if (this.#waiting.push(who) === 1) this.#clock.setImmediate(this.#run);
  }

  readonly #run = (): void => {
    const waiting = this.#waiting;
    this.#waiting = this.#spare;
    this.#spare = waiting;
    this.#around(this.#end);
    waiting.length = 0;
  };

  readonly #end = (): void => {
    for (const who of this.#spare) who.endTurn();
  };
}
