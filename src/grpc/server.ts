// The port between a gRPC server and what the service does with its calls: raw message bytes in, raw message bytes out.
//
// It is pushed, not pulled: no Duplex, no promise, no closure per message, so that a server which parses frames in place
// can call a handler with a view into its read buffer.

import type { Code } from "../errors.ts";
import type { Component } from "../lifecycle.ts";

/** Header fields as gRPC has them: bytes for names that end in `-bin`, printable ASCII for others. Names are in lower case. */
export type Metadata = readonly (readonly [name: string, value: string | Uint8Array])[];

/** How a call ended. `details` is a serialized google.rpc.Status for `grpc-status-details-bin`. */
export interface Status {
  readonly code: Code;
  readonly message: string;
  readonly details?: Uint8Array;
  readonly trailers?: Metadata;
}

/** One RPC, seen from the handler. All methods are safe after the call ended; they do nothing then. */
export interface ServerCall {
  /** The client's address, for example `127.0.0.1:53124`. */
  readonly peer: string;
  /** The name in the client's verified certificate; undefined without one, or where the server cannot tell. */
  readonly peerIdentity?: string | undefined;
  /** `header("traceparent")`, without looking for it twice where clients send the same headers again and again. */
  readonly traceparent: string | undefined;
  /** The first value of a request header, by lower-case name. */
  header(name: string): string | undefined;
  /** The first value of a request header whose name ends in `-bin`. */
  binaryHeader(name: string): Uint8Array | undefined;
  /** Whether the message came compressed; valid while `message` runs, undefined where the server cannot tell. */
  readonly messageCompressed?: boolean;
  /** Sends the answer's header fields, before any message; without it, they leave with the first one. */
  sendHeaders(metadata: Metadata): void;
  /** Sends one message. The bytes are lent until this returns. `compress` asks for gzip, where the client takes it. */
  send(message: Uint8Array, compress?: boolean): void;
  /** Bytes that were sent and that the client has not taken yet. */
  readonly unsentBytes: number;
  /** No `message` arrives after this returns, until `resume`; the server stops reading the stream (flow control). */
  pause(): void;
  resume(): void;
  /** Ends the call. */
  end(status: Status): void;
}

/** What a handler does with one call. Called by the server, never from within one of the ServerCall's methods. */
export interface CallHandler {
  /** One message, `buffer[start, end)`, lent until this returns. (A view would cost more than the rest of handing it over.) */
  message(buffer: Buffer, start: number, end: number): void;
  /** `unsentBytes` is 0 again. */
  drained(): void;
  /** The client sends nothing more. */
  halfClose(): void;
  /** The client went away or cancelled; the call is over. Not called after `end`. */
  cancelled(): void;
  /** The client's connection is to end, and other calls will go elsewhere: end by then. @param deadlineMs since the epoch. */
  goingAway?(deadlineMs: number): void;
}

export interface Method {
  /** For example `/sluice.v1.EventIngest/Publish`. */
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  open(call: ServerCall): CallHandler;
}

/** The connections from one address, or of one client certificate. */
export interface CallerState {
  /** Without its port, which is another one for each connection. */
  readonly address: string;
  /** The common name of its certificate, with mTLS. */
  readonly identity: string | undefined;
  readonly connections: number;
  /** Calls that are open. */
  readonly streams: number;
  /** Those of the connection with the most. */
  readonly streamsMax: number;
  /** Answers that it has not taken. */
  readonly unsentBytes: number;
  readonly oldestSeconds: number;
}

/** Who is connected; plain data. */
export interface CallersState {
  readonly server: "native" | "grpc-js";
  /** What this server cannot tell, one sentence each. */
  readonly unknown: readonly string[];
  /** Those with the most streams first, then those with the most connections. */
  readonly callers: readonly CallerState[];
  readonly callersLeftOut: number;
}

export interface GrpcServer extends Component {
  /** Where it listens, once started; the port is the real one. */
  readonly address: { readonly host: string; readonly port: number };
  /** For whoever looks for the cause of an incident. Changes nothing. */
  inspect(): CallersState;
}
