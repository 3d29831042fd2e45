// The deadlines of calls (grpc-timeout): a wheel with a coarse tick.
//
// Nearly every call ends long before its deadline, so setting one and taking it back are what has to be cheap: both are a few
// writes, and one timer ticks for all of them while there are any. A deadline is never early, and late by two ticks at most.
// Rejected: a timer for each call, which costs ten times as much, and a heap, whose removal is not O(1).

import type { Clock, Timer } from "../../clock.ts";

const TICK_MS = 10;
/** Slots of the wheel; a deadline further away than one turn is looked at once a turn. */
const SLOTS = 1024;

/** Whose deadline it is. */
export interface Expiring {
  expired(): void;
}

/** A deadline that is set; what there is to know of it is the wheel's. */
export class Deadline {
  readonly owner: Expiring;
  /** The tick at which it is over. */
  readonly tick: number;
  pending = true;
  previous: Deadline | undefined;
  next: Deadline | undefined;

  constructor(owner: Expiring, tick: number) {
    this.owner = owner;
    this.tick = tick;
  }
}

export class Deadlines {
  readonly #clock: Clock;
  readonly #onTick = (): void => this.#advance();
  /** The deadlines of each slot, as lists. */
  readonly #slots: (Deadline | undefined)[] = Array.from({ length: SLOTS }, () => undefined);
  #pending = 0;
  /** The last tick that was looked at. */
  #tick = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Deadlines that are set. */
  get pending(): number {
    return this.#pending;
  }

  /** @param timeoutMs from now on. */
  add(owner: Expiring, timeoutMs: number): Deadline {
    const nowMs = this.#clock.recentMonotonic();
    if (this.#timer === undefined) {
      this.#tick = Math.floor(nowMs / TICK_MS);
      this.#arm();
    }
    // A tick that was looked at already would come round again only after a whole turn.
    const tick = Math.max(Math.ceil((nowMs + timeoutMs) / TICK_MS), this.#tick + 1);
    const deadline = new Deadline(owner, tick);
    const first = this.#slots[tick % SLOTS];
    deadline.next = first;
    if (first !== undefined) first.previous = deadline;
    this.#slots[tick % SLOTS] = deadline;
    this.#pending++;
    return deadline;
  }

  /** Takes a deadline back; safe when it is over. */
  cancel(deadline: Deadline): void {
    if (!deadline.pending) return;
    deadline.pending = false;
    this.#pending--;
    if (deadline.previous === undefined) this.#slots[deadline.tick % SLOTS] = deadline.next;
    else deadline.previous.next = deadline.next;
    if (deadline.next !== undefined) deadline.next.previous = deadline.previous;
    deadline.previous = undefined;
    deadline.next = undefined;
  }

  dispose(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(): void {
    this.#timer = this.#clock.setTimeout(this.#onTick, TICK_MS);
    this.#timer.unref?.();
  }

  #advance(): void {
    const nowTick = Math.floor(this.#clock.monotonic() / TICK_MS);
    const expired: Deadline[] = [];
    // After a long turn of the event loop, every slot once.
    for (let tick = Math.max(this.#tick + 1, nowTick - SLOTS + 1); tick <= nowTick; tick++) {
      let deadline = this.#slots[tick % SLOTS];
      while (deadline !== undefined) {
        const { next } = deadline;
        if (deadline.tick <= nowTick) {
          this.cancel(deadline);
          expired.push(deadline);
        }
        deadline = next;
      }
    }
    this.#tick = nowTick;
    this.#timer = undefined;
    if (this.#pending > 0) this.#arm();
    // Last, because whoever is told may set and take back deadlines.
    for (const { owner } of expired) owner.expired();
  }
}
