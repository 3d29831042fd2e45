// Those who wait until a part has nothing under way, each no longer than until its own deadline. What `drain` is made of.

import type { Clock } from "./clock.ts";

export class IdleWaiters {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Does anybody wait? Worth asking before finding out whether the part is idle. */
  get any(): boolean {
    return this.#waiting.size > 0;
  }

  /** Resolves at the next `release`, or at the deadline. @param deadlineMs milliseconds since the epoch. */
  async wait(deadlineMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#clock.clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = this.#clock.setTimeout(done, Math.max(0, deadlineMs - this.#clock.now()));
      this.#waiting.add(done);
    });
  }

  /** The part is idle. */
  release(): void {
    for (const done of this.#waiting) done();
  }
}
