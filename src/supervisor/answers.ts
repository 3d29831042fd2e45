// Questions to a process that are not answered yet: each is settled once, by the process, by its death, or by its deadline.

import type { Clock, Timer } from "../clock.ts";

interface Question<T> {
  readonly resolve: (answer: T) => void;
  readonly reject: (error: Error) => void;
  readonly timer: Timer;
}

export class Answers<T> {
  readonly #clock: Clock;
  readonly #open = new Map<number, Question<T>>();
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param send sends the question with the id that its answer comes back with. */
  ask(timeoutMs: number, send: (id: number) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      const id = this.#count++;
      const timer = this.#clock.setTimeout(() => {
        this.reject(id, `it did not answer within ${timeoutMs / 1000} s`);
      }, timeoutMs);
      this.#open.set(id, { resolve, reject, timer });
      send(id);
    });
  }

  resolve(id: number, answer: T): void {
    this.#take(id)?.resolve(answer);
  }

  reject(id: number, message: string): void {
    this.#take(id)?.reject(new Error(message));
  }

  rejectAll(message: string): void {
    for (const id of this.#open.keys()) this.reject(id, message);
  }

  #take(id: number): Question<T> | undefined {
    const question = this.#open.get(id);
    if (question === undefined) return undefined;
    this.#open.delete(id);
    this.#clock.clearTimeout(question.timer);
    return question;
  }
}
