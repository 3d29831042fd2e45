// The ports' certificates: can they be used, until when, by whom, and is the gRPC port's the one that is shown? Of the admin
// port's the service's findings tell that: it is asked as the one that shows this very certificate.

import type { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { connect } from "node:tls";
import type { Config } from "../../config.ts";
import { grpcTlsPaths } from "../../grpc-options.ts";
import { adminTlsPaths } from "../../supervisor/admin-port.ts";
import { certificatesOf } from "../../tls/certificates.ts";
import { checkTls, type TlsPaths } from "../../tls/files.ts";
import { reachable } from "../address.ts";
import { error, type Finding, mistakeFinding, ok, warning } from "./finding.ts";

const SUBJECT = "certificate";
const ADMIN_SUBJECT = "admin certificate";
const DAY_MS = 86_400_000;
/** Certificates that are renewed by themselves have been by now, and those that people renew need some days. */
const DAYS_MIN = 21;
const TIMEOUT_MS = 3_000;
const RENEW = "renew it and replace the files: the service reads them once a minute, for new connections";

/** The gRPC port's files alone. Empty: it speaks plaintext. */
export function checkCertificate(config: Config, nowMs: number): Finding[] {
  const paths = grpcTlsPaths(config);
  return paths === undefined ? [] : checkFiles(SUBJECT, paths, "GRPC_LISTEN", config.grpcListen.host, nowMs);
}

/** The same of the admin port. */
export function checkAdminCertificate(config: Config, nowMs: number): Finding[] {
  const paths = adminTlsPaths(config);
  return paths === undefined ? [] : checkFiles(ADMIN_SUBJECT, paths, "ADMIN_LISTEN", config.adminListen.host, nowMs);
}

function checkFiles(
  subject: string,
  paths: TlsPaths,
  listenOption: string,
  listenHost: string,
  nowMs: number,
): Finding[] {
  const checked = checkTls(paths);
  if (!checked.ok) return checked.errors.map((mistake) => mistakeFinding(subject, mistake));
  const { cert, clientCa } = checked.material;
  const chain = certificatesOf(cert);
  const clientCas = clientCa === undefined ? [] : certificatesOf(clientCa);
  const endOf = (certificates: readonly X509Certificate[]) =>
    certificates.toSorted((a, b) => Date.parse(a.validTo) - Date.parse(b.validTo))[0]!;
  return [
    timeFinding(subject, `${paths.options}_CERT_FILE`, endOf(chain), nowMs),
    nameFinding(subject, chain[0]!, listenOption, listenHost),
    ...clientCas.map((authority) => timeFinding(subject, `${paths.options}_CLIENT_CA_FILE`, authority, nowMs)),
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

function certificateIn(file: string): X509Certificate | undefined {
  try {
    return certificatesOf(readFileSync(file, "utf8"))[0];
  } catch {
    return undefined;
  }
}

function timeFinding(subject: string, option: string, certificate: X509Certificate, nowMs: number): Finding {
  const { validFrom, validTo } = certificate;
  const what = `${option} (${certificate.subject?.replaceAll("\n", ", ") ?? "no subject"})`;
  const [fromMs, toMs] = [Date.parse(validFrom), Date.parse(validTo)];
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 16).replace("T", " ");
  if (toMs <= nowMs) return error(subject, `${what} expired on ${day(toMs)} UTC: it is refused`, RENEW);
  if (fromMs > nowMs)
    return error(
      subject,
      `${what} is valid from ${day(fromMs)} UTC on only`,
      "look at the host's clock, or at the authority's",
    );
  const days = Math.floor((toMs - nowMs) / DAY_MS);
  const message = `${what} is valid until ${day(toMs)} UTC, ${days} more ${days === 1 ? "day" : "days"}`;
  return days < DAYS_MIN ? warning(subject, message, RENEW) : ok(subject, message);
}

/** Clients look at the alternative names alone, not at the subject. */
function nameFinding(subject: string, certificate: X509Certificate, listenOption: string, listenHost: string): Finding {
  const remedy = "have it issued for every name by which clients address the service (subjectAltName)";
  const names = certificate.subjectAltName;
  if (names === undefined) return warning(subject, "it names no host: most clients refuse it", remedy);
  const anywhere = ["0.0.0.0", "::", "127.0.0.1", "::1", "localhost"].includes(listenHost);
  const fits = isIP(listenHost) === 0 ? certificate.checkHost(listenHost) : certificate.checkIP(listenHost);
  if (anywhere || fits !== undefined) return ok(subject, `for ${names}`);
  return warning(subject, `for ${names}, and not for ${listenHost} (${listenOption})`, remedy);
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
