// A clock whose time goes on only when a test says so. What is due at the end of a turn runs in a real one.

import type { Clock, Timer } from "../../../src/clock.ts";

interface Entry {
  readonly atMs: number;
  readonly callback: () => void;
  unref?(): void;
}

export class ManualClock implements Clock {
  #nowMs = 1_700_000_000_000;
  #timers: Entry[] = [];

  now(): number {
    return this.#nowMs;
  }

  monotonic(): number {
    return this.#nowMs;
  }

  recentNow(): number {
    return this.now();
  }

  recentMonotonic(): number {
    return this.monotonic();
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const timer: Entry = { atMs: this.#nowMs + delayMs, callback };
    this.#timers.push(timer);
    return timer;
  }

  clearTimeout(timer: Timer): void {
    this.#timers = this.#timers.filter((each) => each !== timer);
  }

  setImmediate(callback: () => void): void {
    setImmediate(callback);
  }

  /** Lets time pass, and runs what becomes due, each in a turn of its own. */
  async advance(ms: number): Promise<void> {
    const end = this.#nowMs + ms;
    for (;;) {
      const due = this.#timers.filter((timer) => timer.atMs <= end).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      this.clearTimeout(due);
      due.callback();
      await settle();
    }
    this.#nowMs = end;
    await settle();
  }
}

/** Lets everything run that does not wait for time. */
export async function settle(turns = 20): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
}
