// Which admin port a command asks, and with which credentials: from its flags and the service's own environment.
//
// Where and how come from ADMIN_LISTEN, ADMIN_TOKEN and ADMIN_TLS_CERT_FILE, so that on the service's host nothing has to be
// given. A service that speaks TLS there is known by its very certificate, since a certificate seldom names 127.0.0.1; of a
// service elsewhere (--admin) --tls-ca says who signs.
//
// The token is never taken from the command line: everybody on the host can read that.

import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { path, remoteAddress } from "../config/kinds.ts";
import type { Address, Config } from "../config.ts";
import { maybe, type Values } from "./flag.ts";
import { CliError, messageOf } from "./io.ts";

const admin = maybe(remoteAddress, "The admin port of the service; without it, ADMIN_LISTEN.");
const tokenFile = maybe(path, "A file that holds the token of the admin port; without it, ADMIN_TOKEN.");
const tlsCa = maybe(
  path,
  "Speak TLS with the admin port; this PEM file has the authorities that sign its certificate.",
);
const tlsCert = maybe(path, "The PEM file of a client certificate, if the admin port wants one.");
const tlsKey = maybe(path, "The PEM file of its key.");

/** The flags that say where the admin port is, and how to be let in. */
export const adminFlags = { admin, tokenFile, tlsCa, tlsCert, tlsKey };

/** The same beside those of the gRPC port, whose --tls-ca and siblings are not these. */
export const adminFlagsBesideGrpc = {
  admin,
  tokenFile,
  adminTlsCa: tlsCa,
  adminTlsCert: tlsCert,
  adminTlsKey: tlsKey,
};

/** What is said of the environment in the help of commands with these flags. */
export const ADMIN_NOTE =
  "The environment variables are those of `sluice serve`: ADMIN_LISTEN says where the service is, ADMIN_TOKEN lets in from elsewhere, ADMIN_TLS_CERT_FILE that it speaks TLS.";

type TlsFlag = "--tls" | "--admin-tls";

export interface AdminValues extends Values<typeof adminFlags> {
  /** What the names of the three TLS flags begin with; undefined: --tls. */
  readonly tlsFlag?: TlsFlag;
}

export interface AdminTls {
  readonly ca: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  /** Undefined: whoever the authorities vouch for under the name that was asked for. */
  readonly pinned: X509Certificate | undefined;
}

export interface AdminTarget {
  readonly address: Address;
  /** --admin said so, and not ADMIN_LISTEN. */
  readonly named?: boolean;
  readonly token?: string | undefined;
  /** Undefined: plaintext. */
  readonly tls?: AdminTls | undefined;
  /** As in AdminValues. */
  readonly tlsFlag?: TlsFlag;
}

export function valuesBesideGrpc(values: Values<typeof adminFlagsBesideGrpc>): AdminValues {
  const { adminTlsCa, adminTlsCert, adminTlsKey } = values;
  return {
    admin: values.admin,
    tokenFile: values.tokenFile,
    tlsCa: adminTlsCa,
    tlsCert: adminTlsCert,
    tlsKey: adminTlsKey,
    tlsFlag: "--admin-tls",
  };
}

/** Mistakes in the flags, one line each. */
export function adminMistakes({ tlsCert: cert, tlsKey: key, tlsFlag = "--tls" }: AdminValues): string[] {
  if ((cert === undefined) === (key === undefined)) return [];
  return key === undefined
    ? [`${tlsFlag}-key: missing, but ${tlsFlag}-cert is given; give the certificate's key, too`]
    : [`${tlsFlag}-cert: missing, but ${tlsFlag}-key is given; give its certificate, too`];
}

/** Throws a CliError for a file that cannot be read. The port may be 0, where ADMIN_LISTEN says so. */
export function adminTarget(values: AdminValues, config: Config): AdminTarget {
  const { tokenFile: file, tlsFlag = "--tls" } = values;
  return {
    address: values.admin ?? config.adminListen,
    named: values.admin !== undefined,
    token: file === undefined ? config.adminToken : read(file, "--token-file").toString().trim(),
    tls: readTls(values, config, tlsFlag),
    tlsFlag,
  };
}

function readTls(
  { admin: address, tlsCa: ca, tlsCert: cert, tlsKey: key }: AdminValues,
  { adminTlsCertFile }: Config,
  flag: TlsFlag,
): AdminTls | undefined {
  const client =
    cert === undefined || key === undefined ? {} : { cert: read(cert, `${flag}-cert`), key: read(key, `${flag}-key`) };
  if (ca !== undefined) return { ca: read(ca, `${flag}-ca`), ...client, pinned: undefined };
  if (address === undefined && adminTlsCertFile !== undefined) {
    const own = read(adminTlsCertFile, "ADMIN_TLS_CERT_FILE");
    return { ca: own, ...client, pinned: certificateIn(own, adminTlsCertFile) };
  }
  if (cert !== undefined)
    throw new CliError(`${flag}-cert: the service is asked in plaintext; give ${flag}-ca, too, or leave it out`);
  return undefined;
}

function read(file: string, as: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new CliError(`${as}: ${file} cannot be read (${messageOf(cause)}); give a file that this user may read`, {
      cause,
    });
  }
}

function certificateIn(pem: Buffer, file: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new CliError(
      `ADMIN_TLS_CERT_FILE: there is no certificate in ${file} (${messageOf(cause)}); give the PEM file that the service has`,
      { cause },
    );
  }
}
