// Lets load clients run in turns of some milliseconds, by stopping all but one of them.
//
// What a shared machine does to a load of three seconds it does not do to the next one: rounds of the same two processes differ by
// 6 %, turns of a quarter of a second, added up, by 3 %. A client that is stopped sends nothing, and its target has answered what
// was under way within a few milliseconds.

import { setTimeout as sleep } from "node:timers/promises";
import type { Child } from "../scripts/child.ts";

/** What a target may take to answer what is under way. */
const PAUSE_MS = 10;

export class Turns implements AsyncDisposable {
  readonly #turnMs: number;
  readonly #clients: Child[] = [];
  readonly #rotation: Promise<void>;
  #ended = false;

  constructor(turnMs: number) {
    this.#turnMs = turnMs;
    this.#rotation = this.#rotate();
  }

  /** Has it wait for its turn; to be called when it has just been started. */
  join(client: Child): void {
    client.signal("SIGSTOP");
    this.#clients.push(client);
  }

  /** From then on all of them run. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    await this.#rotation;
    for (const client of this.#clients) client.signal("SIGCONT");
  }

  async #rotate(): Promise<void> {
    for (let turn = 0; !this.#ended; turn++) {
      const running = this.#clients.filter((client) => client.runs);
      const client = running[turn % running.length];
      client?.signal("SIGCONT");
      await sleep(this.#turnMs);
      if (running.length < 2) continue;
      client?.signal("SIGSTOP");
      await sleep(PAUSE_MS);
    }
  }
}
