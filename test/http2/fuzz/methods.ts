// The methods that the fuzzer's clients call: those that say back what they are told, one of which stops its client meanwhile.
// All of them are behind a guard that knows what the port promises to handlers.

import type { Clock } from "../../../src/clock.ts";
import { Code } from "../../../src/errors.ts";
import type { CallHandler, Metadata, Method, ServerCall, Status } from "../../../src/grpc/server.ts";
import { EchoCounts, echoMethods, JOIN, REPEAT, STREAM, UNARY } from "../support/echo.ts";

export const PAUSING = "/test.Echo/Pausing";

/** Echoes each message a turn after it came, and takes no other one until then. */
class Pausing implements CallHandler {
  readonly #call: ServerCall;
  readonly #clock: Clock;

  constructor(call: ServerCall, clock: Clock) {
    this.#call = call;
    this.#clock = clock;
  }

  message(buffer: Buffer, start: number, end: number): void {
    const copy = Buffer.from(buffer.subarray(start, end));
    this.#call.pause();
    this.#clock.setImmediate(() => {
      this.#call.send(copy);
      this.#call.resume();
    });
  }

  drained(): void {}

  halfClose(): void {
    this.#call.end({ code: Code.OK, message: "" });
  }

  cancelled(): void {}
}

/** What became of the promises. */
export interface Ledger {
  /** Handlers that were opened, and have neither ended their call nor been told that it has ended. */
  open: number;
  /** Told of each promise that is not kept. */
  readonly broken: (what: string) => void;
}

/** A handler and its call, and what they may expect: see CallHandler. */
class Guarded implements CallHandler, ServerCall {
  readonly #call: ServerCall;
  readonly #handler: CallHandler;
  readonly #ledger: Ledger;
  #over = false;
  #halfClosed = false;
  #paused = false;
  /** One of the call's methods runs. */
  #inside = false;

  constructor(method: Method, call: ServerCall, ledger: Ledger) {
    this.#call = call;
    this.#ledger = ledger;
    ledger.open++;
    this.#handler = method.open(this);
  }

  get peer(): string {
    return this.#call.peer;
  }

  get unsentBytes(): number {
    return this.#call.unsentBytes;
  }

  get traceparent(): string | undefined {
    return this.#call.traceparent;
  }

  header(name: string): string | undefined {
    return this.#call.header(name);
  }

  binaryHeader(name: string): Uint8Array | undefined {
    return this.#call.binaryHeader(name);
  }

  sendHeaders(metadata: Metadata): void {
    this.#do(() => this.#call.sendHeaders(metadata));
  }

  send(message: Uint8Array): void {
    this.#do(() => this.#call.send(message));
  }

  pause(): void {
    this.#paused = true;
    this.#do(() => this.#call.pause());
  }

  resume(): void {
    this.#paused = false;
    this.#do(() => this.#call.resume());
  }

  end(status: Status): void {
    this.#isOver();
    this.#do(() => this.#call.end(status));
  }

  message(buffer: Buffer, start: number, end: number): void {
    this.#expect("a message");
    if (this.#halfClosed) this.#ledger.broken("a message after the end of the request");
    if (this.#paused) this.#ledger.broken("a message of a call that is paused");
    this.#handler.message(buffer, start, end);
  }

  drained(): void {
    this.#expect("drained");
    this.#handler.drained();
  }

  halfClose(): void {
    this.#expect("the end of the request");
    if (this.#halfClosed) this.#ledger.broken("the end of a request, twice");
    this.#halfClosed = true;
    this.#handler.halfClose();
  }

  cancelled(): void {
    this.#expect("cancelled");
    this.#isOver();
    this.#handler.cancelled();
  }

  #isOver(): void {
    if (!this.#over) this.#ledger.open--;
    this.#over = true;
  }

  #do(what: () => void): void {
    const before = this.#inside;
    this.#inside = true;
    what();
    this.#inside = before;
  }

  #expect(what: string): void {
    if (this.#over) this.#ledger.broken(`${what}, and the call is over`);
    if (this.#inside) this.#ledger.broken(`${what}, from within a method of the call`);
  }
}

export function fuzzMethods(clock: Clock, ledger: Ledger): Method[] {
  const echoes = echoMethods(new EchoCounts()).filter(({ path }) => [UNARY, STREAM, JOIN, REPEAT].includes(path));
  const pausing: Method = {
    path: PAUSING,
    requestStream: true,
    responseStream: true,
    open: (call) => new Pausing(call, clock),
  };
  return [...echoes, pausing].map((method) => ({
    ...method,
    open: (call) => new Guarded(method, call, ledger),
  }));
}
