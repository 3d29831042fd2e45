// Why an admin port cannot be asked, or does not let in, in words that say what to do.
//
// What Node.js and OpenSSL say ("self-signed certificate", "wrong version number") tells neither which setting it is about nor
// what to give instead. What the service itself says is passed on: it knows which ways in it has.

import { EXPIRED, NOT_TLS, otherName, UNTRUSTED } from "../client/obstacle.ts";
import type { AdminTarget } from "./admin-target.ts";
import { CliError, messageOf } from "./io.ts";

/** Of an error that came when the request was written, before the handshake: its code is EPROTO, whatever is wrong. */
const NOT_TLS_TEXT = /wrong version number|packet length too long|record too small|http request/;

/** Nothing listens there, TLS does not fit, it does not let in, or anything else. */
type Kind = "absent" | "tls" | "refused" | "other";

interface Reason {
  /** What is so, in half a sentence. */
  readonly why: string;
  /** What to do. */
  readonly remedy: string;
}

export class AdminError extends CliError implements Reason {
  readonly why: string;
  readonly remedy: string;
  readonly kind: Kind;

  constructor(kind: Kind, message: string, { why, remedy }: Reason, cause?: unknown) {
    super(`${message}; ${remedy}`, { cause });
    this.kind = kind;
    this.why = why;
    this.remedy = remedy;
  }
}

/** Another certificate is shown than the one that is expected. */
export class OtherCertificate extends Error {
  override readonly name = "OtherCertificate";
}

/** Of an error of a connection or a request. @param where the address, as people read it. */
export function unreachable(where: string, target: AdminTarget, error: NodeJS.ErrnoException): AdminError {
  const remedy = "give the service's ADMIN_LISTEN, or --admin";
  if (error.code === "ECONNREFUSED") {
    const message = `no service runs here: nothing listens on ${where}`;
    return new AdminError("absent", message, { why: messageOf(error), remedy }, error);
  }
  const ofTls = target.tls === undefined ? reasonInPlaintext(error, target) : reasonInTls(error, target);
  if (ofTls !== undefined)
    return new AdminError("tls", `the service at ${where} cannot be asked: ${ofTls.why}`, ofTls, error);
  const why = messageOf(error);
  return new AdminError("other", `the service at ${where} cannot be asked (${why})`, { why, remedy }, error);
}

/** Whether a status says that somebody else may have what was asked for. */
export function isRefusal(status: number): boolean {
  return status === 401 || status === 403;
}

/** What to give so that a status like that does not come again. */
export function credentialsRemedy({ token, tlsFlag = "--tls" }: AdminTarget): string {
  const which = token === undefined ? "its token" : "its token, which is not the one that was given,";
  return `give ${which} with ADMIN_TOKEN or --token-file, or a client certificate with ${tlsFlag}-cert and ${tlsFlag}-key`;
}

function reasonInPlaintext(
  { code = "" }: NodeJS.ErrnoException,
  { tlsFlag = "--tls" }: AdminTarget,
): Reason | undefined {
  if (code !== "ECONNRESET" && !code.startsWith("HPE_")) return undefined;
  return {
    why: "it closes the connection, so it may speak TLS",
    remedy: `give ${tlsFlag}-ca FILE, or the service's ADMIN_TLS_CERT_FILE`,
  };
}

function reasonInTls(error: NodeJS.ErrnoException, { tls, tlsFlag = "--tls" }: AdminTarget): Reason | undefined {
  const { code = "" } = error;
  const pinned = tls?.pinned !== undefined;
  if (NOT_TLS.has(code) || (code === "EPROTO" && NOT_TLS_TEXT.test(error.message)))
    return {
      why: "it speaks plaintext, and this command TLS",
      remedy: pinned
        ? "start the service with ADMIN_TLS_CERT_FILE, or leave that out here"
        : `leave ${tlsFlag}-ca out, or give the service ADMIN_TLS_CERT_FILE and ADMIN_TLS_KEY_FILE`,
    };
  if (EXPIRED.has(code))
    return {
      why: `its certificate is not valid now (${code})`,
      remedy: "renew it: ADMIN_TLS_CERT_FILE of the service",
    };
  if (error instanceof OtherCertificate || (pinned && UNTRUSTED.has(code)))
    return {
      why: "its certificate is not the one in ADMIN_TLS_CERT_FILE",
      remedy: `give the service's ADMIN_TLS_CERT_FILE, or who signed it with ${tlsFlag}-ca; a file that was just replaced is shown a minute later`,
    };
  if (UNTRUSTED.has(code))
    return {
      why: `its certificate is signed by no authority of ${tlsFlag}-ca (${code})`,
      remedy: `give the one that signed it with ${tlsFlag}-ca`,
    };
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return {
      why: `it ${otherName(error)}`,
      remedy: "address the service by a name that its certificate is for, with --admin",
    };
  return undefined;
}
