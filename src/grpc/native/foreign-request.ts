// A request that is no call of gRPC: somebody with curl or a browser, a health check by GET, a client of another protocol.
//
// It is answered as HTTP has it, with a text for people, and with gRPC's status in the trailers. The answer waits for the end
// of the request: what breaks a rule after an early answer could not be told from what was on its way.

import type { Code } from "../../errors.ts";
import type { RequestReceiver, RequestStream } from "../../http2/request.ts";
import type { Status } from "../server.ts";
import { foreignHeadersBlock, trailersBlock } from "./header-blocks.ts";

const NO_PREFIX = Buffer.alloc(0);

/** What is answered, the same for every request with the same header list. */
export class ForeignRequest {
  readonly code: Code;
  readonly headers: Buffer;
  /** Empty where HTTP wants none. */
  readonly body: Buffer;
  readonly trailers: Buffer;

  /** @param method of HTTP. */
  constructor(httpStatus: "405" | "415", method: string, status: Status) {
    this.code = status.code;
    this.headers = foreignHeadersBlock(httpStatus);
    this.body = Buffer.from(method === "HEAD" ? "" : `This is a gRPC server: ${status.message}.\n`);
    this.trailers = trailersBlock(status, false);
  }
}

/** Hears such a request to its end, and answers. */
export class ForeignExchange implements RequestReceiver {
  readonly #stream: RequestStream;
  readonly #request: ForeignRequest;

  constructor(stream: RequestStream, request: ForeignRequest) {
    this.#stream = stream;
    this.#request = request;
  }

  data(_buffer: Buffer, start: number, end: number): void {
    this.#stream.consume(end - start);
  }

  ended(): void {
    const { headers, body, trailers } = this.#request;
    this.#stream.respond(headers);
    if (body.length > 0) this.#stream.write(NO_PREFIX, body);
    this.#stream.end(trailers);
  }

  drained(): void {}
  closed(): void {}
  goingAway(): void {}
}
