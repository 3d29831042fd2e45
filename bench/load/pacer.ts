// Decides when a free caller sends its next request.
//
// Closed loop: at once, so the load is what the server can take. Open loop: at fixed times, whatever the server does, and a
// request's latency counts from when it was due; otherwise a server that stalls would stop the clock on itself (coordinated
// omission). Due times that find no free caller wait here.

const DUE_MAX = 100_000;
const TICK_MS = 1;

/** Somebody who can have one request on its way. */
export interface Sender {
  /** @param dueMs when its latency begins, as `performance.now()` counts. */
  send(dueMs: number): void;
}

export class Pacer {
  readonly #intervalMs: number;
  readonly #idle: Sender[] = [];
  /** Due times as a queue: `#due` from `#dueHead` on. */
  #due: number[] = [];
  #dueHead = 0;
  #nextDueMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #dropped = 0;
  #stopped = false;

  /** @param rate requests per second; 0: closed loop. */
  constructor(rate: number) {
    this.#intervalMs = rate === 0 ? 0 : 1000 / rate;
  }

  /** Due times that were given up because too many waited: the server is far below the rate. */
  get dropped(): number {
    return this.#dropped;
  }

  start(): void {
    if (this.#intervalMs === 0) return;
    this.#nextDueMs = performance.now();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }

  /** The sender has nothing on its way any more. */
  free(sender: Sender): void {
    if (this.#stopped) return;
    if (this.#intervalMs === 0) sender.send(performance.now());
    else if (this.#dueHead < this.#due.length) sender.send(this.#due[this.#dueHead++]!);
    else this.#idle.push(sender);
  }

  #tick(): void {
    const now = performance.now();
    if (this.#dueHead > DUE_MAX) {
      this.#due = this.#due.slice(this.#dueHead);
      this.#dueHead = 0;
    }
    for (; this.#nextDueMs <= now; this.#nextDueMs += this.#intervalMs) {
      const sender = this.#idle.pop();
      if (sender !== undefined) sender.send(this.#nextDueMs);
      else if (this.#due.length - this.#dueHead < DUE_MAX) this.#due.push(this.#nextDueMs);
      else this.#dropped++;
    }
  }
}
