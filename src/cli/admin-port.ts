// The admin port of a service, as commands ask it: where it is, with which credentials, and what is wrong if it does not answer.
//
// Where and how come from the service's own environment (ADMIN_LISTEN, ADMIN_TOKEN, ADMIN_TLS_CERT_FILE), so that on its host
// nothing has to be given. A service that speaks TLS there is known by its very certificate, since a certificate seldom names
// 127.0.0.1; of a service elsewhere (--admin) --tls-ca says who signs.
//
// node:http rather than fetch, which knows no authorities and no client certificates of its own. The token is never taken from
// the command line: everybody on the host can read that.

import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { type IncomingMessage, request as requestPlain } from "node:http";
import { request as requestTls, type RequestOptions } from "node:https";
import { path, remoteAddress } from "../config/kinds.ts";
import { type Address, type Config, loadConfig } from "../config.ts";
import { reachable } from "./address.ts";
import { printMistakes } from "./command.ts";
import { maybe, type Values } from "./flag.ts";
import { CliError, type CliIo, messageOf } from "./io.ts";

/** The flags that say where the admin port is, and how to be let in. */
export const adminFlags = {
  admin: maybe(remoteAddress, "The admin port of the service; without it, ADMIN_LISTEN."),
  tokenFile: maybe(path, "A file that holds the token; without it, ADMIN_TOKEN."),
  tlsCa: maybe(path, "Speak TLS; this PEM file has the authorities that sign the service's certificate."),
  tlsCert: maybe(path, "The PEM file of a client certificate, if the service wants one."),
  tlsKey: maybe(path, "The PEM file of its key."),
};

/** What is said of the environment in the help of commands with these flags. */
export const ADMIN_NOTE =
  "The environment variables are those of `sluice serve`: ADMIN_LISTEN says where the service is, ADMIN_TOKEN lets in from elsewhere, ADMIN_TLS_CERT_FILE that it speaks TLS.";

const TEXT_BYTES_MAX = 64 * 1024 * 1024;
/** Until the answer begins, beside what the service itself waits for. */
const TIMEOUT_MS = 30_000;

interface Tls {
  readonly ca: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  /** Undefined: whoever the authorities vouch for under the name that was asked for. */
  readonly pinned: X509Certificate | undefined;
}

function read(file: string, flag: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new CliError(`${flag}: ${file} cannot be read (${messageOf(cause)})`, { cause });
  }
}

function readTls(
  { admin, tlsCa: ca, tlsCert: cert, tlsKey: key }: Values<typeof adminFlags>,
  { adminTlsCertFile }: Config,
): Tls | undefined {
  if ((cert === undefined) !== (key === undefined))
    throw new CliError("--tls-cert and --tls-key: one is missing; give both, or none");
  const isOwn = admin === undefined && adminTlsCertFile !== undefined;
  const own = !isOwn ? undefined : read(adminTlsCertFile, "ADMIN_TLS_CERT_FILE");
  const authorities = ca === undefined ? own : read(ca, "--tls-ca");
  if (authorities === undefined) {
    if (cert !== undefined) throw new CliError("--tls-cert: needs --tls-ca, which says that the service speaks TLS");
    return undefined;
  }
  return {
    ca: authorities,
    ...(cert === undefined || key === undefined ? {} : { cert: read(cert, "--tls-cert"), key: read(key, "--tls-key") }),
    pinned: ca === undefined ? new X509Certificate(authorities) : undefined,
  };
}

export class AdminPort {
  readonly #address: Address;
  readonly #token: string | undefined;
  readonly #tls: Tls | undefined;
  readonly #signal: AbortSignal;

  private constructor(address: Address, token: string | undefined, tls: Tls | undefined, signal: AbortSignal) {
    this.#address = address;
    this.#token = token;
    this.#tls = tls;
    this.#signal = signal;
  }

