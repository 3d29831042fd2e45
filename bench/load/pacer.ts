// Decides when a free caller sends its next request.
//
// Closed loop: at once, so the load is what the server can take. Open loop: at fixed times, whatever the server does, and a
// request's latency counts from when it was due; otherwise a server that stalls would stop the clock on itself (coordinated
// omission). Due times that find no free caller wait here.
//
// Free callers take turns, so an open loop uses all of its connections and streams alike, however few requests are on their
// way at a time. And requests leave one by one: a timer's resolution of a millisecond would send what is due in bursts, and
// then the size of the bursts decides what a request costs the server. Hence short sleeps between turns of the event loop, which
// is worth a part of a core; a spinning loop would take a whole one from the server. What is overdue, because the machine was
// busy with something else, leaves in as many turns, without sleeps between them.

import { Fifo } from "./fifo.ts";

const DUE_MAX = 100_000;
/** Answers are not seen while the loop sleeps, so this is also how much too late they may be stamped. */
const SLEEP_MS_MAX = 0.2;
/** The loop makes at least as many turns a second when it does not sleep. */
const TURNS_PER_S = 10_000;

/** Somebody who can have one request on its way. */
export interface Sender {
  /** @param dueMs when its latency begins, as `performance.now()` counts. */
  send(dueMs: number): void;
}

export class Pacer {
  readonly #intervalMs: number;
  /** Requests that leave in one turn: one, unless turns are fewer than requests. */
  readonly #perTurn: number;
  readonly #idle = new Fifo<Sender>();
  readonly #due = new Fifo<number>();
  readonly #never = new Int32Array(new SharedArrayBuffer(4));
  #nextDueMs = 0;
  #dropped = 0;
  #stopped = false;

  /** @param rate requests per second; 0: closed loop. */
  constructor(rate: number) {
    this.#intervalMs = rate === 0 ? 0 : 1000 / rate;
    this.#perTurn = Math.ceil(rate / TURNS_PER_S);
  }

  /** Due times that were given up because too many waited: the server is far below the rate. */
  get dropped(): number {
    return this.#dropped;
  }

  start(): void {
    if (this.#intervalMs === 0) return;
    this.#nextDueMs = performance.now();
    this.#tick();
  }

  stop(): void {
    this.#stopped = true;
  }

  /** The sender has nothing on its way any more. */
  free(sender: Sender): void {
    if (this.#stopped) return;
    if (this.#intervalMs === 0) return sender.send(performance.now());
    const dueMs = this.#due.shift();
    if (dueMs === undefined) this.#idle.push(sender);
    else sender.send(dueMs);
  }

  #tick(): void {
    if (this.#stopped) return;
    const now = performance.now();
    for (let sent = 0; sent < this.#perTurn && this.#nextDueMs <= now; sent++) {
      const sender = this.#idle.shift();
      if (sender !== undefined) sender.send(this.#nextDueMs);
      else if (this.#due.length < DUE_MAX) this.#due.push(this.#nextDueMs);
      else this.#dropped++;
      this.#nextDueMs += this.#intervalMs;
    }
    // Connections write at the end of the turn in which they were given something, so the sleep comes after that.
    setImmediate(() => this.#sleep());
  }

  #sleep(): void {
    if (this.#stopped) return;
    const ms = Math.min(this.#nextDueMs - performance.now(), SLEEP_MS_MAX);
    if (ms > 0) Atomics.wait(this.#never, 0, 0, ms);
    setImmediate(() => this.#tick());
  }
}
