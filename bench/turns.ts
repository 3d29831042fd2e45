// Lets load clients run in turns of some milliseconds, by stopping all but one of them.
//
// What a shared machine does to a load of three seconds it does not do to the next one: rounds of the same two processes differ by
// 6 %, turns of a quarter of a second, added up, by 3 %. A client that is stopped sends nothing, and its target has answered what
// was under way within a few milliseconds. What a target takes while others have their turns is not counted for it.

import { setTimeout as sleep } from "node:timers/promises";
import type { Child } from "../scripts/child.ts";
import { measureTree, threadsCpuSeconds } from "./process-tree.ts";

/** What a target may take to answer what is under way. */
const PAUSE_MS = 10;

/** A client, and the processes of its target. */
interface Player {
  readonly client: Child;
  readonly pids: readonly number[];
  /** What the target has taken in the client's turns. */
  cpuSeconds: number;
}

export class Turns implements AsyncDisposable {
  readonly #turnMs: number;
  readonly #players: Player[] = [];
  readonly #rotation: Promise<void>;
  #ended = false;

  constructor(turnMs: number) {
    this.#turnMs = turnMs;
    this.#rotation = this.#rotate();
  }

  /** Has a client wait for its turn; to be called when it has just been started. @param targetPid the root of its tree. */
  join(client: Child, targetPid: number): void {
    client.signal("SIGSTOP");
    this.#players.push({ client, pids: measureTree(targetPid).pids, cpuSeconds: 0 });
  }

  /** What a target has taken in the turns of its client. */
  cpuSeconds(targetPid: number): number {
    return this.#players.find(({ pids }) => pids[0] === targetPid)?.cpuSeconds ?? 0;
  }

  /** From then on all of them run. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    await this.#rotation;
    for (const { client } of this.#players) client.signal("SIGCONT");
  }

  async #rotate(): Promise<void> {
    for (let turn = 0; !this.#ended; turn++) {
      const running = this.#players.filter(({ client }) => client.runs);
      const player = running[turn % running.length];
      if (player === undefined) await sleep(PAUSE_MS);
      else await this.#play(player);
    }
  }

  async #play(player: Player): Promise<void> {
    const { client, pids } = player;
    const before = threadsCpuSeconds(pids);
    client.signal("SIGCONT");
    await sleep(this.#turnMs);
    client.signal("SIGSTOP");
    await sleep(PAUSE_MS);
    player.cpuSeconds += threadsCpuSeconds(pids) - before;
  }
}
