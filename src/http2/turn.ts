// The end of a turn of the event loop: every connection that has something to write writes it then, once.
//
// Kafka's answers settle batches of many connections in one turn, and clients' chunks bring many requests in another.
// Rejected: microtasks, which run after each socket's callback, so that what two brokers answer in one turn is written twice.

import type { Clock } from "../clock.ts";

export interface EndOfTurn {
  endTurn(): void;
}

export class Turn {
  readonly #clock: Clock;
  #waiting: EndOfTurn[] = [];
  #spare: EndOfTurn[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `endTurn` at the end of this turn. Call it once per turn. */
  schedule(who: EndOfTurn): void {
    if (this.#waiting.push(who) === 1) this.#clock.setImmediate(this.#run);
  }

  readonly #run = (): void => {
    const waiting = this.#waiting;
    this.#waiting = this.#spare;
    this.#spare = waiting;
    for (const who of waiting) who.endTurn();
    waiting.length = 0;
  };
}
