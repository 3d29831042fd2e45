// The first bytes of a connection: HTTP/2's preface, or what somebody else says who came to the wrong port.

import { Buffer } from "node:buffer";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

const HTTP1 = Buffer.from(
  [
    "HTTP/1.1 400 Bad Request",
    "Content-Type: text/plain; charset=utf-8",
    "Connection: close",
    "",
    "This port speaks gRPC over HTTP/2: use a gRPC client, or curl --http2-prior-knowledge. Metrics and health are on the admin port.",
    "",
  ].join("\r\n"),
);
/** For those who come over TLS and agree on no protocol, or on none of ours. */
export const NO_ALPN = Buffer.from(
  [
    "HTTP/1.1 400 Bad Request",
    "Content-Type: text/plain; charset=utf-8",
    "Connection: close",
    "",
    "This port speaks gRPC over HTTP/2, and over TLS it has to be negotiated: offer h2 by ALPN, as gRPC clients and curl --http2 do.",
    "",
  ].join("\r\n"),
);
const HTTP1_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
const TLS_HANDSHAKE = 0x16;

/** What to answer to bytes that are no preface, and what to log. */
export interface Stranger {
  readonly answer: Buffer | undefined;
  readonly detail: string;
}

/** Reads it, in however many pieces it comes. */
export class PrefaceReader {
  #bytes = 0;

  /** All of it has come. */
  get complete(): boolean {
    return this.#bytes === PREFACE.length;
  }

  /** Reads on in `buffer[0, length)`. @returns where in it frames may begin, or who it is that sends something else. */
  read(buffer: Buffer, length: number): number | Stranger {
    let at = 0;
    while (at < length && this.#bytes < PREFACE.length) {
      if (buffer[at] !== PREFACE[this.#bytes]) {
        return strangerOf(Buffer.concat([PREFACE.subarray(0, this.#bytes), buffer.subarray(at, length)]));
      }
      at++;
      this.#bytes++;
    }
    return at;
  }
}

/** @param start of what the client sent, as far as it is there. */
function strangerOf(start: Buffer): Stranger {
  if (start[0] === TLS_HANDSHAKE) {
    return {
      answer: undefined,
      detail: "a TLS handshake on a port without TLS: set GRPC_TLS_CERT_FILE, or connect in plaintext",
    };
  }
  const text = start.toString("latin1");
  if (HTTP1_METHODS.some((method) => text.startsWith(`${method} `)))
    return { answer: HTTP1, detail: "HTTP/1.1 on a port that speaks HTTP/2 only" };
  return { answer: undefined, detail: "bytes that are no HTTP/2 connection preface" };
}
