// Where the seconds come from: the history once, then one message a second, for as long as somebody looks.
//
//   loading ──> live <──> paused (by the button, or because the page is hidden)
//      ^          │
//      '── lost ──'        tried again after a while, longer each time
//
// A page that is hidden or paused has no connection: the service does nothing for it. When it goes on, the first message brings
// what it has missed.

import type { LiveSnapshot } from "../model.ts";

export type FeedState = "loading" | "live" | "paused" | "lost" | "full";

export interface FeedListener {
  snapshot(snapshot: LiveSnapshot): void;
  state(state: FeedState): void;
}

const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 10_000;

export class Feed {
  readonly #listener: FeedListener;
  /** The end of the last second that is known, in milliseconds since the epoch; undefined: none is. */
  readonly #since: () => number | undefined;
  #source: EventSource | undefined;
  #timer: number | undefined;
  #retryMs = RETRY_MS_MIN;
  #paused = false;

  constructor(listener: FeedListener, since: () => number | undefined) {
    this.#listener = listener;
    this.#since = since;
    document.addEventListener("visibilitychange", () => {
      this.#update();
    });
    // A page that the browser keeps to come back to must not keep its connection.
    window.addEventListener("pagehide", () => {
      this.#close();
    });
    window.addEventListener("pageshow", () => {
      this.#update();
    });
  }

  get paused(): boolean {
    return this.#paused;
  }

  set paused(paused: boolean) {
    this.#paused = paused;
    this.#update();
  }

  #update(): void {
    if (this.#paused || document.hidden) {
      this.#close();
      this.#listener.state("paused");
    } else if (this.#source === undefined && this.#timer === undefined) void this.#open();
  }

  async #open(): Promise<void> {
    this.#listener.state("loading");
    // Until the connection stands this is what keeps it from being opened twice.
    this.#timer = window.setTimeout(() => {}, 0);
    try {
      if (this.#since() === undefined) {
        const response = await fetch("/debug/live?seconds=900", { headers: { accept: "application/json" } });
        if (!response.ok) throw new Error(`answered with ${response.status}`);
        this.#listener.snapshot((await response.json()) as LiveSnapshot);
      }
    } catch {
      this.#retry();
      return;
    }
    this.#timer = undefined;
    // It may have been hidden and shown again meanwhile, and then this is the second time.
    if (this.#paused || document.hidden || this.#source !== undefined) return;
    this.#connect();
  }

  #connect(): void {
    const source = new EventSource(`/debug/live/events?since=${this.#since() ?? 0}`);
    this.#source = source;
    source.addEventListener("open", () => {
      this.#retryMs = RETRY_MS_MIN;
      this.#listener.state("live");
    });
    source.addEventListener("message", ({ data }: MessageEvent<string>) => {
      this.#listener.snapshot(JSON.parse(data) as LiveSnapshot);
    });
    source.addEventListener("error", () => {
      // The browser would come back by itself, with the same `since`; and not at all after a 503.
      const refused = source.readyState === EventSource.CLOSED;
      this.#close();
      this.#listener.state(refused ? "full" : "lost");
      this.#retry();
    });
  }

  #retry(): void {
    if (this.#paused) return;
    this.#timer = window.setTimeout(() => {
      this.#timer = undefined;
      this.#update();
    }, this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
    if (this.#source === undefined) this.#listener.state("lost");
  }

  start(): void {
    this.#update();
  }

  #close(): void {
    this.#source?.close();
    this.#source = undefined;
    window.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
