// Time that only moves when a test says so.

import assert from "node:assert/strict";
import type { Clock, Timer } from "../../src/clock.ts";

interface FakeTimer extends Timer {
  readonly dueMs: number;
  readonly callback: () => void;
}

export class FakeClock implements Clock {
  readonly #startMs: number;
  readonly #timers = new Set<FakeTimer>();
  #immediates: (() => void)[] = [];
  #elapsedMs = 0;

  /** @param startMs the wall time at the beginning, in milliseconds since the epoch. */
  constructor(startMs = 1_700_000_000_000) {
    this.#startMs = startMs;
  }

  now(): number {
    return this.#startMs + this.#elapsedMs;
  }

  monotonic(): number {
    return this.#elapsedMs;
  }

  recentNow(): number {
    return this.now();
  }

  recentMonotonic(): number {
    return this.monotonic();
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    assert.ok(delayMs >= 0 && delayMs < 2 ** 31, `${delayMs} ms is no delay that a timer can have`);
    // Like Node's, timers never fire in the millisecond in which they are set.
    const timer: FakeTimer = { dueMs: this.#elapsedMs + Math.max(1, delayMs), callback };
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(timer: Timer): void {
    this.#timers.delete(timer as FakeTimer);
  }

  setImmediate(callback: () => void): void {
    this.#immediates.push(callback);
  }

  /** Timers that are pending. */
  get timers(): number {
    return this.#timers.size;
  }

  /** What is to run at the end of the turn. */
  get immediates(): number {
    return this.#immediates.length;
  }

  /** Ends the turn of the event loop: what was asked for until now runs, what that asks for runs in the next turn. */
  runImmediates(): void {
    const callbacks = this.#immediates;
    this.#immediates = [];
    for (const callback of callbacks) callback();
  }

  /** Lets time pass; each timer that falls due sees the time at which it is due, and a turn ends after each. */
  advance(ms: number): void {
    const untilMs = this.#elapsedMs + ms;
    this.runImmediates();
    for (;;) {
      const [next] = [...this.#timers].filter(({ dueMs }) => dueMs <= untilMs).sort((a, b) => a.dueMs - b.dueMs);
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#elapsedMs = Math.max(this.#elapsedMs, next.dueMs);
      next.callback();
      this.runImmediates();
    }
    this.#elapsedMs = untilMs;
  }
}
