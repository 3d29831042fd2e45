// What test files that share a process must leave as they found it. A file that does not fails, by its name.

import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";

/** Not "exit": what logs keep there goes when they are collected. */
const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "message", "disconnect"];
/** As process.getActiveResourcesInfo() calls them: what keeps a process from ending. */
const HELD = /^(TCP|TLS|UDP|Pipe|Process|Worker|MessagePort|HTTP2|FSEvent|StatWatcher)/;
/** A socket is told to close at the end of a test, and has closed some turns of the event loop later. */
const CLOSING_MS = 2_000;

interface State {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
  readonly exitCode: typeof process.exitCode;
  readonly listeners: readonly string[];
  readonly globals: readonly unknown[];
}

function read(): State {
  return {
    environment: { ...process.env },
    directory: process.cwd(),
    exitCode: process.exitCode,
    listeners: SIGNALS.map((name) => `${name}: ${process.listenerCount(name)}`),
    globals: [Date, Date.now, Math.random, setTimeout, setInterval, setImmediate, fetch],
  };
}

function held(): string[] {
  return process.getActiveResourcesInfo().filter((name) => HELD.test(name));
}

export class ProcessState {
  readonly #state = read();
  readonly #held = held().length;

  /**
   * @param closingMs how long what is closing may take.
   * @throws AssertionError that shows what has changed, or what is open still.
   */
  async assertSame(closingMs: number = CLOSING_MS): Promise<void> {
    const now = read();
    for (const key of Object.keys(now) as (keyof State)[]) {
      assert.deepEqual(now[key], this.#state[key], `the file shares its process, and has changed its ${key}`);
    }
    for (const untilMs = performance.now() + closingMs; held().length > this.#held; await turn()) {
      if (performance.now() > untilMs)
        assert.fail(`the file shares its process, and leaves open: ${held().join(", ")}`);
    }
  }
}
