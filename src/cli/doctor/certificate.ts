// The gRPC port's certificate: can it be used, until when, by whom, and is it the one that is shown?

import type { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { connect } from "node:tls";
import type { Config } from "../../config.ts";
import { certificatesOf } from "../../tls/certificates.ts";
import { tlsMistakes } from "../../grpc-options.ts";
import { reachable } from "../address.ts";
import { error, type Finding, ok, warning } from "./finding.ts";

const SUBJECT = "certificate";
const DAY_MS = 86_400_000;
/** Certificates that are renewed by themselves have been by now, and those that people renew need some days. */
const DAYS_MIN = 21;
const TIMEOUT_MS = 3_000;
const RENEW = "renew it and replace the files: the service reads them once a minute, for new connections";

/** The files alone. Empty: the port speaks plaintext. */
export function checkCertificate(config: Config, nowMs: number): Finding[] {
  const { grpcTlsCertFile, grpcTlsClientCaFile } = config;
  if (grpcTlsCertFile === undefined) return [];
  const mistakes = tlsMistakes(config);
  if (mistakes.length > 0) return mistakes.map(mistakeFinding);
  const chain = read(grpcTlsCertFile);
  const clientCas = grpcTlsClientCaFile === undefined ? [] : read(grpcTlsClientCaFile);
  const endOf = (certificates: readonly X509Certificate[]) =>
    certificates.toSorted((a, b) => Date.parse(a.validTo) - Date.parse(b.validTo))[0]!;
  return [
    timeFinding("GRPC_TLS_CERT_FILE", endOf(chain), nowMs),
    nameFinding(chain[0]!, config.grpcListen.host),
    ...clientCas.map((authority) => timeFinding("GRPC_TLS_CLIENT_CA_FILE", authority, nowMs)),
  ];
}

/** Whether whatever listens on GRPC_LISTEN shows what is in the file. Empty: nothing to compare. */
export async function checkShownCertificate({ grpcListen, grpcTlsCertFile }: Config): Promise<Finding[]> {
  if (grpcTlsCertFile === undefined || grpcListen.port === 0) return [];
  const expected = certificateIn(grpcTlsCertFile);
  if (expected === undefined) return [];
  const address = reachable(grpcListen);
  const shown = await shownBy(new URL(`tls://${address}`));
  if (shown === undefined) return [];
  if (shown.equals(expected.raw)) return [ok(SUBJECT, `${address} shows it`)];
  return [
    warning(
      SUBJECT,
      `${address} shows another one than is in ${grpcTlsCertFile}`,
      "wait a minute, since the files are read once a minute; then look at the service's log, which says why it does not take them",
    ),
  ];
}

/** A mistake says after its last semicolon what to do. */
function mistakeFinding(mistake: string): Finding {
  const at = mistake.lastIndexOf("; ");
  return error(SUBJECT, mistake.slice(0, at), mistake.slice(at + 2));
}

function read(file: string): X509Certificate[] {
  return certificatesOf(readFileSync(file, "utf8"));
}

function certificateIn(file: string): X509Certificate | undefined {
  try {
    return read(file)[0];
  } catch {
    return undefined;
  }
}

function timeFinding(option: string, { validFrom, validTo, subject }: X509Certificate, nowMs: number): Finding {
  const what = `${option} (${subject?.replaceAll("\n", ", ") ?? "no subject"})`;
  const [fromMs, toMs] = [Date.parse(validFrom), Date.parse(validTo)];
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 16).replace("T", " ");
  if (toMs <= nowMs) return error(SUBJECT, `${what} expired on ${day(toMs)} UTC: it is refused`, RENEW);
  if (fromMs > nowMs)
    return error(
      SUBJECT,
      `${what} is valid from ${day(fromMs)} UTC on only`,
      "look at the host's clock, or at the authority's",
    );
  const days = Math.floor((toMs - nowMs) / DAY_MS);
  const message = `${what} is valid until ${day(toMs)} UTC, ${days} more ${days === 1 ? "day" : "days"}`;
  return days < DAYS_MIN ? warning(SUBJECT, message, RENEW) : ok(SUBJECT, message);
}

/** Clients look at the alternative names alone, not at the subject. */
function nameFinding(certificate: X509Certificate, listenHost: string): Finding {
  const remedy = "have it issued for every name by which clients address the service (subjectAltName)";
  const names = certificate.subjectAltName;
  if (names === undefined) return warning(SUBJECT, "it names no host: most clients refuse it", remedy);
  const anywhere = ["0.0.0.0", "::", "127.0.0.1", "::1", "localhost"].includes(listenHost);
  const fits = isIP(listenHost) === 0 ? certificate.checkHost(listenHost) : certificate.checkIP(listenHost);
  if (anywhere || fits !== undefined) return ok(SUBJECT, `for ${names}`);
  return warning(SUBJECT, `for ${names}, and not for ${listenHost} (GRPC_LISTEN)`, remedy);
}

/** The certificate of whatever listens there, in DER; undefined: nothing does, or not with TLS. */
async function shownBy({ hostname, port }: URL): Promise<Buffer | undefined> {
  const host = hostname.replaceAll(/[[\]]/g, "");
  // Who it is is what is asked, so anybody may answer.
  const socket = connect({ host, port: Number(port), rejectUnauthorized: false, ALPNProtocols: ["h2"] });
  try {
    await once(socket, "secureConnect", { signal: AbortSignal.timeout(TIMEOUT_MS) });
    return socket.getPeerX509Certificate()?.raw;
  } catch {
    return undefined;
  } finally {
    socket.on("error", () => {});
    socket.destroy();
  }
}
