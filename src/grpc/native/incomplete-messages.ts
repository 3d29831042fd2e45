// The incomplete messages of a worker, in the order in which they began: which of them takes too long, and which goes first
// when memory is short.
//
// One list and one timer, because a timer for each message would cost more than most messages do: nearly all are complete a
// moment later. The timer runs while there is something in the list, and once more at most.

import type { Clock, Timer } from "../../clock.ts";
import { LinkedList } from "../../linked-list.ts";
import type { PartialMessage } from "./partial-message.ts";

/** Younger ones are not ended to make room for others: their bytes are most likely on the wire. In milliseconds. */
const EVICTABLE_AGE_MS = 1_000;

export class IncompleteMessages {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #sweep = (): void => this.#endOld();
  /** Oldest first. */
  readonly #messages = new LinkedList<PartialMessage>();
  #timer: Timer | undefined;

  /** @param timeoutMs how long a message may take from its first byte to its last (GRPC_MESSAGE_TIMEOUT). */
  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  get empty(): boolean {
    return this.#messages.size === 0;
  }

  /** From now on the client is waited for. A message whose stream was paused meanwhile begins anew. */
  add(message: PartialMessage): void {
    message.sinceMs = this.#clock.monotonic();
    this.#messages.add(message);
    if (this.#timer === undefined) this.#arm(this.#timeoutMs);
  }

  /** It is complete, or given up, or its stream is paused. */
  remove(message: PartialMessage): void {
    this.#messages.remove(message);
  }

  /** Ends the call of the oldest message, if that is old enough and not the requester's. */
  evictOldest(requester: object): boolean {
    const oldest = this.#messages.first;
    if (oldest === undefined || oldest.owner === requester) return false;
    if (this.#clock.monotonic() - oldest.sinceMs <= EVICTABLE_AGE_MS) return false;
    this.remove(oldest);
    oldest.owner.evicted();
    return true;
  }

  dispose(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(delayMs: number): void {
    this.#timer = this.#clock.setTimeout(this.#sweep, delayMs);
    this.#timer.unref?.();
  }

  #endOld(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.monotonic();
    for (;;) {
      const oldest = this.#messages.first;
      if (oldest === undefined) return;
      const leftMs = oldest.sinceMs + this.#timeoutMs - nowMs;
      if (leftMs > 0) {
        // What its end has set off may have armed it.
        if (this.#timer === undefined) this.#arm(leftMs);
        return;
      }
      this.remove(oldest);
      oldest.owner.timedOut();
    }
  }
}
