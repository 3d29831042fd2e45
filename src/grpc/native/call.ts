// One RPC over one HTTP/2 stream: what the handler sees of it, and when it is over.
//
// One object for each call, and no closures: at hundreds of thousands of calls a second they would be most of the cost. The
// handler of a method that takes one message is opened when that message is there, so a client that never sends it costs
// nothing behind this.
//
// Invariants: a call ends once. Its handler hears nothing after that but `cancelled`, once, if it was not the handler that
// ended it; and it is never called from within one of the methods that it calls.

import { Code } from "../../errors.ts";
import type { RequestHeaders, RequestReceiver, RequestStream } from "../../http2/request.ts";
import type { CallHandler, Metadata, ServerCall, Status } from "../server.ts";
import type { CallContext } from "./call-context.ts";
import type { Deadline, Expiring } from "./deadlines.ts";
import { gzip } from "./encodings.ts";
import { customHeadersBlock, headersBlock, trailersBlock } from "./header-blocks.ts";
import { MessageReader } from "./message-reader.ts";
import { asciiValue, binaryValue } from "./metadata.ts";
import { prefixOf } from "./prefixes.ts";
import { DEADLINE_PASSED, HANDLER_FAILED } from "./refusals.ts";
import type { GrpcRequest } from "./request.ts";

export class NativeCall extends MessageReader implements ServerCall, RequestReceiver, Expiring {
  readonly #headers: RequestHeaders;
  readonly #request: GrpcRequest;
  #handler: CallHandler | undefined;
  #deadline: Deadline | undefined;
  #headersSent = false;
  /** `grpc-encoding` was sent: messages may be compressed. */
  #gzipAnswers = false;

  constructor(context: CallContext, stream: RequestStream, headers: RequestHeaders, request: GrpcRequest) {
    super(context, stream, !request.served.method.requestStream, request.gzip);
    this.#headers = headers;
    this.#request = request;
  }

  /** Once, before anything is received. */
  begin(): void {
    const { served, timeoutMs } = this.#request;
    if (timeoutMs !== undefined) this.#deadline = this.context.deadlines.add(this, timeoutMs);
    if (served.method.requestStream) this.#open();
  }

  // --- What the handler calls -------------------------------------------------------------------------------------------

  get peer(): string {
    return this.stream.peer;
  }

  get peerIdentity(): string | undefined {
    return this.stream.peerIdentity;
  }

  get traceparent(): string | undefined {
    return this.#request.traceparentOf(this.#headers);
  }

  header(name: string): string | undefined {
    return asciiValue(this.#headers, name);
  }

  binaryHeader(name: string): Uint8Array | undefined {
    return binaryValue(this.#headers, name);
  }

  /** @throws for metadata that cannot be sent. */
  sendHeaders(metadata: Metadata): void {
    if (this.over || this.#headersSent) return;
    // Whether messages will be compressed is not known yet; each of them says it for itself.
    const { acceptsGzip } = this.#request;
    this.#respond(customHeadersBlock(metadata, acceptsGzip, this.#request.gzip), acceptsGzip);
  }

  /** A message that should be compressed is not, if those before it have gone out without `grpc-encoding`. */
  send(message: Uint8Array, compress = false): void {
    if (this.over) return;
    if (!this.#headersSent) {
      const gzipAnswers = compress && this.#request.acceptsGzip;
      this.#respond(headersBlock(gzipAnswers, this.#request.gzip), gzipAnswers);
    }
    const compressed = compress && this.#gzipAnswers;
    const bytes = compressed ? gzip(message) : message;
    this.stream.write(prefixOf(compressed, bytes.length), bytes);
  }

  get unsentBytes(): number {
    return this.stream.unsentBytes;
  }

  /** @throws for trailers that cannot be sent; the call goes on then. */
  end(status: Status): void {
    if (this.over) return;
    this.stream.end(trailersBlock(status, !this.#headersSent));
    this.#finish(status.code);
  }

  // --- What the stream calls --------------------------------------------------------------------------------------------

  drained(): void {
    if (this.over) return;
    try {
      this.#handler?.drained();
    } catch (thrown) {
      this.#handlerThrew(thrown);
    }
  }

  closed(): void {
    if (this.over) return;
    this.#finish(Code.CANCELLED);
    this.#cancelHandler();
  }

  goingAway(deadlineMs: number): void {
    if (this.over) return;
    try {
      this.#handler?.goingAway?.(deadlineMs);
    } catch (thrown) {
      this.#handlerThrew(thrown);
    }
  }

  // --- What the rest of the server calls --------------------------------------------------------------------------------

  expired(): void {
    this.refuse(DEADLINE_PASSED);
  }

  protected override deliver(buffer: Buffer, start: number, end: number): void {
    if (this.#handler === undefined) this.#open();
    if (this.over) return;
    try {
      this.#handler!.message(buffer, start, end);
    } catch (thrown) {
      this.#handlerThrew(thrown);
    }
  }

  protected override requestEnded(): void {
    try {
      this.#handler!.halfClose();
    } catch (thrown) {
      this.#handlerThrew(thrown);
    }
  }

  protected override refuse(status: Status): void {
    if (this.over) return;
    this.end(status);
    this.#cancelHandler();
  }

  #open(): void {
    try {
      this.#handler = this.#request.served.method.open(this);
    } catch (thrown) {
      this.#handlerThrew(thrown);
    }
  }

  #respond(block: Buffer, gzipAnswers: boolean): void {
    this.#headersSent = true;
    this.#gzipAnswers = gzipAnswers;
    this.stream.respond(block);
  }

  #finish(code: Code): void {
    this.stopReading();
    if (this.#deadline !== undefined) this.context.deadlines.cancel(this.#deadline);
    this.#request.served.count(code);
  }

  #cancelHandler(): void {
    try {
      this.#handler?.cancelled();
    } catch (thrown) {
      this.#handlerThrew(thrown);
    }
  }

  /** A bug of ours: it costs this call, not the server. */
  #handlerThrew(thrown: unknown): void {
    const { path } = this.#request.served.method;
    this.context.notices.error("handler_failed", { err: thrown, method: path }, "a gRPC call's handler has thrown");
    this.refuse(HANDLER_FAILED);
  }
}
