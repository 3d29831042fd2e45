// What every long-lived part promises, so that the composition root can start and end all of them alike.

/**
 * A part with a life of its own. All methods are idempotent, and `drain` and `dispose` are safe without `start`.
 *
 * - `start` resolves when the part can do its work, and rejects if it never will; nothing is left open then.
 * - `drain` takes no new work, finishes what it has, and resolves when that is done or at the deadline, whichever is first.
 * - `dispose` releases sockets, files and timers, finished or not. It never throws for work that was left.
 */
export interface Component {
  start(): Promise<void>;
  /** @param deadlineMs milliseconds since the epoch, as `Clock.now()` counts. */
  drain(deadlineMs: number): Promise<void>;
  dispose(): Promise<void>;
}
