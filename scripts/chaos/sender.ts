// One sender of the load: a stream with a window, or a unary caller, that records everything it does.
//
// It sends at a rate, but never more than its window without an answer: a service that stalls is not piled up on. What is
// refused is sent again until it is stored. What has no answer is sent again half of the time, because a client that never
// did would leave the other half of the contract untried. When a stream breaks, the next one is opened only after every
// attempt on the old one has its outcome: the order of events is promised within a stream, and the record says where one
// ends.

import { setTimeout as sleep } from "node:timers/promises";
import {
  type BatchInit,
  type PublishResponse,
  type PublishStream,
  type SluiceClient,
  SluiceError,
} from "../../src/client/index.ts";
import { mulberry32 } from "../random.ts";
import { eventOf } from "./event.ts";
import type { RecordWriter } from "./record.ts";

export interface SenderPlan {
  readonly kind: "stream" | "unary";
  readonly topics: readonly string[];
  /** 1 REPLICATED, 2 PERSISTED; one of them for each batch. */
  readonly durabilities: readonly (1 | 2)[];
  /** Events a second. */
  readonly rate: number;
}

interface Batch {
  readonly number: number;
  readonly topic: string;
  readonly durability: 1 | 2;
  readonly count: number;
}

/** The events of a batch that may be sent again, and how long to wait before. */
interface Rest {
  readonly indices: readonly number[];
  readonly delayMs: number;
}

const BATCH_EVENTS_MAX = 40;
const STREAM_WINDOW = 8;
const ATTEMPTS_MAX = 200;
const RETRY_MS = { first: 100, max: 2_000 } as const;
/** How much of what it could not send in time it makes up for. */
const LATE_MS_MAX = 1_000;
/** How long batches are sent again after the load has ended. */
const END_RETRY_MS = 30_000;
const NOTHING: Rest = { indices: [], delayMs: 0 };

export class Sender {
  readonly #run: string;
  readonly #index: number;
  readonly #plan: SenderPlan;
  readonly #client: SluiceClient;
  readonly #record: RecordWriter;
  readonly #random: () => number;
  readonly #changed: (() => void)[] = [];
  #stream: PublishStream | undefined;
  #streams = -1;
  #broken = false;
  /** Attempts without an outcome, and batches that are not done. */
  #attempts = 0;
  #batches = 0;
  #retryUntilMs = Infinity;

  constructor(
    { run, index, seed }: { readonly run: string; readonly index: number; readonly seed: number },
    plan: SenderPlan,
    client: SluiceClient,
    record: RecordWriter,
  ) {
    this.#run = run;
    this.#index = index;
    this.#plan = plan;
    this.#client = client;
    this.#record = record;
    this.#random = mulberry32(seed);
  }

  /** Sends until the signal, and resolves when every batch is done. */
  async send(signal: AbortSignal): Promise<void> {
    const { rate, kind } = this.#plan;
    const window = kind === "stream" ? STREAM_WINDOW : 1;
    const onAbort = (): void => {
      this.#retryUntilMs = performance.now() + END_RETRY_MS;
      this.#tell();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    let dueMs = performance.now();
    for (let number = 0; ; number++) {
      const count = 1 + this.#below(BATCH_EVENTS_MAX);
      dueMs = Math.max(dueMs + (count / rate) * 1000, performance.now() - LATE_MS_MAX);
      await sleep(Math.max(0, dueMs - performance.now()), undefined, { signal }).catch(() => undefined);
      while (!signal.aborted && (this.#batches >= window || this.#broken)) await this.#change();
      if (signal.aborted) break;
      const { topics, durabilities } = this.#plan;
      const topic = topics[this.#below(topics.length)]!;
      const durability = durabilities[this.#below(durabilities.length)]!;
      void this.#deliver({ number, topic, durability, count });
    }
    while (this.#batches > 0) await this.#change();
    await this.#stream?.close();
  }

  /** The first attempt is sent before this returns, so that batches leave in their order. */
  async #deliver(batch: Batch): Promise<void> {
    this.#batches++;
    let indices: readonly number[] = Array.from({ length: batch.count }, (_, index) => index);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const rest = await this.#attempt(batch, attempt, indices);
      indices = rest.indices;
      if (indices.length === 0 || performance.now() > this.#retryUntilMs) break;
      const delayMs = rest.delayMs > 0 ? rest.delayMs : Math.min(RETRY_MS.first * 2 ** attempt, RETRY_MS.max);
      await sleep(delayMs * (0.75 + this.#random() / 2));
      while (this.#broken) await this.#change();
    }
    this.#batches--;
    this.#tell();
  }

  async #attempt(batch: Batch, attempt: number, indices: readonly number[]): Promise<Rest> {
    const of = { sender: this.#index, batch: batch.number, attempt };
    const { topic, durability, count } = batch;
    const events = indices.map((index) =>
      eventOf(this.#run, { sender: this.#index, batch: batch.number, index }, attempt),
    );
    const publish = this.#publisher();
    const some = indices.length < count ? { indices } : {};
    this.#record.write({
      kind: "sent",
      at: Date.now(),
      ...of,
      stream: this.#streams,
      topic,
      durability,
      count,
      ...some,
    });
    this.#attempts++;
    try {
      return this.#answered(of, indices, await publish({ topic, durability, events }));
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      return this.#unanswered(of, indices, error);
    } finally {
      this.#attempts--;
      if (this.#broken && this.#attempts === 0) this.#mend();
      this.#tell();
    }
  }

  #publisher(): (batch: BatchInit) => Promise<PublishResponse> {
    if (this.#plan.kind === "unary") return (batch) => this.#client.publish(batch);
    if (this.#stream === undefined) {
      this.#stream = this.#client.openStream({ batchesMax: 2 * STREAM_WINDOW });
      this.#streams++;
    }
    const stream = this.#stream;
    return (batch) => stream.publish(batch);
  }

  #answered(
    of: { readonly sender: number; readonly batch: number; readonly attempt: number },
    indices: readonly number[],
    { durability, failures, placements }: PublishResponse,
  ): Rest {
    this.#record.write({
      kind: "stored",
      at: Date.now(),
      ...of,
      durability,
      failed: failures.map(({ index, reason }) => [indices[index]!, reason] as const),
      placed: placements.map(({ partition, firstOffset, count }) => [partition, Number(firstOffset), count] as const),
    });
    const again = failures.filter(({ retryable }) => retryable).map(({ index }) => indices[index]!);
    return { indices: again, delayMs: 0 };
  }

  #unanswered(
    of: { readonly sender: number; readonly batch: number; readonly attempt: number },
    indices: readonly number[],
    { outcome, codeName, retryable, retryDelayMs }: SluiceError,
  ): Rest {
    const isUnknown = outcome === "unknown";
    this.#record.write({ kind: isUnknown ? "unknown" : "refused", at: Date.now(), ...of, code: codeName });
    if (this.#stream !== undefined && (isUnknown || codeName === "UNAVAILABLE")) this.#broken = true;
    if (!retryable || (isUnknown && this.#random() < 0.5)) return NOTHING;
    return { indices, delayMs: retryDelayMs ?? 0 };
  }

  #mend(): void {
    void this.#stream?.close();
    this.#stream = undefined;
    this.#broken = false;
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n);
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#changed.push(resolve));
  }

  #tell(): void {
    for (const resolve of this.#changed.splice(0)) resolve();
  }
}
