// One client's connection to a fake broker: requests are taken up one after the other and answered in their order, as a
// real broker does, so a delayed answer holds back everything behind it.

import type { Duplex } from "node:stream";

import type { Clock, Timer } from "../../../src/clock.ts";
import { ANSWERS, type ApiContext, unsupportedApiVersions } from "./apis.ts";
import { appendAll, type AppendOptions, endpointsOf } from "./append.ts";
import type { Fault, Hooks, RequestInfo } from "./hooks.ts";
import { readProduce, writeProduce } from "./produce.ts";
import { type ByteReader, FrameReader, ProtocolError } from "./reader.ts";
import type { ClusterState } from "./state.ts";
import { apiName, FLEXIBLE_SINCE, SPOKEN, type VersionRanges } from "./versions.ts";
import { ByteWriter } from "./writer.ts";

/** What a connection knows of its broker and cluster. */
export interface BrokerContext extends Omit<AppendOptions, "refuse"> {
  readonly nodeId: number;
  readonly state: ClusterState;
  readonly versions: VersionRanges;
  readonly autoCreatePartitions: number;
  readonly clock: Clock;
  readonly hooks: Hooks;
  /** True while the broker takes bytes and does nothing with them. */
  paused(): boolean;
  /** Every request, as it is taken up. */
  requested(request: RequestInfo): void;
  /** Something was sent that a real broker would end the connection for. */
  violated(message: string): void;
}

export class FakeConnection {
  readonly #id: number;
  readonly #context: BrokerContext;
  readonly #socket: Duplex;
  readonly #frames = new FrameReader();
  /** Pending while the current request's answer, or a throttle, is waited for. */
  #timer: Timer | undefined;
  #answers = true;
  #closed = false;

  constructor(id: number, context: BrokerContext, socket: Duplex) {
    this.#id = id;
    this.#context = context;
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#frames.push(chunk);
      this.pump();
    });
    // A client that is gone is what tests are made of; `close` follows and cleans up.
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#closed = true;
      if (this.#timer !== undefined) context.clock.clearTimeout(this.#timer);
      this.#timer = undefined;
    });
  }

  /** Takes up what has arrived, unless something holds it back. */
  pump(): void {
    this.#socket.cork();
    try {
      while (!this.#closed && this.#timer === undefined && !this.#context.paused()) {
        const frame = this.#frames.next();
        if (frame === undefined) break;
        this.#handle(frame);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError || error instanceof RangeError)) throw error;
      this.#context.violated(error.message);
      this.close();
    } finally {
      this.#socket.uncork();
    }
  }

  close(): void {
    this.#closed = true;
    this.#socket.destroy();
  }

  // Request header v1, v2 => api_key INT16, api_version INT16, correlation_id INT32, client_id NULLABLE_STRING, TAGS(v2)
  #handle(reader: ByteReader): void {
    const context = this.#context;
    const key = reader.int16();
    const version = reader.int16();
    const correlationId = reader.int32();
    const clientId = reader.nullableString();
    const api = apiName(key);
    if (api === undefined) throw new ProtocolError(`API ${key} is not one of the double's`);
    const request = {
      nodeId: context.nodeId,
      api,
      version,
      correlationId,
      clientId,
      connection: this.#id,
      atMs: context.clock.monotonic(),
    };
    context.requested(request);

    if (api === "ApiVersions" && version > context.versions.ApiVersions[1]) {
      const writer = ByteWriter.response(correlationId, false);
      unsupportedApiVersions(context.versions, writer);
      this.#deliver(writer.frame(), undefined);
      return;
    }
    if (!within(version, context.versions[api]) || !within(version, SPOKEN[api])) {
      throw new ProtocolError(`${api} v${version} is not among the versions spoken here`);
    }
    const flexible = version >= FLEXIBLE_SINCE[api];
    reader.flexible = flexible;
    reader.tags();
    // The response to ApiVersions never has tags in its header (KIP-511).
    const writer = ByteWriter.response(correlationId, flexible, flexible && api !== "ApiVersions");
    if (api === "Produce") {
      this.#produce(request, reader, writer);
      return;
    }
    const fault = context.hooks.onRequest?.(request);
    if (fault?.action === "disconnect" && fault.when === "before") {
      this.#deliver(undefined, fault);
      return;
    }
    const apiContext: ApiContext = {
      state: context.state,
      versions: context.versions,
      autoCreatePartitions: context.autoCreatePartitions,
      throttleMs: fault?.throttleMs ?? 0,
      errorCode: fault?.action === "error" ? fault.code : 0,
    };
    ANSWERS[api](apiContext, version, reader, writer);
    if (reader.remaining > 0) throw new ProtocolError(`${reader.remaining} bytes after a ${api} v${version} request`);
    this.#deliver(writer.frame(), fault);
  }

  #produce(request: RequestInfo, reader: ByteReader, writer: ByteWriter): void {
    const { hooks, state, nodeId, store, verify } = this.#context;
    const body = readProduce(reader, store || verify);
    const fault = hooks.onProduce?.({ ...request, ...body });
    if (fault?.action === "disconnect" && fault.when === "before") {
      this.#deliver(undefined, fault);
      return;
    }
    const options = { store, verify, refuse: hooks.onAppend };
    const results = appendAll(state, nodeId, body.partitions, options, fault);
    writeProduce(writer, request.version, results, fault?.throttleMs ?? 0, endpointsOf(state, results));
    this.#deliver(body.acks === 0 ? undefined : writer.frame(), fault);
  }

  #deliver(frame: Buffer | undefined, fault: Fault | undefined): void {
    const delayMs = fault?.delayMs ?? 0;
    if (delayMs > 0) {
      this.#after(delayMs, () => {
        this.#conclude(frame, fault);
      });
    } else {
      this.#conclude(frame, fault);
    }
  }

  #conclude(frame: Buffer | undefined, fault: Fault | undefined): void {
    if (fault?.action === "disconnect") {
      this.close();
      return;
    }
    if (fault?.action === "drop-response") this.#answers = false;
    if (frame !== undefined && this.#answers) this.#socket.write(frame);
    const throttleMs = fault?.throttleMs ?? 0;
    if (throttleMs > 0) this.#after(throttleMs, () => undefined);
  }

  #after(delayMs: number, act: () => void): void {
    this.#timer = this.#context.clock.setTimeout(() => {
      this.#timer = undefined;
      act();
      this.pump();
    }, delayMs);
  }
}

function within(version: number, [min, max]: readonly [min: number, max: number]): boolean {
  return version >= min && version <= max;
}
