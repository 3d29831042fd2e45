// Time comes through the constructor, so that tests and simulations can own it.

export interface Timer {
  /** Lets the process end while this timer is pending. */
  unref?(): unknown;
}

export interface Clock {
  /** Wall time, in milliseconds since the epoch. */
  now(): number;
  /** Time that never goes back, in milliseconds since any fixed point; for durations. */
  monotonic(): number;
  setTimeout(callback: () => void, delayMs: number): Timer;
  clearTimeout(timer: Timer): void;
  /** Runs the callback at the end of this turn of the event loop. */
  setImmediate(callback: () => void): void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => {
    clearTimeout(timer as NodeJS.Timeout);
  },
  setImmediate: (callback) => {
    setImmediate(callback);
  },
};
