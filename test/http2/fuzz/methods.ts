// The methods that the fuzzer's clients call: those that say back what they are told, one of which stops its client meanwhile.

import type { Clock } from "../../../src/clock.ts";
import { Code } from "../../../src/errors.ts";
import type { CallHandler, Method, ServerCall } from "../../../src/grpc/server.ts";
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

  message(bytes: Buffer): void {
    const copy = Buffer.from(bytes);
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

export function fuzzMethods(clock: Clock): { readonly methods: Method[]; readonly counts: EchoCounts } {
  const counts = new EchoCounts();
  const echoes = echoMethods(counts).filter(({ path }) => [UNARY, STREAM, JOIN, REPEAT].includes(path));
  const pausing: Method = {
    path: PAUSING,
    requestStream: true,
    responseStream: true,
    open: (call) => new Pausing(call, clock),
  };
  return { methods: [...echoes, pausing], counts };
}
