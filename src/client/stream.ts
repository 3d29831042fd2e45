// A stream of batches that outlives the calls it runs on.
//
// One PublishStream call lives as long as its worker does. A worker that goes away says Drain first: nothing more is sent
// on that call, what was sent is answered, and later batches go out on a call over a new connection, to another worker.
// They wait until the old call has answered everything, so events keep their order across the change, but for PERSISTED ones
// that the old worker could not bring to Kafka yet. A call that dies without a Drain leaves batches whose outcome nobody
// knows: those are rejected as such, and never sent again from here; if there are none, the next batch opens a new call.
//
// Invariants: what was sent and not answered is bounded in batches and bytes; a batch that waits for room is not encoded,
// so it holds nothing that its sender does not hold already. Every batch is settled once.
//
// Rejected: an async iterable of answers. Answers come in any order, and a promise per batch is what callers end up with.

import { type Client, type Metadata, status as Code } from "@grpc/grpc-js";
import type { PublishResponse } from "../gen/sluice/v1/ingest_pb.js";
import { type BatchInit, encodeBatch } from "./batch.ts";
import { type CallListener, StreamCall } from "./call.ts";
import { connected, dial, type Target } from "./channel.ts";
import {
  abandonedError,
  retryDelayMs,
  type RetryOptions,
  type SluiceError,
  unansweredError,
  unsentError,
} from "./errors.ts";

export interface StreamOptions {
  /** The most batches that are sent and not answered. Default 64. */
  readonly batchesMax?: number;
  /** The bytes of batches, sent and not answered, from which on no further batch is sent. Default 8 MiB. */
  readonly bytesMax?: number;
  /**
   * The largest batch, encoded, in bytes: GRPC_MESSAGE_BYTES_MAX of the service. A larger one is rejected here, because gRPC
   * ends the whole stream for it, with the answers of all others. Default 4 MiB.
   */
  readonly messageBytesMax?: number;
  /** How long a batch may wait for a connection, in milliseconds. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /** Whether batches that are refused under load are sent again; they then come after batches that were sent later. */
  readonly retry?: RetryOptions;
  /** Ends the stream at once: batches without an answer are rejected with CANCELLED. */
  readonly signal?: AbortSignal;
}

export interface PublishOptions {
  /** Stops waiting: the batch is rejected with CANCELLED. If it was sent already, its outcome is unknown. */
  readonly signal?: AbortSignal;
}

/** A batch on its way. */
interface Pending {
  readonly batch: BatchInit;
  readonly resolve: (response: PublishResponse) => void;
  readonly reject: (error: SluiceError) => void;
  /** Its bytes, once it has a place in the window. */
  body: Uint8Array | undefined;
  attempts: number;
}

const DEFAULTS = {
  batchesMax: 64,
  bytesMax: 8 * 1024 * 1024,
  messageBytesMax: 4 * 1024 * 1024,
  connectTimeoutMs: 10_000,
};

/** A message's bytes beside the encoded batch: the sequence. */
const SEQUENCE_BYTES_MAX = 11;

export class PublishStream {
  readonly #target: Target;
  readonly #metadata: Metadata;
  readonly #onClosed: (stream: PublishStream) => void;
  readonly #options: Required<Omit<StreamOptions, "signal" | "retry">> & Pick<StreamOptions, "signal" | "retry">;
  /** Batches in the order of `publish` that were not sent, or are to be sent again. */
  readonly #waiting: Pending[] = [];
  readonly #backingOff = new Map<Pending, NodeJS.Timeout>();
  readonly #calls = new Set<StreamCall<Pending>>();
  readonly #unsettled = new Set<Pending>();
  readonly #readyWaiters: (() => void)[] = [];
  readonly #closed = Promise.withResolvers<void>();
  #call: StreamCall<Pending> | undefined;
  #client: Client | undefined;
  #opening = false;
  #closing = false;
  #finishing = false;
  #sequence = 0;
  #batches = 0;
  #bytes = 0;

