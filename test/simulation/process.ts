// One process of the service, as far as the world can take hold of it: its clock, and its end.

import type { Clock, Timer } from "../../src/clock.ts";
import type { Chance } from "../kafka/support/random.ts";
import type { Owner, Scheduled, Scheduler } from "./scheduler.ts";

/** The wall time at the beginning of a run, in milliseconds since the epoch. */
export const EPOCH_MS = 1_790_000_000_000;

/** `killed`: the system goes on, and tidies up behind it. `power cut`: the machine is gone with it. */
export type ProcessEnd = "killed" | "power cut";

export class SimulatedProcess implements Owner {
  readonly name: string;
  readonly clock: Clock;
  alive = true;
  stoppedUntilMs = 0;
  readonly #scheduler: Scheduler;
  readonly #onEnd: ((how: ProcessEnd) => void)[] = [];

  constructor(name: string, scheduler: Scheduler, chance: Chance) {
    this.name = name;
    this.#scheduler = scheduler;
    this.clock = processClock(this, scheduler, chance);
  }

  after(delayMs: number, act: () => void): Scheduled {
    return this.#scheduler.after(delayMs, this, act);
  }

  /** Never resolves if the process ends before. */
  sleep(delayMs: number): Promise<void> {
    return this.#scheduler.sleep(delayMs, this);
  }

  /** It stands still for so long, as with SIGSTOP. */
  stop(ms: number): void {
    // What is held back already must not be overtaken by what comes later.
    this.stoppedUntilMs = Math.max(this.stoppedUntilMs, this.#scheduler.nowMs + ms);
  }

  /** Called once when the process ends, however it does. */
  onEnd(act: (how: ProcessEnd) => void): void {
    this.#onEnd.push(act);
  }

  /** Nothing of it happens from now on. */
  end(how: ProcessEnd): void {
    if (!this.alive) return;
    this.alive = false;
    for (const act of this.#onEnd) act(how);
  }
}

function processClock(owner: SimulatedProcess, scheduler: Scheduler, chance: Chance): Clock {
  const startedAtMs = scheduler.nowMs;
  let lastImmediateMs = 0;
  const now = () => EPOCH_MS + Math.floor(scheduler.nowMs);
  const monotonic = () => scheduler.nowMs - startedAtMs;
  return {
    now,
    monotonic,
    // No time passes within an event.
    recentNow: now,
    recentMonotonic: monotonic,
    setTimeout: (callback, delayMs) => {
      if (!(delayMs >= 0 && delayMs < 2 ** 31)) throw new RangeError(`${delayMs} ms is no delay that a timer can have`);
      // Like Node's: never in the millisecond in which they are set, never early, and now and then late.
      const lateMs = chance.hit(0.05) ? chance.next() * 20 : chance.next() * 0.2;
      return scheduler.after(Math.max(1, delayMs) + lateMs, owner, callback) as unknown as Timer;
    },
    clearTimeout: (timer) => {
      (timer as unknown as Scheduled).cancelled = true;
    },
    setImmediate: (callback) => {
      // In the order in which they were asked for; sockets and files may come in between.
      lastImmediateMs = Math.max(lastImmediateMs, scheduler.nowMs + chance.next() * 0.05);
      scheduler.at(lastImmediateMs, owner, callback);
    },
  };
}
