// The client: batches one by one over a unary call, or many over a stream.

import { fromBinary } from "@bufbuild/protobuf";
import {
  type ChannelCredentials,
  type ChannelOptions,
  type Client,
  Metadata,
  type ServiceError,
  status as Code,
} from "@grpc/grpc-js";
import { EventIngest, type PublishResponse, PublishResponseSchema } from "../gen/sluice/v1/ingest_pb.js";
import { type BatchInit, encodeBatch } from "./batch.ts";
import { connected, dial, type Target, target } from "./channel.ts";
import { callError, retryDelayMs, type RetryOptions, type SluiceError, unsentError } from "./errors.ts";
import { PublishStream, type StreamOptions } from "./stream.ts";
import type { TlsOptions } from "./tls.ts";
import { setTimeout as pause } from "node:timers/promises";

export interface ConnectOptions {
  /** True: TLS, and the service's certificate is signed by an authority that Node.js trusts. Default: plaintext. */
  readonly tls?: boolean | TlsOptions;
  /** Instead of `tls`, whatever else `credentials` of @grpc/grpc-js makes. */
  readonly credentials?: ChannelCredentials;
  /** Request headers of every call, for example `{ authorization: "Bearer ..." }`. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Whether batches that are refused under load are sent again. Default: not. */
  readonly retry?: RetryOptions;
  /** Options of the gRPC channel, for example `grpc.keepalive_time_ms`. */
  readonly channelOptions?: ChannelOptions;
}

export interface UnaryOptions {
  /** How long the call may take, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number;
  /** Cancels the call: it is rejected with CANCELLED, and its outcome is unknown. */
  readonly signal?: AbortSignal;
}

const PATH = `/${EventIngest.typeName}/${EventIngest.method.publish.name}`;

export class SluiceClient {
  readonly #target: Target;
  readonly #metadata: Metadata;
  readonly #retry: RetryOptions;
  readonly #streams = new Set<PublishStream>();
  #client: Client | undefined;

  /** Use `connect`. @throws TypeError for `tls` that cannot be used. */
  constructor(address: string, options: ConnectOptions = {}) {
    this.#target = target(address, options, options.channelOptions);
    this.#metadata = new Metadata();
    for (const [key, value] of Object.entries(options.metadata ?? {})) this.#metadata.set(key, value);
    this.#retry = options.retry ?? {};
  }

  /** The address it was made with. */
  get address(): string {
    return this.#target.address;
  }

  /**
   * Resolves when the service can be reached. Calls connect by themselves; this tells early that they will not.
   * @param options.timeoutMs how long to try. Default 10,000.
   * @param options.failFast reject when the first attempt fails.
   * @throws SluiceError UNAVAILABLE
   */
  async ready(options: { readonly timeoutMs?: number; readonly failFast?: boolean } = {}): Promise<void> {
    const { timeoutMs = 10_000, failFast = false } = options;
    await connected(this.#dial(), this.#target, { timeoutMs, failFast });
  }

  /**
   * Publishes one batch. For more than a few a second, open a stream.
   * @throws SluiceError for a batch without an answer: refused (RESOURCE_EXHAUSTED, INVALID_ARGUMENT,
   * FAILED_PRECONDITION, ...; not stored), or UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED (outcome unknown).
   */
  async publish(batch: BatchInit, options: UnaryOptions = {}): Promise<PublishResponse> {
    const body = Buffer.from(encodeBatch(batch));
    const deadline = Date.now() + (options.timeoutMs ?? 30_000);
    for (let attempts = 0; ; attempts++) {
      try {
        return await this.#call(body, deadline, options.signal);
      } catch (error) {
        const delayMs = retryDelayMs(error as SluiceError, attempts, this.#retry);
        if (delayMs === undefined || Date.now() + delayMs > deadline) throw error;
        await pause(delayMs, undefined, options.signal === undefined ? {} : { signal: options.signal }).catch(() => {});
      }
    }
  }

  /** Opens a stream over a connection of its own: batches keep their order, and many are on their way at once. */
  openStream(options: StreamOptions = {}): PublishStream {
    const stream = new PublishStream(this.#target, this.#metadata, { retry: this.#retry, ...options }, (closed) => {
      this.#streams.delete(closed);
    });
    this.#streams.add(stream);
    return stream;
  }

  /** Closes all streams when their batches are answered, then the connection. */
  async close(): Promise<void> {
    await Promise.all([...this.#streams].map((stream) => stream.close()));
    this.#client?.close();
    this.#client = undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #dial(): Client {
    return (this.#client ??= dial(this.#target));
  }

  #call(body: Buffer, deadline: number, signal: AbortSignal | undefined): Promise<PublishResponse> {
    if (signal?.aborted === true) return Promise.reject(unsentError(Code.CANCELLED, "cancelled before it was sent"));
    return new Promise((resolve, reject) => {
      const call = this.#dial().makeUnaryRequest(
        PATH,
        (message: Buffer) => message,
        (bytes) => fromBinary(PublishResponseSchema, bytes),
        body,
        this.#metadata.clone(),
        { deadline },
        (error: ServiceError | null, response?: PublishResponse) => {
          signal?.removeEventListener("abort", cancel);
          if (error === null && response !== undefined) resolve(response);
          else reject(callError(error!));
        },
      );
      const cancel = () => {
        call.cancel();
      };
      signal?.addEventListener("abort", cancel, { once: true });
    });
  }
}

/**
 * Makes a client; connections are opened when they are needed.
 * @param address `host:port`, for example `127.0.0.1:50051`.
 * @throws TypeError for `tls` that cannot be used.
 */
export function connect(address: string, options: ConnectOptions = {}): SluiceClient {
  return new SluiceClient(address, options);
}
