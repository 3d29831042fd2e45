// Methods that say back what they are told, and some that answer nothing, or more than anybody asked for.

import { Code } from "../../../src/errors.ts";
import type { CallHandler, Method, ServerCall } from "../../../src/grpc/server.ts";

const OK = { code: Code.OK, message: "" } as const;
export const REPEATS = 3;
const FLOOD_MESSAGE_BYTES = 16_384;

/** What became of the calls. */
export class EchoCounts {
  opened = 0;
  messages = 0;
  halfClosed = 0;
  cancelled = 0;
}

abstract class Echo implements CallHandler {
  protected readonly call: ServerCall;
  protected readonly counts: EchoCounts;

  constructor(call: ServerCall, counts: EchoCounts) {
    this.call = call;
    this.counts = counts;
    counts.opened++;
  }

  message(buffer: Buffer, start: number, end: number): void {
    const bytes = buffer.subarray(start, end);
    this.counts.messages++;
    this.take(bytes);
  }

  halfClose(): void {
    this.counts.halfClosed++;
    this.done();
  }

  cancelled(): void {
    this.counts.cancelled++;
  }

  drained(): void {}

  protected abstract take(bytes: Buffer): void;
  protected abstract done(): void;
}

/** Each message comes back, and the end of the request is the end of the answer. */
class EchoBack extends Echo {
  protected take(bytes: Buffer): void {
    this.call.send(Buffer.from(bytes));
  }

  protected done(): void {
    this.call.end(OK);
  }
}

/** The whole request comes back as one message when it has ended. */
class Join extends Echo {
  readonly #parts: Buffer[] = [];

  protected take(bytes: Buffer): void {
    this.#parts.push(Buffer.from(bytes));
  }

  protected done(): void {
    this.call.send(Buffer.concat(this.#parts));
    this.call.end(OK);
  }
}

/** The message comes back REPEATS times. */
class Repeat extends Echo {
  protected take(bytes: Buffer): void {
    for (let i = 0; i < REPEATS; i++) this.call.send(Buffer.from(bytes));
  }

  protected done(): void {
    this.call.end(OK);
  }
}

/** Never answers. */
class Hold extends Echo {
  protected take(): void {}
  protected done(): void {}
}

/** Takes one message, and stops its client from sending more. */
class Stop extends Echo {
  protected take(): void {
    this.call.pause();
  }

  protected done(): void {}
}

/** Sends for ever, but only while the client takes it. */
class Flood extends Echo {
  protected take(): void {
    this.drained();
  }

  protected done(): void {}

  override drained(): void {
    while (this.call.unsentBytes === 0) this.call.send(Buffer.alloc(FLOOD_MESSAGE_BYTES, 0x66));
  }
}

/** Answers with as many bytes as the message says in decimal, at once. */
class Large extends Echo {
  protected take(bytes: Buffer): void {
    this.call.send(Buffer.alloc(Number(bytes.toString()), 0x6c));
  }

  protected done(): void {
    this.call.end(OK);
  }
}

export const UNARY = "/test.Echo/Unary";
export const STREAM = "/test.Echo/Stream";
export const JOIN = "/test.Echo/Join";
export const REPEAT = "/test.Echo/Repeat";
export const HOLD = "/test.Echo/Hold";
export const STOP = "/test.Echo/Stop";
export const FLOOD = "/test.Echo/Flood";
export const LARGE = "/test.Echo/Large";

export function echoMethods(counts: EchoCounts): Method[] {
  const method = (
    path: string,
    streaming: boolean,
    open: (call: ServerCall) => CallHandler,
    responseStream = streaming,
  ): Method => ({ path, requestStream: streaming, responseStream, open });
  return [
    method(UNARY, false, (call) => new EchoBack(call, counts)),
    method(STREAM, true, (call) => new EchoBack(call, counts)),
    method(JOIN, true, (call) => new Join(call, counts), false),
    method(REPEAT, false, (call) => new Repeat(call, counts), true),
    method(HOLD, true, (call) => new Hold(call, counts)),
    method(STOP, true, (call) => new Stop(call, counts)),
    method(FLOOD, true, (call) => new Flood(call, counts)),
    method(LARGE, true, (call) => new Large(call, counts)),
  ];
}
