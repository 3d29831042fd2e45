// One connection to a broker: sockets or TLS, request framing, correlation, time-outs.
//
//   Message  := length:int32 correlation and payload        Requests are answered in the order in which they were sent.
//
// Produce requests are written in the pieces in which they come (`cork`, write, `uncork`: one writev, no concatenation). Every
// other request is encoded by @platformatic/kafka's public codecs, which only call `connection.send(...)`: this class offers
// that method, with the library's signature, and nothing else of its Connection.
//
// When a connection fails, whatever was sent on it is told so: its outcome is unknown. There is no reconnecting here; a
// connection is born, used and closed (see broker.ts).

import { connect as connectTcp, isIP } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Duplex } from "node:stream";
import { Reader, type Writer } from "@platformatic/kafka";
import type { Clock, Timer } from "../../clock.ts";
import { Code, IngestError } from "../../errors.ts";
import type { Counter } from "../../telemetry/instruments.ts";
import type { KafkaOptions, TlsOptions } from "../options.ts";

export type ConnectionOptions = Pick<KafkaOptions, "clientId" | "connectTimeoutMs" | "requestTimeoutMs" | "tls">;

/**
 * Opens a socket; replaced where faults are simulated.
 *
 * @param onBytes is given what is received, lent for the time of the call.
 */
export type Dial = (
  host: string,
  port: number,
  tls: TlsOptions | undefined,
  onBytes: (bytes: Buffer) => void,
) => Duplex;

/**
 * What brokers send is small and dealt with, or copied, before the next read: without a buffer of their own sockets make one of
 * 64 KiB for every answer, which the allocator and the collector have to get rid of again.
 */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 << 10);

export const dialSocket: Dial = (host, port, tls, onBytes) => {
  if (tls === undefined) {
    const callback = (length: number): boolean => {
      onBytes(READ_BUFFER.subarray(0, length));
      return true;
    };
    return connectTcp({ host, port, noDelay: true, keepAlive: true, onread: { buffer: READ_BUFFER, callback } });
  }
  const socket = connectTls({
    host,
    port,
    // An address is no server name (RFC 6066); the certificate is then checked against the address.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
  });
  socket.setNoDelay(true);
  socket.setKeepAlive(true);
  socket.on("data", onBytes);
  return socket;
};

/** A node callback, as the codecs of @platformatic/kafka want it. */
type Callback<T> = (error: Error | null, result: T) => void;

/** Counts bytes, framing included, TLS not. */
export interface Traffic {
  readonly sent: Counter;
  readonly received: Counter;
}

interface Pending {
  readonly correlationId: number;
  readonly deadlineMs: number;
  /** @param bytes of the response behind the correlation id, lent for the time of the call; undefined if the connection failed. */
  readonly settle: (error: IngestError | undefined, bytes: Buffer | undefined) => void;
}

/** No broker answers with more; a length beyond it means that this is not Kafka, or not in step. */
const RESPONSE_BYTES_MAX = 128 << 20;

export class Connection {
  readonly host: string;
  readonly port: number;
  readonly #clock: Clock;
  readonly #options: ConnectionOptions;
  readonly #traffic: Traffic | undefined;
  readonly #socket: Duplex;
  readonly #pending: Pending[] = [];
  #onClosed: ((error: IngestError) => void) | undefined;
  #correlationId = 0;
  #received: Buffer[] = [];
  #receivedBytes = 0;
  #expectedBytes = 4;
  #timer: Timer | undefined;
  #closed: IngestError | undefined;

