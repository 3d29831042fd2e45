// What the HTTP/2 server tells of itself, as metrics and log lines.
//
// Peer addresses are in log lines only: as labels, they would be as many as there are clients.

import { type Attack, ATTACKS, errorCodeName } from "../../http2/error-code.ts";
import type { CloseReason, Direction, Http2Observer } from "../../http2/observer.ts";
import type { TimeHistogram } from "../../telemetry/histograms.ts";
import type { Counter, Gauge } from "../../telemetry/instruments.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { CallerConnections } from "./caller-connections.ts";
import type { Notices } from "./notices.ts";

/** Reasons that clients can bring about, as labels; what comes after that many is `other`. */
const HANDSHAKE_REASONS_MAX = 32;
const HANDSHAKE_HINTS: Readonly<Record<string, string>> = {
  no_alpn: "the client does not offer h2 by ALPN: it is no gRPC client, or a very old one",
  ECONNRESET: "the client hung up: it does not trust the certificate, or it only looked whether the port is open",
  ERR_SSL_WRONG_VERSION_NUMBER: "the client speaks plaintext: it has to use TLS here",
  ERR_SSL_HTTP_REQUEST: "the client speaks plaintext HTTP/1.1 on a port with TLS",
  ERR_SSL_NO_APPLICATION_PROTOCOL: "the client does not offer h2: it is no gRPC client",
  ERR_SSL_UNSUPPORTED_PROTOCOL: "the client knows no TLS newer than 1.1",
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    "the client shows no certificate, and GRPC_TLS_CLIENT_CA_FILE asks for one",
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: "the client does not know the authority that signed GRPC_TLS_CERT_FILE",
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: "the client does not take GRPC_TLS_CERT_FILE",
  ERR_TLS_HANDSHAKE_TIMEOUT: "the client did not end the handshake within GRPC_HANDSHAKE_TIMEOUT",
  CERT_HAS_EXPIRED: "the client's certificate has expired",
  DEPTH_ZERO_SELF_SIGNED_CERT: "GRPC_TLS_CLIENT_CA_FILE has not signed the client's certificate",
  SELF_SIGNED_CERT_IN_CHAIN: "GRPC_TLS_CLIENT_CA_FILE has not signed the client's certificate",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "GRPC_TLS_CLIENT_CA_FILE has not signed the client's certificate",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "GRPC_TLS_CLIENT_CA_FILE has not signed the client's certificate",
};

export class TransportObserver implements Http2Observer {
  readonly #metrics: Metrics;
  readonly #notices: Notices;
  readonly #callers: CallerConnections;
  readonly #connections: Gauge;
  readonly #connectionsOpened: Counter;
  readonly #connectionAge: TimeHistogram;
  readonly #streams: Gauge;
  readonly #streamAge: TimeHistogram;
  readonly #received: Counter;
  readonly #sent: Counter;
  readonly #stalls: Counter;
  readonly #handshakeReasons = new Set<string>();

  constructor(metrics: Metrics, notices: Notices) {
    this.#metrics = metrics;
    this.#notices = notices;
    this.#callers = new CallerConnections(metrics);
    this.#connections = metrics.grpcConnections.with();
    this.#connectionsOpened = metrics.grpcConnectionsOpened.with();
    this.#connectionAge = metrics.grpcConnectionAge.with();
    this.#streams = metrics.grpcHttp2Streams.with();
    this.#streamAge = metrics.grpcStreamAge.with();
    this.#received = metrics.grpcReceivedBytes.with();
    this.#sent = metrics.grpcSentBytes.with();
    this.#stalls = metrics.grpcWindowStalls.with();
    // From the beginning, so that the first of a kind is a step that can be seen.
    for (const attack of ATTACKS) metrics.grpcAttacks.with(attack);
  }

  connectionOpened(peer: string): void {
    this.#callers.opened(peer);
    this.#connections.inc();
    this.#connectionsOpened.inc();
  }

  connectionClosed(reason: CloseReason, ageMs: number, peer: string): void {
    this.#callers.closed(peer);
    this.#connections.dec();
    this.#metrics.grpcConnectionsClosed.with(reason).inc();
    this.#connectionAge.observe(ageMs);
  }

  streamOpened(): void {
    this.#streams.inc();
  }

  streamClosed(ageMs: number): void {
    this.#streams.dec();
    this.#streamAge.observe(ageMs);
  }

  bytes(direction: Direction, count: number): void {
    if (direction === "received") this.#received.inc(count);
    else this.#sent.inc(count);
  }

  windowStalled(): void {
    this.#stalls.inc();
  }

  reset(direction: Direction, code: number): void {
    this.#metrics.grpcResets.with(direction, errorCodeName(code)).inc();
  }

  goaway(direction: Direction, code: number): void {
    this.#metrics.grpcGoaways.with(direction, errorCodeName(code)).inc();
  }

  attack(kind: Attack, peer: string, detail: string): void {
    this.#metrics.grpcAttacks.with(kind).inc();
    this.#notices.warn(`attack:${kind}`, { attack: kind, peer, detail }, "a gRPC client has gone over a limit");
  }

  handshakeFailed(reason: string, peer: string): void {
    const known = this.#handshakeReasons.has(reason) || this.#handshakeReasons.size < HANDSHAKE_REASONS_MAX;
    if (known) this.#handshakeReasons.add(reason);
    this.#metrics.grpcHandshakeFailures.with(known ? reason : "other").inc();
    // Those that only look whether the port is open must not hide the others.
    const hint = HANDSHAKE_HINTS[reason];
    this.#notices.warn(
      reason === "ECONNRESET" ? "handshake:lost" : "handshake",
      { reason, peer, hint },
      "a gRPC connection's TLS handshake has failed",
    );
  }

  fault(error: unknown): void {
    this.#notices.error("fault", { err: error }, "a gRPC connection has failed because of a bug of the server's");
  }
}
