// Log lines that others can cause, at a bounded rate: the first of a kind at once, then one every ten seconds at most, with the
// count of those that were left out. Without it, whoever attacks the server writes its log.

import type { Clock, Timer } from "../../clock.ts";
import type { Logger } from "../../telemetry/log.ts";

const INTERVAL_MS = 10_000;

interface Kind {
  leftOut: number;
  /** The last one that was left out. */
  last: (leftOut: number) => void;
  /** Until it ends, nothing of the kind is said. */
  timer: Timer;
}

export class Notices {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #kinds = new Map<string, Kind>();

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** @param kind one of few: each has a rate of its own. */
  warn(kind: string, fields: object, message: string): void {
    this.#say(kind, (leftOut) => {
      this.#log.warn({ ...fields, ...counted(leftOut) }, message);
    });
  }

  error(kind: string, fields: object, message: string): void {
    this.#say(kind, (leftOut) => {
      this.#log.error({ ...fields, ...counted(leftOut) }, message);
    });
  }

  dispose(): void {
    for (const { timer } of this.#kinds.values()) this.#clock.clearTimeout(timer);
    this.#kinds.clear();
  }

  #say(name: string, say: (leftOut: number) => void): void {
    const kind = this.#kinds.get(name);
    if (kind === undefined) {
      say(0);
      this.#kinds.set(name, { leftOut: 0, last: say, timer: this.#wait(name) });
    } else {
      kind.leftOut++;
      kind.last = say;
    }
  }

  #wait(name: string): Timer {
    const timer = this.#clock.setTimeout(() => this.#goOn(name), INTERVAL_MS);
    timer.unref?.();
    return timer;
  }

  #goOn(name: string): void {
    const kind = this.#kinds.get(name);
    if (kind === undefined) return;
    if (kind.leftOut === 0) {
      this.#kinds.delete(name);
      return;
    }
    // The line that is written now is one of them.
    kind.last(kind.leftOut - 1);
    kind.leftOut = 0;
    kind.timer = this.#wait(name);
  }
}

function counted(leftOut: number): object {
  return leftOut === 0 ? {} : { leftOut };
}