  /**
   * @param name the command's, for its mistakes.
   * @returns undefined if mistakes were printed. Throws a CliError for what cannot be read.
   */
  static of(name: string, values: Values<typeof adminFlags>, io: CliIo): AdminPort | undefined {
    const loaded = loadConfig(io.env);
    if (!loaded.ok) {
      printMistakes(io, name, loaded.errors);
      return undefined;
    }
    const { config } = loaded;
    const address = values.admin ?? config.adminListen;
    if (address.port === 0)
      throw new CliError("ADMIN_LISTEN says port 0, which is any; give the service's, or --admin HOST:PORT");
    const token =
      values.tokenFile === undefined ? config.adminToken : read(values.tokenFile, "--token-file").toString().trim();
    return new AdminPort(address, token, readTls(values, config), io.shutdown);
  }

  /** For people: `127.0.0.1:9464`. */
  get where(): string {
    return reachable(this.#address);
  }

  /** Resolves with the body. Throws a CliError that says what is wrong. @param waitMs what the service itself takes. */
  async get(path: string, waitMs = 0): Promise<Buffer> {
    return await this.#body(await this.open(path, "GET", waitMs));
  }

  async getJson<T>(path: string): Promise<T> {
    return JSON.parse((await this.get(path)).toString()) as T;
  }

  /** Resolves with what was answered, read as JSON. */
  async post<T>(path: string): Promise<T> {
    return JSON.parse((await this.#body(await this.open(path, "POST"))).toString()) as T;
  }

  /** Resolves with an answer of status 2xx whose body is still to be read. Throws a CliError for any other. */
  async open(path: string, method: "GET" | "POST" = "GET", waitMs = 0): Promise<IncomingMessage> {
    const response = await this.#ask(path, method, waitMs);
    const { statusCode = 0 } = response;
    if (statusCode >= 200 && statusCode < 300) return response;
    const said = (await this.#body(response)).toString().trim();
    throw new CliError(`the service at ${this.where} says: ${said === "" ? `status ${statusCode}` : said}`);
  }

  #ask(path: string, method: "GET" | "POST", waitMs: number): Promise<IncomingMessage> {
    const tls = this.#tls;
    const options: RequestOptions = {
      method,
      signal: this.#signal,
      headers: {
        accept: "application/json, */*;q=0.5",
        ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
      },
      // One question, one connection: nothing may keep the command from ending.
      agent: false,
      timeout: waitMs + TIMEOUT_MS,
    };
    const url = `${tls === undefined ? "http" : "https"}://${this.where}${path}`;
    return new Promise((resolve, reject) => {
      const asked =
        tls === undefined ? requestPlain(url, options) : requestTls(url, { ...options, ...tlsOptions(tls) });
      asked.once("response", resolve);
      asked.once("timeout", () => asked.destroy(new Error(`no answer within ${(waitMs + TIMEOUT_MS) / 1000} s`)));
      asked.once("error", (error: NodeJS.ErrnoException) => {
        reject(new CliError(this.#explain(error), { cause: error }));
      });
      asked.end();
    });
  }

  async #body(response: IncomingMessage): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const chunk of response) {
        bytes += (chunk as Buffer).length;
        if (bytes > TEXT_BYTES_MAX) throw new Error(`more than ${TEXT_BYTES_MAX} bytes`);
        chunks.push(chunk as Buffer);
      }
    } catch (cause) {
      throw new CliError(`the answer of the service at ${this.where} ended early (${messageOf(cause)})`, { cause });
    }
    return Buffer.concat(chunks);
  }

  #explain(error: NodeJS.ErrnoException): string {
    const remedy = "give the service's ADMIN_LISTEN, or --admin";
    if (error.code === "ECONNREFUSED") return `no service runs here: nothing listens on ${this.where}; ${remedy}`;
    if (this.#tls === undefined && error.code === "ECONNRESET")
      return `${this.where} closes the connection: it may speak TLS; give --tls-ca FILE, or the service's ADMIN_TLS_CERT_FILE`;
    return `the service at ${this.where} cannot be asked (${messageOf(error)}); ${remedy}`;
  }
}

function tlsOptions({ ca, cert, key, pinned }: Tls): RequestOptions {
  return {
    ca,
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    ...(pinned === undefined
      ? {}
      : {
          allowPartialTrustChain: true,
          checkServerIdentity: (_host, { fingerprint256 }) =>
            fingerprint256 === pinned.fingerprint256
              ? undefined
              : new Error("its certificate is not the one in ADMIN_TLS_CERT_FILE"),
        }),
  };
}
