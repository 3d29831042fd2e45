// Why a connection cannot be made, where gRPC says "Failed to connect": found out by one more attempt, with TLS alone.
//
//   this client   the port        what the attempt shows
//   plaintext     TLS             a handshake, or an alert, which is TLS, too
//   TLS           plaintext       bytes that are no TLS
//   TLS           TLS             whose certificate is not taken: the error's code, an alert, or a close after the handshake

import { once } from "node:events";
import { connect, type ConnectionOptions, type PeerCertificate, type TLSSocket } from "node:tls";
import type { ClientTls, HostPort } from "./tls.ts";

/** What stands in the way. */
export type ObstacleKind =
  | "tls_needed"
  | "plaintext_needed"
  | "untrusted"
  | "expired"
  | "other_name"
  | "certificate_needed"
  | "certificate_refused";

/** The message follows the address: "127.0.0.1:50051 speaks TLS, ...". */
export class Obstacle extends Error {
  override readonly name = "Obstacle";
  readonly kind: ObstacleKind;

  constructor(kind: ObstacleKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}

/** The preface of HTTP/2 and empty SETTINGS: whoever lets us in answers. */
const HELLO = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);

export const NOT_TLS: ReadonlySet<string> = new Set([
  "ERR_SSL_WRONG_VERSION_NUMBER",
  "ERR_SSL_PACKET_LENGTH_TOO_LONG",
  "ERR_SSL_RECORD_TOO_SMALL",
  "ERR_SSL_HTTP_REQUEST",
]);
export const UNTRUSTED: ReadonlySet<string> = new Set([
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "CERT_SIGNATURE_FAILURE",
  "CERT_REJECTED",
]);
export const EXPIRED: ReadonlySet<string> = new Set(["CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"]);
const NEEDED: ReadonlySet<string> = new Set([
  "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED",
  // What TLS 1.2 says for it.
  "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE",
  "ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE",
]);

/**
 * @param tls undefined: the client speaks plaintext.
 * @returns undefined if it is none of these: most likely nothing listens there.
 */
export async function obstacleTo(
  { host, port }: HostPort,
  tls: ClientTls | undefined,
  timeoutMs: number,
): Promise<Obstacle | undefined> {
  const options = tls === undefined ? { rejectUnauthorized: false, ALPNProtocols: ["h2"] } : tls.connection;
  const attempt = await attemptTls({ host, port, ...options }, timeoutMs);
  return tls === undefined ? obstacleInPlaintext(attempt) : obstacleInTls(attempt, tls);
}

interface Attempt {
  /** The handshake ended well on our side. */
  readonly secure: boolean;
  /** Something came over it. */
  readonly answered: boolean;
  readonly closed: boolean;
  readonly error: (Error & { readonly code?: unknown }) | undefined;
}

async function attemptTls(options: ConnectionOptions, timeoutMs: number): Promise<Attempt> {
  const signal = AbortSignal.timeout(timeoutMs);
  let error: Error | undefined;
  let secure = false;
  let answered = false;
  let socket: TLSSocket | undefined;
  try {
    socket = connect(options);
    socket.on("error", (thrown: Error) => (error ??= thrown));
    socket.once("secureConnect", () => {
      secure = true;
      socket?.write(HELLO);
    });
    const over = once(socket, "close", { signal });
    const data = once(socket, "data", { signal }).then(() => (answered = true));
    await Promise.race([over, data]).finally(() => {
      over.catch(() => {});
      data.catch(() => {});
    });
  } catch (thrown) {
    if (!signal.aborted) error ??= thrown instanceof Error ? thrown : new Error(String(thrown));
  }
  const closed = !answered && !signal.aborted;
  socket?.destroy();
  return { secure, answered, closed, error };
}

function codeOf({ error }: Attempt): string {
  return typeof error?.code === "string" ? error.code : "";
}

function obstacleInPlaintext(attempt: Attempt): Obstacle | undefined {
  if (!attempt.secure && !codeOf(attempt).includes("_ALERT_")) return undefined;
  return new Obstacle("tls_needed", "speaks TLS, and this client plaintext", attempt.error);
}

function obstacleInTls(attempt: Attempt, tls: ClientTls): Obstacle | undefined {
  const { secure, closed, error } = attempt;
  const code = codeOf(attempt);
  if (NOT_TLS.has(code)) return new Obstacle("plaintext_needed", "speaks plaintext, and this client TLS", error);
  if (UNTRUSTED.has(code))
    return new Obstacle("untrusted", `has a certificate that this client does not trust (${code})`, error);
  if (EXPIRED.has(code)) return new Obstacle("expired", `has a certificate that is not valid now (${code})`, error);
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return new Obstacle("other_name", otherName(error), error);
  if (NEEDED.has(code) && !tls.hasCertificate)
    return new Obstacle("certificate_needed", "asks for a client certificate, and this client has none", error);
  // Node.js closes the connection of a client whose certificate it does not take, without a word; others send an alert.
  if (tls.hasCertificate && ((secure && closed) || code.includes("_ALERT_")))
    return new Obstacle("certificate_refused", "does not take this client's certificate", error);
  return undefined;
}

/** The error of `checkServerIdentity`, with what it has beside its message. */
export function otherName(
  thrown: Error & { readonly host?: unknown; readonly cert?: PeerCertificate | undefined } = new Error(),
): string {
  const names = thrown.cert?.subjectaltname?.replaceAll("IP Address:", "").replaceAll("DNS:", "");
  const whose = names === undefined ? "no name" : names;
  return typeof thrown.host === "string"
    ? `has a certificate for ${whose}, and not for ${thrown.host}`
    : thrown.message;
}
