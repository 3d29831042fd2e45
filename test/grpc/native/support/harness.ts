// Calls without a network: requests over fake streams, handlers that remember what they heard, and time that a test moves.

import assert from "node:assert/strict";
import type { RequestHeaders } from "../../../../src/http2/request.ts";
import type { CallLimits } from "../../../../src/grpc/native/call-context.ts";
import { Calls } from "../../../../src/grpc/native/calls.ts";
import { Notices } from "../../../../src/grpc/native/notices.ts";
import type { CallHandler, Method, ServerCall } from "../../../../src/grpc/server.ts";
import { silentLogger } from "../../../../src/telemetry/log.ts";
import { createMetrics } from "../../../../src/telemetry/metrics.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { FakeStream } from "./fake-stream.ts";

export const UNARY = "/test.Service/Unary";
export const SERVER_STREAM = "/test.Service/ServerStream";
export const CLIENT_STREAM = "/test.Service/ClientStream";
export const BIDI = "/test.Service/Bidi";

const LIMITS: CallLimits = { messageBytesMax: 4 << 20, receiveBytesMax: 64 << 20, messageTimeoutMs: 30_000 };

/** A handler that remembers, and holds its server to the port's rules. */
export class Handler implements CallHandler {
  readonly call: ServerCall;
  /** What it heard, in order. */
  readonly heard: string[] = [];
  readonly messages: Buffer[] = [];
  onMessage: ((bytes: Buffer) => void) | undefined;
  onHalfClose: (() => void) | undefined;
  onCancelled: (() => void) | undefined;
  goingAway?: (deadlineMs: number) => void;
  #paused = false;
  #calling = false;
  #over = false;

  constructor(call: ServerCall) {
    this.call = call;
  }

  message(buffer: Buffer, start: number, end: number): void {
    const bytes = buffer.subarray(start, end);
    this.#hear(`message ${bytes.length}`);
    assert.ok(!this.#paused, "no message comes to a paused call");
    this.messages.push(Buffer.from(bytes));
    this.onMessage?.(bytes);
  }

  drained(): void {
    this.#hear("drained");
  }

  halfClose(): void {
    this.#hear("halfClose");
    this.onHalfClose?.();
  }

  cancelled(): void {
    this.#hear("cancelled");
    this.#over = true;
    this.onCancelled?.();
  }

  pause(): void {
    this.#do(() => this.call.pause());
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#do(() => this.call.resume());
  }

  send(text: string, compress?: boolean): void {
    this.#do(() => this.call.send(Buffer.from(text), compress));
  }

  end(...status: Parameters<ServerCall["end"]> | []): void {
    this.#do(() => this.call.end(status[0] ?? { code: 0, message: "" }));
    this.#over = true;
  }

  #hear(what: string): void {
    // First, because what a handler throws is caught by the server.
    this.heard.push(what);
    assert.ok(!this.#calling, "a handler is never called from within one of the methods it calls");
    assert.ok(!this.#over, `nothing comes after the end, but ${what} did`);
  }

  #do(act: () => void): void {
    const before = this.#calling;
    this.#calling = true;
    act();
    this.#calling = before;
  }
}

export interface OpenCall {
  readonly stream: FakeStream;
  /** Its handler, which for a method that takes one message is opened by that message. */
  readonly handler: Handler;
  readonly opened: boolean;
}

export class Harness {
  readonly clock = new FakeClock();
  readonly metrics = createMetrics();
  readonly attacks: string[] = [];
  readonly calls: Calls;
  /** Runs when a handler is opened. */
  onOpen: ((handler: Handler) => void) | undefined;
  /** By the peer of their call: each fake stream has its own. */
  readonly #handlers = new Map<string, Handler>();

  constructor(limits: Partial<CallLimits> = {}) {
    const method = (path: string, requestStream: boolean, responseStream: boolean): Method => ({
      path,
      requestStream,
      responseStream,
      open: (call) => {
        const handler = new Handler(call);
        this.#handlers.set(call.peer, handler);
        this.onOpen?.(handler);
        return handler;
      },
    });
    const methods = [
      method(UNARY, false, false),
      method(SERVER_STREAM, false, true),
      method(CLIENT_STREAM, true, false),
      method(BIDI, true, true),
    ];
    const { clock, metrics } = this;
    const observer = { attack: (kind: string) => this.attacks.push(kind) };
    const notices = new Notices(silentLogger(), clock);
    this.calls = new Calls({ metrics, clock, observer, notices }, methods, { ...LIMITS, ...limits });
  }

  /** @param fields beside those that every gRPC request has; undefined leaves one out. */
  open(path: string, fields: Readonly<Record<string, string | undefined>> = {}, method = "POST"): OpenCall {
    return this.openWith(headersOf(path, fields, method));
  }

  openWith(headers: RequestHeaders): OpenCall {
    const stream = new FakeStream();
    stream.receiver = this.calls.open(stream, headers);
    const handlers = this.#handlers;
    return {
      stream,
      get handler() {
        const handler = handlers.get(stream.peer);
        assert.ok(handler !== undefined, "the handler is opened");
        return handler;
      },
      get opened() {
        return handlers.has(stream.peer);
      },
    };
  }

  /** Calls of a method that ended with a code. */
  ended(method: string, code: string): number {
    return this.metrics.grpcCalls.with(method, code).value;
  }
}

export function headersOf(
  path: string,
  fields: Readonly<Record<string, string | undefined>> = {},
  method = "POST",
): RequestHeaders {
  const all = { "content-type": "application/grpc", te: "trailers", ...fields };
  return {
    method,
    scheme: "http",
    path,
    authority: "test",
    contentLength: undefined,
    fields: Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [name, value])),
    memo: undefined,
  };
}

/** A message with its prefix. */
export function framed(message: Uint8Array | string, flag = 0): Buffer {
  const bytes = Buffer.from(message as Uint8Array);
  return Buffer.concat([prefix(bytes.length, flag), bytes]);
}

/** The prefix of a message. */
export function prefix(length: number, flag = 0): Buffer {
  const bytes = Buffer.alloc(5);
  bytes[0] = flag;
  bytes.writeUInt32BE(length, 1);
  return bytes;
}
