// The seconds as they end, for all who watch.
//
// A second is put together once, however many watch, and not at all while nobody does. Who comes late, or comes back, gets what
// it has missed in its first message.

import type { LiveState } from "../state.ts";
import { type EventStream, messageText } from "./event-stream.ts";

export const WATCHERS_MAX = 16;

interface Watcher {
  readonly stream: Pick<EventStream, "closed" | "send" | "end" | "onClosed">;
  /** The end of the last second that it was told, in milliseconds since the epoch. */
  sinceMs: number;
}

export class LiveEvents {
  readonly #state: LiveState;
  readonly #watchers = new Set<Watcher>();
  #unwatch: (() => void) | undefined;

  constructor(state: LiveState) {
    this.#state = state;
  }

  /** Whether one more would be too many. */
  get full(): boolean {
    return this.#watchers.size >= WATCHERS_MAX;
  }

  /** @param sinceMs what it knows already, in milliseconds since the epoch. */
  add(stream: Watcher["stream"], sinceMs: number): void {
    const watcher: Watcher = { stream, sinceMs };
    this.#watchers.add(watcher);
    stream.onClosed(() => {
      this.#remove(watcher);
    });
    this.#unwatch ??= this.#state.watchLive(() => {
      this.#tell();
    });
    this.#tellOne(watcher, new Map());
  }

  /** Ends what all of them get, so that they know that it is over and nothing was cut off. */
  end(): void {
    for (const { stream } of this.#watchers) stream.end();
  }

  #remove(watcher: Watcher): void {
    this.#watchers.delete(watcher);
    if (this.#watchers.size > 0) return;
    this.#unwatch?.();
    this.#unwatch = undefined;
  }

  #tell(): void {
    const told = new Map<number, Told>();
    for (const watcher of this.#watchers) {
      if (watcher.stream.closed) this.#remove(watcher);
      else this.#tellOne(watcher, told);
    }
  }

  /** @param told what was put together already, by the time from which on it tells. */
  #tellOne(watcher: Watcher, told: Map<number, Told>): void {
    let message = told.get(watcher.sinceMs);
    if (message === undefined) {
      const snapshot = this.#state.live(watcher.sinceMs);
      if (snapshot.history.t.length === 0) {
        // Who knows everything is told when the next second ends. Who knows what is not yet has it from another clock, or from
        // before this one was set back, and would otherwise hear nothing until it has caught up.
        if (watcher.sinceMs <= snapshot.atMs) return;
        watcher.sinceMs = 0;
        this.#tellOne(watcher, told);
        return;
      }
      const text = messageText({ id: snapshot.atMs, data: JSON.stringify(snapshot) });
      told.set(watcher.sinceMs, (message = { text, atMs: snapshot.atMs }));
    }
    watcher.sinceMs = message.atMs;
    watcher.stream.send(message.text);
  }
}

interface Told {
  readonly text: string;
  readonly atMs: number;
}