  /** Use `SluiceClient.openStream`. */
  constructor(
    target: Target,
    metadata: Metadata,
    options: StreamOptions,
    onClosed: (stream: PublishStream) => void = () => {},
  ) {
    this.#onClosed = onClosed;
    this.#target = target;
    this.#metadata = metadata;
    this.#options = { ...DEFAULTS, ...options };
    if (options.signal?.aborted === true) this.#abort();
    options.signal?.addEventListener("abort", this.#abort, { once: true });
  }

  /** Batches that are sent and not answered. */
  get outstanding(): number {
    return this.#batches;
  }

  /**
   * Sends the batch when the window has room, and resolves with its answer: each of its events is stored or listed in
   * `failures`. Do not change the batch before that.
   *
   * To send more than fits into memory, wait for `ready()` before each call: batches that wait for room are not bounded.
   *
   * @throws SluiceError for a batch without an answer: refused (RESOURCE_EXHAUSTED, INVALID_ARGUMENT,
   * FAILED_PRECONDITION, ...; not stored), not sent (UNAVAILABLE, CANCELLED; not stored), or sent without an answer
   * (UNAVAILABLE, CANCELLED; outcome unknown).
   */
  publish(batch: BatchInit, options: PublishOptions = {}): Promise<PublishResponse> {
    const { signal } = options;
    if (this.#closing) return Promise.reject(unsentError(Code.FAILED_PRECONDITION, "the stream is closed"));
    if (signal?.aborted === true) return Promise.reject(unsentError(Code.CANCELLED, "cancelled before it was sent"));
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#giveUp(pending);
      };
      const settled = () => {
        this.#unsettled.delete(pending);
        signal?.removeEventListener("abort", onAbort);
      };
      const pending: Pending = {
        batch,
        resolve: (response) => {
          settled();
          resolve(response);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
        body: undefined,
        attempts: 0,
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#unsettled.add(pending);
      this.#waiting.push(pending);
      this.#pump();
    });
  }

  /** Resolves when a batch would be sent at once, and also when the stream is closed. */
  ready(): Promise<void> {
    if (this.#closing || this.#hasRoom()) return Promise.resolve();
    return new Promise((resolve) => this.#readyWaiters.push(resolve));
  }

  /** Takes no more batches, waits for all answers, ends the stream and its connection. Never throws. */
  close(): Promise<void> {
    this.#closing = true;
    this.#pump();
    return this.#closed.promise;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #hasRoom(): boolean {
    return (
      this.#waiting.length === 0 && this.#batches < this.#options.batchesMax && this.#bytes < this.#options.bytesMax
    );
  }

  /** Sends what can be sent; everything that changes what that is calls it. */
  #pump(): void {
    while (this.#waiting.length > 0) {
      const next = this.#waiting[0]!;
      const full = this.#batches >= this.#options.batchesMax || this.#bytes >= this.#options.bytesMax;
      if (next.body === undefined && full) break;
      if (this.#call === undefined) {
        void this.#open();
        break;
      }
      if (this.#call.draining) break;
      this.#waiting.shift();
      this.#send(this.#call, next);
    }
    while (this.#readyWaiters.length > 0 && (this.#closing || this.#hasRoom())) this.#readyWaiters.shift()!();
    if (this.#closing && this.#waiting.length === 0 && this.#batches === 0) void this.#finish();
  }

  #send(call: StreamCall<Pending>, pending: Pending): void {
    if (pending.body === undefined) {
      const body = this.#encode(pending);
      if (body === undefined) return;
      pending.body = body;
      this.#batches += 1;
      this.#bytes += body.length;
    }
    this.#sequence += 1;
    call.send(this.#sequence, pending.body, pending);
  }

  /** Undefined: it was rejected. */
  #encode(pending: Pending): Uint8Array | undefined {
    const { messageBytesMax } = this.#options;
    try {
      const body = encodeBatch(pending.batch);
      if (body.length + SEQUENCE_BYTES_MAX <= messageBytesMax) return body;
      const message = `the batch has ${body.length} bytes, and a message may have ${messageBytesMax} (messageBytesMax)`;
      pending.reject(unsentError(Code.RESOURCE_EXHAUSTED, message));
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      pending.reject(unsentError(Code.INVALID_ARGUMENT, `the batch cannot be encoded: ${why}`, cause));
    }
    return undefined;
  }

  /** Gives back the batch's place in the window. */
  #release(pending: Pending): void {
    if (pending.body === undefined) return;
    this.#batches -= 1;
    this.#bytes -= pending.body.length;
    pending.body = undefined;
  }

  async #open(): Promise<void> {
    if (this.#opening) return;
    this.#opening = true;
    const client = (this.#client ??= dial(this.#target));
    try {
      await connected(client, this.#target, { timeoutMs: this.#options.connectTimeoutMs });
      // Whoever waited may have given up.
      if (this.#client === client && this.#waiting.length > 0) {
        this.#call = new StreamCall(client, this.#metadata, this.#listener);
        this.#calls.add(this.#call);
      }
    } catch (error) {
      for (const pending of this.#waiting.splice(0)) {
        this.#release(pending);
        pending.reject(error as SluiceError);
      }
    } finally {
      this.#opening = false;
    }
    this.#pump();
  }

  readonly #listener: CallListener<Pending> = {
    stored: (pending, response) => {
      this.#release(pending);
      pending.resolve(response);
      this.#pump();
    },
    refused: (pending, error) => {
      this.#refused(pending, error);
      this.#pump();
    },
    drained: (call) => {
      this.#leave(call);
      this.#pump();
    },
    ended: (call, status, unanswered) => {
      this.#calls.delete(call);
      this.#leave(call);
      if (call.client !== this.#client) call.client.close();
      for (const pending of unanswered) {
        this.#release(pending);
        pending.reject(unansweredError(status));
      }
      this.#pump();
    },
  };

  #refused(pending: Pending, error: SluiceError): void {
    const delayMs = retryDelayMs(error, pending.attempts, this.#options.retry);
    if (delayMs === undefined || !this.#unsettled.has(pending)) {
      this.#release(pending);
      pending.reject(error);
      return;
    }
    pending.attempts += 1;
    const timer = setTimeout(() => {
      this.#backingOff.delete(pending);
      this.#waiting.unshift(pending);
      this.#pump();
    }, delayMs);
    this.#backingOff.set(pending, timer);
  }

  /** Later batches go on another call; after a Drain, over another connection. */
  #leave(call: StreamCall<Pending>): void {
    if (this.#call !== call) return;
    this.#call = undefined;
    if (call.draining) this.#client = undefined;
  }

  #giveUp(pending: Pending): void {
    const at = this.#waiting.indexOf(pending);
    if (at >= 0) this.#waiting.splice(at, 1);
    clearTimeout(this.#backingOff.get(pending));
    if (this.#backingOff.delete(pending) || at >= 0) {
      this.#release(pending);
      pending.reject(unsentError(Code.CANCELLED, "cancelled before it was sent"));
    } else {
      // Its place in the window is given back when its answer comes.
      pending.reject(abandonedError());
    }
    this.#pump();
  }

  readonly #abort = (): void => {
    this.#closing = true;
    for (const pending of this.#unsettled) this.#giveUp(pending);
    for (const call of this.#calls) call.cancel();
    this.#pump();
  };

  /** Everything is answered: ends the calls and the connection. */
  async #finish(): Promise<void> {
    if (this.#finishing) return;
    this.#finishing = true;
    this.#options.signal?.removeEventListener("abort", this.#abort);
    await Promise.all([...this.#calls].map((call) => call.close()));
    this.#client?.close();
    this.#client = undefined;
    this.#closed.resolve();
    this.#onClosed(this);
  }
}
