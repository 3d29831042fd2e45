// The admin port of a service, as commands ask it.
//
// node:http rather than fetch, which knows no authorities and no client certificates of its own.

import { type IncomingMessage, request as requestPlain } from "node:http";
import { request as requestTls, type RequestOptions } from "node:https";
import { loadConfig } from "../config.ts";
import { reachable } from "./address.ts";
import { AdminError, credentialsRemedy, isRefusal, OtherCertificate, unreachable } from "./admin-error.ts";
import { adminMistakes, type AdminTarget, adminTarget, type AdminTls, type AdminValues } from "./admin-target.ts";
import { printMistakes } from "./command.ts";
import { CliError, type CliIo, messageOf } from "./io.ts";

const TEXT_BYTES_MAX = 64 * 1024 * 1024;
/** Until the answer begins, beside what the service itself waits for. */
const TIMEOUT_MS = 30_000;

interface Question {
  readonly method?: "GET" | "POST";
  /** What is sent, as JSON. */
  readonly json?: unknown;
  /** How long the connection may be silent. */
  readonly silenceMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** An answer of any status. */
export interface Answered {
  readonly status: number;
  readonly body: string;
  /** The service's clock, to a second, in milliseconds since the epoch; undefined: it did not say. */
  readonly date: number | undefined;
}

export class AdminPort {
  readonly #target: AdminTarget;
  readonly #signal: AbortSignal | undefined;

  /** @param signal ends what is asked; undefined: only time does. */
  constructor(target: AdminTarget, signal?: AbortSignal) {
    this.#target = target;
    this.#signal = signal;
  }

  /**
   * @param name the command's, for its mistakes.
   * @returns undefined if mistakes were printed. Throws a CliError for what cannot be read.
   */
  static of(name: string, values: AdminValues, io: CliIo): AdminPort | undefined {
    const loaded = loadConfig(io.env);
    const mistakes = [...adminMistakes(values), ...(loaded.ok ? [] : loaded.errors)];
    if (!loaded.ok || mistakes.length > 0) {
      printMistakes(io, name, mistakes);
      return undefined;
    }
    const target = adminTarget(values, loaded.config);
    if (target.address.port === 0)
      throw new CliError("ADMIN_LISTEN says port 0, which is any; give the service's, or --admin HOST:PORT");
    return new AdminPort(target, io.shutdown);
  }

  /** For people: `127.0.0.1:9464`. */
  get where(): string {
    return reachable(this.#target.address);
  }

  /** Resolves with the body. Throws a CliError that says what is wrong. @param waitMs what the service itself takes. */
  async get(path: string, waitMs = 0): Promise<Buffer> {
    return await this.#body(await this.#open(path, { silenceMs: waitMs + TIMEOUT_MS }));
  }

  async getJson<T>(path: string): Promise<T> {
    return JSON.parse((await this.get(path)).toString()) as T;
  }

  /** Resolves with what was answered, read as JSON. */
  async post<T>(path: string): Promise<T> {
    const response = await this.#open(path, { method: "POST", silenceMs: TIMEOUT_MS });
    return JSON.parse((await this.#body(response)).toString()) as T;
  }

  /** Resolves with an answer of status 2xx whose body is still to be read. Throws a CliError for any other. */
  async open(path: string): Promise<IncomingMessage> {
    return await this.#open(path, { silenceMs: TIMEOUT_MS });
  }

  /** Resolves with an answer of any status. Throws an AdminError if there is none in time. @param timeoutMs in all. */
  async ask(
    path: string,
    {
      timeoutMs,
      ...question
    }: { readonly method?: "GET" | "POST"; readonly json?: unknown; readonly timeoutMs: number },
  ): Promise<Answered> {
    const deadline = AbortSignal.timeout(timeoutMs);
    const signal = this.#signal === undefined ? deadline : AbortSignal.any([this.#signal, deadline]);
    const response = await this.#ask(path, { ...question, signal, silenceMs: timeoutMs });
    const date = Date.parse(response.headers.date ?? "");
    return {
      status: response.statusCode ?? 0,
      body: (await this.#body(response)).toString(),
      date: Number.isNaN(date) ? undefined : date,
    };
  }

  async #open(path: string, question: Question): Promise<IncomingMessage> {
    const response = await this.#ask(path, { ...question, signal: this.#signal });
    const { statusCode = 0 } = response;
    if (statusCode >= 200 && statusCode < 300) return response;
    const said = (await this.#body(response)).toString().trim();
    const why = said === "" ? `status ${statusCode}` : said;
    if (!isRefusal(statusCode)) throw new CliError(`the service at ${this.where} says: ${why}`);
    const remedy = credentialsRemedy(this.#target);
    throw new AdminError(
      "refused",
      `the service at ${this.where} does not let this command in (${statusCode}): ${messageOf(why)}`,
      { why, remedy },
    );
  }

  #ask(path: string, { method = "GET", json, silenceMs, signal }: Question): Promise<IncomingMessage> {
    const { token, tls } = this.#target;
    const body = json === undefined ? undefined : Buffer.from(JSON.stringify(json));
    const options: RequestOptions = {
      method,
      ...(signal === undefined ? {} : { signal }),
      headers: {
        accept: "application/json, */*;q=0.5",
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": "application/json", "content-length": body.length }),
      },
      // One question, one connection: nothing may keep the command from ending.
      agent: false,
      timeout: silenceMs,
    };
    const url = `${tls === undefined ? "http" : "https"}://${this.where}${path}`;
    return new Promise((resolve, reject) => {
      const late = () => new Error(`no answer within ${silenceMs / 1000} s`);
      const asked =
        tls === undefined ? requestPlain(url, options) : requestTls(url, { ...options, ...tlsOptions(tls) });
      asked.once("response", resolve);
      asked.once("timeout", () => asked.destroy(late()));
      asked.once("error", (error: NodeJS.ErrnoException) => {
        const isLate = signal?.reason instanceof DOMException && signal.reason.name === "TimeoutError";
        reject(unreachable(this.where, this.#target, isLate ? late() : error));
      });
      asked.end(body);
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
      const why = `ended early (${messageOf(cause)})`;
      throw new AdminError(
        "other",
        `the answer of the service at ${this.where} ${why}`,
        { why: `its answer ${why}`, remedy: "look at the service's log" },
        cause,
      );
    }
    return Buffer.concat(chunks);
  }
}

function tlsOptions({ ca, cert, key, pinned }: AdminTls): RequestOptions {
  return {
    ca,
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    ...(pinned === undefined
      ? {}
      : {
          allowPartialTrustChain: true,
          checkServerIdentity: (_host, { fingerprint256 }) =>
            fingerprint256 === pinned.fingerprint256 ? undefined : new OtherCertificate("another certificate"),
        }),
  };
}
