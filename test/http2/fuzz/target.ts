// The server under test without sockets: the real connection and the real gRPC layer over a transport made of arrays, with a
// clock that stands still. One of it serves all cases of a process, as a worker serves all its connections.

import { inspect } from "node:util";
import zlib from "node:zlib";
import { syncBuiltinESMExports } from "node:module";
import { Calls } from "../../../src/grpc/native/calls.ts";
import { Notices } from "../../../src/grpc/native/notices.ts";
import { Connection, type ConnectionContext } from "../../../src/http2/connection.ts";
import type { Http2Observer } from "../../../src/http2/observer.ts";
import { PagePool } from "../../../src/http2/page-pool.ts";
import type { Transport } from "../../../src/http2/transport.ts";
import { Turn } from "../../../src/http2/turn.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { TEST_OPTIONS } from "../support/options.ts";
import { fuzzMethods, type Ledger } from "./methods.ts";
import { Violation } from "./output-reader.ts";

/** Small, so that recordings come to the limits of windows. */
export const STREAM_WINDOW_BYTES = 2048;
export const CONNECTION_WINDOW_BYTES = 4096;
const POISON = 0xee;

export class Target {
  readonly clock = new FakeClock();
  readonly #pages = new PagePool();
  readonly #readBuffer = Buffer.alloc(65_536);
  readonly #calls: Calls;
  readonly #context: ConnectionContext;
  readonly #ledger: Ledger = { open: 0, broken: (what) => this.#faults.push(new Error(what)) };
  #faults: unknown[] = [];
  #connections = 0;
  #streams = 0;

  constructor() {
    const { clock } = this;
    gunzipAtTheEndOfTheTurn(clock);
    const metrics = createMetrics();
    const options = {
      ...TEST_OPTIONS,
      streamWindowBytes: STREAM_WINDOW_BYTES,
      connectionWindowBytes: CONNECTION_WINDOW_BYTES,
      messageBytesMax: 8192,
      receiveBytesMax: 1_048_576,
    };
    const observer: Http2Observer = {
      connectionOpened: () => this.#connections++,
      connectionClosed: () => this.#connections--,
      streamOpened: () => this.#streams++,
      streamClosed: () => this.#streams--,
      bytes: () => undefined,
      windowStalled: () => undefined,
      reset: () => undefined,
      goaway: () => undefined,
      attack: () => undefined,
      fault: (thrown) => this.#faults.push(thrown),
      handshakeFailed: () => undefined,
    };
    const log = silentLogger();
    log.error = (...said: unknown[]) => this.#faults.push(said[0]);
    const notices = new Notices(log, clock);
    this.#calls = new Calls({ metrics, clock, observer, notices }, fuzzMethods(clock, this.#ledger), options);
    this.#context = {
      handler: (stream, headers) => this.#calls.open(stream, headers),
      observer,
      clock,
      random: () => 0.5,
      options,
      pages: this.#pages,
      turn: new Turn(clock),
      closed: () => undefined,
    };
  }

  connect(transport: Transport): Connection {
    return new Connection(transport, this.#context);
  }

  /** Bytes arrive in a buffer that is used again at once, as the one of all sockets is. */
  deliver(connection: Connection, bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += this.#readBuffer.length) {
      const length = bytes.copy(this.#readBuffer, 0, at);
      connection.received(this.#readBuffer, length);
      this.#readBuffer.fill(POISON, 0, length);
    }
  }

  /** @throws Violation if something went wrong inside. */
  assertSound(): void {
    const [fault] = this.#faults;
    if (fault === undefined) return;
    this.#faults = [];
    const cause = fault instanceof Error ? fault : (fault as { readonly err?: unknown }).err;
    throw new Violation(`a fault of the server's: ${inspect(cause)}`);
  }

  /** @throws Violation if anything is left of connections that are closed. */
  assertClean(): void {
    const left = {
      connections: this.#connections,
      streams: this.#streams,
      pages: this.#pages.taken,
      handlers: this.#ledger.open,
      messageBytes: this.#calls.heldBytes,
    };
    if (Object.values(left).some((count) => count !== 0)) {
      throw new Violation(`something is left of a closed connection: ${JSON.stringify(left)}`);
    }
  }
}

/**
 * zlib's threads answer when they like; here what they would say comes at the end of the turn, so that a case is the same every
 * time, and takes no longer than the others.
 */
function gunzipAtTheEndOfTheTurn(clock: FakeClock): void {
  const real = zlib.gunzipSync;
  const gunzip = (
    bytes: zlib.InputType,
    options: zlib.ZlibOptions,
    callback: (error: Error | null, inflated: Buffer) => void,
  ): void => {
    clock.setImmediate(() => {
      let inflated: Buffer;
      try {
        inflated = real(bytes, options);
      } catch (error) {
        callback(error as Error, Buffer.alloc(0));
        return;
      }
      callback(null, inflated);
    });
  };
  (zlib as { gunzip: unknown }).gunzip = gunzip;
  syncBuiltinESMExports();
}
