// A port's certificate, key and client authorities: PEM files, read at the start and again when they change.
//
// Certificates are renewed while services run, mostly by replacing files. Looking at their times once a minute works on every
// file system and with every tool that writes them; rejected: fs.watch, which loses symbolic links that are swapped, as
// Kubernetes swaps its secrets.

import { readFileSync, statSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { Clock, Timer } from "./clock.ts";
import { Code, IngestError } from "./errors.ts";
import type { Logger } from "./telemetry/log.ts";

export interface TlsPaths {
  /** What the options that name the files begin with. */
  readonly options: "GRPC_TLS" | "ADMIN_TLS";
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

const LOOK_MS = 60_000;

/** @throws IngestError that names the option, if a file cannot be read or is not what it should be. */
export function readTls(paths: TlsPaths): TlsMaterial {
  const { options, clientCaFile } = paths;
  const cert = readPem(`${options}_CERT_FILE`, paths.certFile);
  const key = readPem(`${options}_KEY_FILE`, paths.keyFile);
  const clientCa = clientCaFile === undefined ? undefined : readPem(`${options}_CLIENT_CA_FILE`, clientCaFile);
  try {
    createSecureContext({ cert, key, ...(clientCa === undefined ? {} : { ca: clientCa }) });
  } catch (cause) {
    const message = `${options}_CERT_FILE: ${paths.certFile} and ${paths.keyFile} are no certificate and its key: ${messageOf(cause)}; give two PEM files that belong together`;
    throw new IngestError(Code.FAILED_PRECONDITION, message, { cause });
  }
  return { cert, key, clientCa };
}

function readPem(option: string, file: string): string {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    const message = `${option}: cannot read ${file}: ${messageOf(cause)}; give a PEM file that this user may read`;
    throw new IngestError(Code.FAILED_PRECONDITION, message, { cause });
  }
  if (text.includes("-----BEGIN ")) return text;
  throw new IngestError(Code.FAILED_PRECONDITION, `${option}: ${file} is no PEM file; it begins with -----BEGIN`);
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** Tells of new files, for as long as it is not stopped. What cannot be read is logged, and what was there stays in use. */
export class TlsWatch {
  readonly #paths: TlsPaths;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #onChange: (material: TlsMaterial) => void;
  #seen: string;
  #timer: Timer | undefined;

  constructor(paths: TlsPaths, clock: Clock, log: Logger, onChange: (material: TlsMaterial) => void) {
    this.#paths = paths;
    this.#clock = clock;
    this.#log = log;
    this.#onChange = onChange;
    this.#seen = this.#times();
    this.#schedule();
  }

  stop(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #schedule(): void {
    this.#timer = this.#clock.setTimeout(() => {
      this.#look();
      this.#schedule();
    }, LOOK_MS);
    this.#timer.unref?.();
  }

  #look(): void {
    const times = this.#times();
    if (times === this.#seen) return;
    try {
      const material = readTls(this.#paths);
      this.#seen = times;
      this.#onChange(material);
      this.#log.info({ certFile: this.#paths.certFile }, "the certificate is read again, for new connections");
    } catch (thrown) {
      // Half of them may be written; they are looked at again.
      this.#log.warn({ reason: messageOf(thrown) }, "the new certificate is not used");
    }
  }

  #times(): string {
    const { certFile, keyFile, clientCaFile } = this.#paths;
    return [certFile, keyFile, clientCaFile].map((path) => (path === undefined ? 0 : modifiedMs(path))).join();
  }
}

/** Follows symbolic links. @returns 0 where there is no file. */
function modifiedMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
