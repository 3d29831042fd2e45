// A port's certificate, key and client authorities: PEM files, checked before they are used.
//
// Every mistake is told with the option that it is about and what to give instead. What OpenSSL says of them ("no start line",
// "DECODER routines::unsupported") tells neither, and of a file of authorities it says nothing at all: it takes one that holds
// none, and then refuses every client.

import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { Code, IngestError } from "../errors.ts";
import { certificatesOf, privateKeyOf } from "./certificates.ts";

/** What the options that name a port's files begin with. */
export type TlsOptionPrefix = "GRPC_TLS" | "ADMIN_TLS";

export interface TlsPaths {
  readonly options: TlsOptionPrefix;
  readonly certFile: string;
  readonly keyFile: string;
  /** Undefined: clients need no certificate. */
  readonly clientCaFile: string | undefined;
}

/** PEM texts. */
export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string | undefined;
}

export type TlsChecked =
  | { readonly ok: true; readonly material: TlsMaterial }
  | { readonly ok: false; readonly errors: readonly string[] };

/** Reads the files. @returns what is in them, or all mistakes, one line each, that begin with the option's name. */
export function checkTls({ options, certFile, keyFile, clientCaFile }: TlsPaths): TlsChecked {
  const certOption = `${options}_CERT_FILE`;
  const keyOption = `${options}_KEY_FILE`;
  const clientCaOption = `${options}_CLIENT_CA_FILE`;
  const errors: string[] = [];
  const cert = readFile(certOption, certFile, errors);
  const key = readFile(keyOption, keyFile, errors);
  const clientCa = clientCaFile === undefined ? undefined : readFile(clientCaOption, clientCaFile, errors);
  if (cert !== undefined) errors.push(...certificateMistakes(certOption, certFile, cert));
  if (key !== undefined) errors.push(...keyMistakes(keyOption, keyFile, key));
  if (clientCaFile !== undefined && clientCa !== undefined)
    errors.push(...certificateMistakes(clientCaOption, clientCaFile, clientCa));
  if (errors.length > 0 || cert === undefined || key === undefined) return { ok: false, errors };
  if (!certificatesOf(cert)[0]!.checkPrivateKey(privateKeyOf(key))) {
    const mistake = `${keyOption}: ${keyFile} is not the key of the first certificate in ${certFile}; give files that belong together, the service's certificate before those of its authorities`;
    return { ok: false, errors: [mistake] };
  }
  try {
    createSecureContext({ cert, key, ...(clientCa === undefined ? {} : { ca: clientCa }) });
  } catch (thrown) {
    // For example a key that is too short for OpenSSL's security level.
    return {
      ok: false,
      errors: [`${certOption}: ${certFile} cannot be used: ${messageOf(thrown)}; give another`],
    };
  }
  return { ok: true, material: { cert, key, clientCa } };
}

/** @throws IngestError that names the option, if a file cannot be read or is not what it should be. */
export function readTls(paths: TlsPaths): TlsMaterial {
  const checked = checkTls(paths);
  if (checked.ok) return checked.material;
  throw new IngestError(Code.FAILED_PRECONDITION, checked.errors.join("; "));
}

function readFile(option: string, file: string, errors: string[]): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (thrown) {
    errors.push(`${option}: cannot read ${file}: ${messageOf(thrown)}; give a PEM file that this user may read`);
    return undefined;
  }
}

function certificateMistakes(option: string, file: string, pem: string): string[] {
  const right = "give a PEM file with -----BEGIN CERTIFICATE-----";
  try {
    return certificatesOf(pem).length > 0 ? [] : [`${option}: there is no certificate in ${file}; ${right}`];
  } catch (thrown) {
    return [`${option}: a certificate in ${file} cannot be read: ${messageOf(thrown)}; ${right}`];
  }
}

function keyMistakes(option: string, file: string, pem: string): string[] {
  const right = "give a PEM file with -----BEGIN PRIVATE KEY-----";
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) return [`${option}: there is no key in ${file}; ${right}`];
  try {
    privateKeyOf(pem);
    return [];
  } catch (thrown) {
    if (pem.includes("ENCRYPTED")) return [`${option}: the key in ${file} is encrypted; give one without a passphrase`];
    return [`${option}: the key in ${file} cannot be read: ${messageOf(thrown)}; ${right}`];
  }
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