  /** Begins to connect; `opened` tells how that went. */
  constructor(host: string, port: number, dial: Dial, clock: Clock, options: ConnectionOptions, traffic?: Traffic) {
    this.host = host;
    this.port = port;
    this.#clock = clock;
    this.#options = options;
    this.#traffic = traffic;
    this.#socket = dial(host, port, options.tls, (bytes) => this.#receive(bytes));
    this.#socket.on("error", (cause) => this.#fail(`connection to ${host}:${port} failed: ${describe(cause)}`, cause));
    this.#socket.on("close", () => this.#fail(`broker ${host}:${port} closed the connection`));
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /** Requests without a response. */
  get inFlight(): number {
    return this.#pending.length;
  }

  /** To be called once, at first. @throws IngestError UNAVAILABLE if there is no connection, or it is closed meanwhile. */
  async opened(): Promise<void> {
    const event = this.#options.tls === undefined ? "connect" : "secureConnect";
    await new Promise<void>((resolve, reject) => {
      this.onClosed(reject);
      this.#socket.once(event, () => {
        this.#onClosed = undefined;
        resolve();
      });
    });
  }

  /** @param listener is told once, after everything pending has been. */
  onClosed(listener: (error: IngestError) => void): void {
    this.#onClosed = listener;
    if (this.#closed !== undefined) listener(this.#closed);
  }

  close(reason: string): void {
    this.#fail(reason);
  }

  /**
   * Writes one request in pieces.
   *
   * @param encode is given the correlation id.
   * @param settle is given the response behind its correlation id, lent for the time of the call, or the error.
   */
  request(
    encode: (correlationId: number) => readonly Buffer[],
    settle: (error: IngestError | undefined, bytes: Buffer | undefined) => void,
  ): void {
    if (this.#closed !== undefined) {
      const error = this.#closed;
      queueMicrotask(() => settle(error, undefined));
      return;
    }
    const correlationId = this.#correlationId;
    this.#correlationId = (correlationId + 1) & 0x7fff_ffff;
    const pieces = encode(correlationId);
    const deadlineMs = this.#clock.monotonic() + this.#options.requestTimeoutMs;
    this.#pending.push({ correlationId, deadlineMs, settle });
    this.#armTimer();
    // A single piece needs no gathering.
    if (pieces.length === 1) {
      this.#write(pieces[0]!);
      return;
    }
    this.#socket.cork();
    for (let i = 0; i < pieces.length; i++) this.#write(pieces[i]!);
    this.#socket.uncork();
  }

  #write(piece: Buffer): void {
    this.#traffic?.sent.inc(piece.length);
    this.#socket.write(piece);
  }

  /** The method that APIs made by @platformatic/kafka's `createAPI` call. */
  send<T>(
    apiKey: number,
    apiVersion: number,
    createRequest: () => Writer,
    parseResponse: (correlationId: number, apiKey: number, apiVersion: number, reader: Reader) => T,
    hasRequestTags: boolean,
    hasResponseTags: boolean,
    callback: Callback<T>,
  ): void {
    this.request(
      (correlationId) => {
        const body = createRequest().buffer;
        const clientId = this.#options.clientId;
        const head = Buffer.allocUnsafe(15 + Buffer.byteLength(clientId));
        let at = 4;
        at = head.writeInt16BE(apiKey, at);
        at = head.writeInt16BE(apiVersion, at);
        at = head.writeInt32BE(correlationId, at);
        at = head.writeInt16BE(Buffer.byteLength(clientId), at);
        at += head.write(clientId, at);
        if (hasRequestTags) head[at++] = 0;
        head.writeInt32BE(at - 4 + body.length, 0);
        return [head.subarray(0, at), body];
      },
      (error, bytes) => {
        if (bytes === undefined) {
          callback(error ?? null, undefined as T);
          return;
        }
        let result: T;
        try {
          const body = hasResponseTags ? bytes.subarray(1) : bytes;
          result = parseResponse(0, apiKey, apiVersion, Reader.from(Buffer.from(body)));
        } catch (thrown) {
          callback(thrown as Error, undefined as T);
          return;
        }
        try {
          callback(null, result);
        } catch (thrown) {
          // The library's SASL code throws right here at what it cannot read; nobody above could catch that.
          this.#fail(`${this.host}:${this.port} answered what cannot be understood: ${String(thrown)}`, thrown);
        }
      },
    );
  }

  /** Responses are small next to requests, so the rare one that spans chunks is put together once it is whole. */
  #receive(chunk: Buffer): void {
    if (this.closed) return;
    this.#traffic?.received.inc(chunk.length);
    this.#receivedBytes += chunk.length;
    if (this.#receivedBytes < this.#expectedBytes) {
      this.#received.push(Buffer.from(chunk));
      return;
    }
    const bytes = this.#received.length === 0 ? chunk : Buffer.concat([...this.#received, chunk], this.#receivedBytes);
    let at = 0;
    this.#expectedBytes = 4;
    while (bytes.length - at >= 4) {
      const length = bytes.readInt32BE(at);
      if (length < 4 || length > RESPONSE_BYTES_MAX) {
        this.#fail(
          `${this.host}:${this.port} does not speak Kafka's protocol (TLS on a plain port, or another service?)`,
        );
        return;
      }
      if (bytes.length - at < 4 + length) {
        this.#expectedBytes = 4 + length;
        break;
      }
      this.#respond(bytes.readInt32BE(at + 4), bytes.subarray(at + 8, at + 4 + length));
      if (this.closed) return;
      at += 4 + length;
    }
    if (this.#received.length > 0) this.#received = [];
    if (at < bytes.length) this.#received.push(Buffer.from(bytes.subarray(at)));
    this.#receivedBytes = bytes.length - at;
  }

  #respond(correlationId: number, response: Buffer): void {
    const pending = this.#pending[0];
    if (pending === undefined || pending.correlationId !== correlationId) {
      this.#fail(`broker ${this.host}:${this.port} answered request ${correlationId}, not ${pending?.correlationId}`);
      return;
    }
    this.#pending.shift();
    pending.settle(undefined, response);
  }

  /** One timer, for the request that was sent first. */
  #armTimer(): void {
    if (this.#timer !== undefined || this.#pending.length === 0) return;
    const delayMs = this.#pending[0]!.deadlineMs - this.#clock.monotonic();
    this.#timer = this.#clock.setTimeout(
      () => {
        this.#timer = undefined;
        const oldest = this.#pending[0];
        if (oldest !== undefined && oldest.deadlineMs <= this.#clock.monotonic()) {
          this.#fail(`no answer from ${this.host}:${this.port} within ${this.#options.requestTimeoutMs} ms`);
        } else {
          this.#armTimer();
        }
      },
      Math.max(1, delayMs),
    );
  }

  #fail(reason: string, cause?: unknown): void {
    if (this.#closed !== undefined) return;
    const error = new IngestError(Code.UNAVAILABLE, reason, { retryable: true, cause });
    this.#closed = error;
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#socket.destroy();
    for (const pending of this.#pending.splice(0)) pending.settle(error, undefined);
    this.#onClosed?.(error);
  }
}

/** An attempt at several addresses (localhost is two) fails with an error for each and no message of its own. */
function describe(cause: Error): string {
  if (cause instanceof AggregateError) return cause.errors.map((each: Error) => each.message).join(", ");
  return cause.message;
}
