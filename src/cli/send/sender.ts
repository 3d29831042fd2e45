// Makes batches of events and sends them over streams, at a rate if one is asked for.
//
// Events with the same key go over the same stream, because only there their order is kept; events without a key fill the
// streams in turn. A batch goes out when it is full, or a moment after its first event when the input is slow, so that
// `tail -f | sluice send` shows its events while they happen.
//
// Invariant: what is in memory is bounded by the streams' windows and one batch a stream, because `add` makes its caller
// wait while a batch waits for room.

import { setTimeout as pause } from "node:timers/promises";
import type { Durability, EventInit, PublishStream, SluiceClient, SluiceError } from "../../client/index.ts";
import type { Tally } from "./tally.ts";

export interface SenderOptions {
  readonly topic: string;
  readonly durability: Durability;
  /** The most events in a batch. */
  readonly batchEventsMax: number;
  readonly streams: number;
  /** The largest message that the service takes, in bytes. */
  readonly messageBytesMax: number;
  /** Events a second; undefined: as fast as they are taken. */
  readonly rate: number | undefined;
}

interface Lane {
  readonly stream: PublishStream;
  events: EventInit[];
  bytes: number;
  timer: NodeJS.Timeout | undefined;
}

/** A batch is sent at this size at the latest; the service takes messages of 4 MiB unless it is told otherwise. */
const BATCH_BYTES_MAX = 1024 * 1024;
const LINGER_MS = 100;
/** Batches on their way over one stream: enough to keep a service busy; more would only wait there, and look slow. */
const UNANSWERED_MAX = 16;
/** What every batch after it would meet, too: sending goes on no further. */
const HOPELESS = new Set(["FAILED_PRECONDITION", "UNIMPLEMENTED", "UNAUTHENTICATED", "PERMISSION_DENIED"]);

export class Sender {
  readonly #options: SenderOptions;
  readonly #tally: Tally;
  readonly #lanes: Lane[];
  readonly #unanswered = new Set<Promise<void>>();
  readonly #startedAt = performance.now();
  /** Batches leave one after the other, because one clock paces them all. */
  #leaving: Promise<void> = Promise.resolve();
  #next = 0;
  #paced = 0;
  #hopeless: SluiceError | undefined;

  constructor(client: SluiceClient, options: SenderOptions, tally: Tally) {
    this.#options = options;
    this.#tally = tally;
    this.#lanes = Array.from({ length: options.streams }, () => ({
      stream: client.openStream({
        batchesMax: UNANSWERED_MAX,
        messageBytesMax: options.messageBytesMax,
        retry: { attemptsMax: 20 },
      }),
      events: [],
      bytes: 0,
      timer: undefined,
    }));
  }

  /** Why sending more makes no sense. */
  get hopeless(): SluiceError | undefined {
    return this.#hopeless;
  }

  /** Takes one event. A promise: wait for it before the next one. */
  add(event: EventInit, bytes: number): Promise<void> | undefined {
    const lane = this.#laneOf(event.key);
    // A record that is too large for the service fails alone.
    if (lane.bytes + bytes > BATCH_BYTES_MAX) void this.#flush(lane);
    lane.events.push(event);
    lane.bytes += bytes;
    if (lane.events.length >= this.#batchEvents() || lane.bytes >= BATCH_BYTES_MAX) return this.#flush(lane);
    lane.timer ??= setTimeout(() => void this.#flush(lane), LINGER_MS);
    return undefined;
  }

  /** Sends what is left and waits for all answers. */
  async end(): Promise<void> {
    for (const lane of this.#lanes) await this.#flush(lane);
    await Promise.all(this.#unanswered);
    await Promise.all(this.#lanes.map(({ stream }) => stream.close()));
  }

  /** A tenth of a second's events at most, so that a low rate is even. */
  #batchEvents(): number {
    const { rate, batchEventsMax } = this.#options;
    return rate === undefined ? batchEventsMax : Math.min(batchEventsMax, Math.max(1, Math.floor(rate / 10)));
  }

  #laneOf(key: EventInit["key"]): Lane {
    if (this.#lanes.length === 1 || typeof key !== "string") return this.#lanes[this.#next]!;
    let hash = 0;
    for (let i = 0; i < key.length; i++) hash = (Math.imul(hash, 31) + key.charCodeAt(i)) | 0;
    return this.#lanes[(hash >>> 0) % this.#lanes.length]!;
  }

  #flush(lane: Lane): Promise<void> {
    clearTimeout(lane.timer);
    lane.timer = undefined;
    const { events, bytes } = lane;
    if (events.length === 0) return this.#leaving;
    lane.events = [];
    lane.bytes = 0;
    this.#next = (this.#next + 1) % this.#lanes.length;
    this.#leaving = this.#leaving.then(() => this.#leave(lane.stream, events, bytes));
    return this.#leaving;
  }

  async #leave(stream: PublishStream, events: readonly EventInit[], bytes: number): Promise<void> {
    await this.#pace(events.length);
    await stream.ready();
    const { topic, durability } = this.#options;
    this.#tally.batchSent(events.length, bytes);
    const sentAt = performance.now();
    const answered = stream.publish({ topic, durability, events }).then(
      (response) => {
        this.#tally.batchAnswered(response, performance.now() - sentAt);
      },
      (error: SluiceError) => {
        this.#tally.batchFailed(error, events.length);
        // A service that cannot be reached was tried for long enough by the stream.
        if (HOPELESS.has(error.codeName) || (error.codeName === "UNAVAILABLE" && error.outcome === "not_stored"))
          this.#hopeless ??= error;
      },
    );
    this.#unanswered.add(answered);
    void answered.then(() => this.#unanswered.delete(answered));
  }

  /** Waits until the rate allows these events. */
  async #pace(events: number): Promise<void> {
    const { rate } = this.#options;
    if (rate === undefined) return;
    const dueMs = this.#startedAt + (this.#paced / rate) * 1000 - performance.now();
    this.#paced += events;
    if (dueMs > 1) await pause(dueMs);
  }
}
