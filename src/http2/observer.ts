// What an HTTP/2 server tells of itself. It has no metrics and no log of its own: whoever builds it binds these to both.

import type { Attack } from "./error-code.ts";

export type Direction = "sent" | "received";

/** Why a connection ended, as a metric label. */
export type CloseReason =
  | "client" // the client closed it, or said GOAWAY and left
  | "lost" // the socket broke
  | "protocol" // it broke a rule of the protocol
  | "attack" // it went over a limit
  | "keepalive" // it did not answer our PING
  | "idle"
  | "age"
  | "drain" // the server goes away
  | "not_http2"
  | "over_limit"; // one connection too many

export interface Http2Observer {
  /** @param peer the name that the client has shown, or its address with its port. */
  connectionOpened(peer: string): void;
  connectionClosed(reason: CloseReason, ageMs: number, peer: string): void;
  streamOpened(): void;
  streamClosed(ageMs: number): void;
  bytes(direction: Direction, count: number): void;
  /** A stream or the connection had bytes to send and no window for them. */
  windowStalled(): void;
  /** @param code an ErrorCode, or whatever a client made up. */
  reset(direction: Direction, code: number): void;
  goaway(direction: Direction, code: number): void;
  /** A limit was hit. @param detail one line for people: what was counted and which setting limits it. */
  attack(kind: Attack, peer: string, detail: string): void;
  /** A bug of ours, caught where it would have ended the process; its connection is ended instead. */
  fault(thrown: unknown): void;
  /** TLS could not be agreed on. */
  handshakeFailed(reason: string, peer: string): void;
}
