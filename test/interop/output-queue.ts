// The messages that a client has asked a streaming call for, sent one after the other, each after its interval.

import { create, toBinary } from "@bufbuild/protobuf";
import type { ServerCall } from "../../src/grpc/server.ts";
import { type ResponseParameters, StreamingOutputCallResponseSchema } from "./gen/grpc/testing/messages_pb.js";

/** Beyond it the client has to take some before more is made. */
const UNSENT_BYTES_MAX = 1024 * 1024;

export class OutputQueue {
  readonly #call: ServerCall;
  readonly #onEmpty: () => void;
  readonly #queue: ResponseParameters[] = [];
  #timer: NodeJS.Timeout | undefined;
  #finished = false;
  #over = false;

  /** @param onEmpty called once, when all is sent after `finish`. */
  constructor(call: ServerCall, onEmpty: () => void) {
    this.#call = call;
    this.#onEmpty = onEmpty;
  }

  push(parameters: readonly ResponseParameters[]): void {
    this.#queue.push(...parameters);
    this.#send();
  }

  /** Nothing more is pushed. */
  finish(): void {
    this.#finished = true;
    this.#send();
  }

  /** The client has taken what was sent. */
  drained(): void {
    this.#send();
  }

  /** The call is over: nothing is sent any more. */
  cancel(): void {
    this.#over = true;
    clearTimeout(this.#timer);
  }

  #send(): void {
    while (!this.#over && this.#timer === undefined && this.#call.unsentBytes < UNSENT_BYTES_MAX) {
      const next = this.#queue.shift();
      if (next === undefined) {
        if (!this.#finished) return;
        this.#over = true;
        this.#onEmpty();
        return;
      }
      if (next.intervalUs > 0) {
        this.#timer = setTimeout(() => {
          this.#timer = undefined;
          this.#sendOne(next);
          this.#send();
        }, next.intervalUs / 1000);
        return;
      }
      this.#sendOne(next);
    }
  }

  #sendOne({ size, compressed }: ResponseParameters): void {
    const response = create(StreamingOutputCallResponseSchema, { payload: { body: new Uint8Array(size) } });
    this.#call.send(toBinary(StreamingOutputCallResponseSchema, response), compressed?.value ?? false);
  }
}
