// What the HTTP/2 server and its user know of each other: one request and its answer, pushed both ways.
//
// Rejected: Duplex streams, promises and header maps, as node:http2 has them; they are most of what a small request costs
// there. Body bytes are lent for the length of a call, and flow-control credit is given back by whoever took them.

import type { ErrorCode } from "./error-code.ts";

/** A request's header list, checked as RFC 9113 section 8 asks. Shared by all requests with the same header block: never changed. */
export interface RequestHeaders {
  readonly method: string;
  readonly scheme: string;
  readonly path: string;
  /** Of `:authority`, or of `host`. */
  readonly authority: string | undefined;
  /** Of `content-length`. */
  readonly contentLength: number | undefined;
  /** Regular fields as [name, value, name, value, ...], names in lower case, in the order sent. */
  readonly fields: readonly string[];
  /** What the server's user has made of this list, kept for the next request that has the same one. */
  memo: unknown;
}

/** The value of the first field of this name. @param name in lower case. */
export function fieldOf(headers: RequestHeaders, name: string): string | undefined {
  const { fields } = headers;
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return fields[i + 1];
  return undefined;
}

/**
 * A request as its handler sees it. Every method is safe at any time and does nothing once the exchange is over. None of them
 * calls the receiver before it returns.
 */
export interface RequestStream {
  /** The client's address, for example `127.0.0.1:53124`. */
  readonly peer: string;
  /** The subject of the client's certificate, where one was asked for and verified. */
  readonly peerIdentity: string | undefined;
  /** False once the answer is complete, or the stream was reset, or the connection is gone. */
  readonly open: boolean;
  /** Bytes of the answer's body that are written and not on the socket yet. */
  readonly unsentBytes: number;
  /** Sends the answer's header block. @param block as `encodeHeaders` makes it; it is not changed or kept. */
  respond(block: Uint8Array): void;
  /** Sends body bytes, `prefix` before `bytes`. They are lent until this returns. `respond` comes first. */
  write(prefix: Uint8Array, bytes: Uint8Array): void;
  /**
   * Ends the answer with trailers, or, where nothing was sent before, with a header block alone. If the client has not ended
   * its request, it is told to stop (RST_STREAM with NO_ERROR).
   */
  end(block: Uint8Array): void;
  /** Ends the exchange at once. */
  reset(code: ErrorCode): void;
  /** Gives back flow-control credit for body bytes that `data` has brought and that are dealt with. */
  consume(bytes: number): void;
}

/** What the handler of a request is told. */
export interface RequestReceiver {
  /** Body bytes `buffer[start, end)`, lent until this returns. All of them have to be given back by `consume`, now or later. */
  data(buffer: Buffer, start: number, end: number): void;
  /** The request is complete. */
  ended(): void;
  /** `unsentBytes` is 0 again, having been more. */
  drained(): void;
  /**
   * The exchange is over without an answer of ours being complete: the client reset it, or broke a rule, or is gone. Nothing
   * follows.
   */
  closed(code: ErrorCode): void;
  /** The connection is to end: finish by then. @param deadlineMs milliseconds since the epoch. */
  goingAway(deadlineMs: number): void;
}

/** Takes a request. What it returns is told the rest of it; it may have answered already. */
export type RequestHandler = (stream: RequestStream, headers: RequestHeaders) => RequestReceiver;
