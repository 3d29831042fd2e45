// Virtual time: a heap of what will happen, and the loop that lets it happen, one thing after the other.
//
// Real time decides nothing. Between two events everything that promises, microtasks and process.nextTick bring along runs to
// its end: Node.js empties those queues before it comes to the next callback of its own, so one turn of the real event loop
// is enough, as long as nothing in the run waits for the real world.
//
// Invariants: events happen in the order of (time, when they were asked for); what belongs to a process that is gone never
// happens, and what belongs to one that is stopped happens when it goes on.

import { setImmediate as turn } from "node:timers/promises";

/** Whose an event is. */
export interface Owner {
  readonly alive: boolean;
  /** Nothing of it happens before. */
  readonly stoppedUntilMs: number;
}

/** The machines around the service: they neither stop nor die. */
export const WORLD: Owner = { alive: true, stoppedUntilMs: 0 };

export interface Scheduled {
  atMs: number;
  readonly order: number;
  readonly owner: Owner;
  cancelled: boolean;
  readonly act: () => void;
}

export class Scheduler {
  nowMs = 0;
  events = 0;
  /** Whose event is happening. */
  acting: Owner = WORLD;
  readonly #heap: Scheduled[] = [];
  #order = 0;

  /** @param atMs virtual time; what is past happens next. */
  at(atMs: number, owner: Owner, act: () => void): Scheduled {
    const event = { atMs: Math.max(atMs, this.nowMs), order: this.#order++, owner, cancelled: false, act };
    this.#push(event);
    return event;
  }

  after(delayMs: number, owner: Owner, act: () => void): Scheduled {
    return this.at(this.nowMs + delayMs, owner, act);
  }

  sleep(delayMs: number, owner: Owner = WORLD): Promise<void> {
    return new Promise((resolve) => {
      this.after(delayMs, owner, resolve);
    });
  }

  /** Lets things happen until the condition holds or virtual time gets there. */
  async run(untilMs: number, until: () => boolean = () => false): Promise<void> {
    await turn();
    while (!until()) {
      const event = this.#heap[0];
      if (event === undefined || event.atMs > untilMs) {
        this.nowMs = Math.max(this.nowMs, untilMs);
        return;
      }
      this.#pop();
      if (event.cancelled || !event.owner.alive) continue;
      if (event.owner.stoppedUntilMs > event.atMs) {
        event.atMs = event.owner.stoppedUntilMs;
        this.#push(event);
        continue;
      }
      this.nowMs = event.atMs;
      this.events++;
      this.acting = event.owner;
      event.act();
      await turn();
    }
  }

  #push(event: Scheduled): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent]!, event)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (isBefore(last, heap[child]!)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Scheduled, b: Scheduled): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
