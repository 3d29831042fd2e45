// Time comes through the constructor, so that tests and simulations can own it.
//
// Reading a clock costs 50 ns and, with cold caches, up to twice as much, and one read from a socket brings dozens of requests that
// ask several times each. They take the time at which their callback of the event loop first asked (`recentNow`, `recentMonotonic`):
// that is when their bytes came, or nearly. It is forgotten in a microtask, which runs before the next callback. Rejected: the end of
// the turn, since a turn reads many sockets, and bytes would seem to have come before they did.

export interface Timer {
  /** Lets the process end while this timer is pending. */
  unref?(): unknown;
}

export interface Clock {
  /** Wall time, in milliseconds since the epoch. */
  now(): number;
  /** Time that never goes back, in milliseconds since any fixed point; for durations. */
  monotonic(): number;
  /** What `now` was at some moment of this callback of the event loop: for what every request asks. */
  recentNow(): number;
  /** The same of `monotonic`; what is measured from it to `monotonic` is never negative, the other way it may be. */
  recentMonotonic(): number;
  setTimeout(callback: () => void, delayMs: number): Timer;
  clearTimeout(timer: Timer): void;
  /** Runs the callback at the end of this turn of the event loop. */
  setImmediate(callback: () => void): void;
}

let recentNow: number | undefined;
let recentMonotonic: number | undefined;

function forget(): void {
  recentNow = undefined;
  recentMonotonic = undefined;
}

const RESOLVED = Promise.resolve();

/** Cheaper than `queueMicrotask`, which makes an asynchronous resource each time. */
function forgetAfterCallback(): void {
  if (recentNow === undefined && recentMonotonic === undefined) void RESOLVED.then(forget);
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  recentNow: () => {
    if (recentNow !== undefined) return recentNow;
    forgetAfterCallback();
    return (recentNow = Date.now());
  },
  recentMonotonic: () => {
    if (recentMonotonic !== undefined) return recentMonotonic;
    forgetAfterCallback();
    return (recentMonotonic = performance.now());
  },
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => {
    clearTimeout(timer as NodeJS.Timeout);
  },
  setImmediate: (callback) => {
    setImmediate(callback);
  },
};
