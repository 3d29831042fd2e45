// The admin port: metrics, health, profiles, incidents, and the page that shows it all live. It answers when ingest does not.
//
// Everything is GET, so that nothing here changes anything, but for the paths that `isPost` knows. Errors are text for the
// person who typed the URL. Metrics and health are for everybody who reaches the port; the rest is guarded (access.ts).
//
// With a certificate the port speaks TLS, to everybody. Clients' certificates are asked for, but a client without one is not
// refused in the handshake: probes and scrapers have none, and whoever needs one is told so.

import { type Server as TlsServer } from "node:https";
import fastify, { type FastifyInstance } from "fastify";
import { Access } from "./access.ts";
import { deadLetterRoutes, DROP_PATH } from "./dead-letters.ts";
import { healthRoutes } from "./health.ts";
import { incidentRoutes } from "./incidents.ts";
import { liveRoutes } from "./live/routes.ts";
import { metricsRoute } from "./metrics.ts";
import { INCIDENTS_PATH } from "./paths.ts";
import { pprofRoutes } from "./pprof.ts";
import { speedscopeRoutes } from "./speedscope.ts";
import type { AdminState } from "./state.ts";

export interface AdminServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** ADMIN_TOKEN; undefined: there is none. */
  readonly token?: string | undefined;
  /** Undefined: the port speaks plaintext. */
  readonly tls?: AdminTls | undefined;
}

/** PEM texts. */
export interface AdminTls {
  readonly cert: string;
  readonly key: string;
  /** Of the authorities that sign clients' certificates; undefined: those are not asked for. */
  readonly clientCa: string | undefined;
}

/** What may be asked for with POST. */
const isPost = (url: string): boolean => url === DROP_PATH || url.split("?", 1)[0] === INCIDENTS_PATH;

/** For what sets none of its own: pages without scripts, that load nothing and that nobody frames. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/** `go tool pprof` shows what an error says only with this. */
const errorHeaders = (url: string): Record<string, string> =>
  url.startsWith("/debug/pprof") ? { "x-go-pprof": "1" } : {};

/** How long a client may take to send a request, in milliseconds. */
const REQUEST_TIMEOUT_MS = 10_000;

function tlsOptions({ cert, key, clientCa }: AdminTls) {
  if (clientCa === undefined) return { cert, key };
  return { cert, key, ca: clientCa, requestCert: true, rejectUnauthorized: false };
}

export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #app: FastifyInstance;

  constructor(state: AdminState, options: AdminServerOptions) {
    this.#options = options;
    const { token, tls } = options;
    this.#app = fastify({
      logger: false,
      forceCloseConnections: true,
      requestTimeout: REQUEST_TIMEOUT_MS,
      exposeHeadRoutes: false,
      ...(tls === undefined ? {} : { https: tlsOptions(tls) }),
    });
    const access = new Access({ token, mutualTls: tls?.clientCa !== undefined });
    this.#app.addHook("onRequest", async (request, reply) => {
      reply.headers({
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
        "content-security-policy": CONTENT_SECURITY_POLICY,
      });
      if (request.method === "GET" || (request.method === "POST" && isPost(request.url))) return;
      const headers = { allow: "GET", ...errorHeaders(request.url) };
      await reply.code(405).headers(headers).type("text/plain; charset=utf-8").send("only GET is served here\n");
    });
    this.#app.setNotFoundHandler(async ({ url }, reply) => {
      await reply
        .code(404)
        .headers(errorHeaders(url))
        .type("text/plain; charset=utf-8")
        .send("no such page; / lists them\n");
    });
    this.#app.setErrorHandler(async (error, _request, reply) => {
      const message = error instanceof Error ? error.message : String(error);
      await reply.code(500).type("text/plain; charset=utf-8").send(`${message}\n`);
    });
    metricsRoute(this.#app, state);
    healthRoutes(this.#app, state);
    void this.#app.register(async (guarded) => {
      access.guard(guarded);
      liveRoutes(guarded, state);
      pprofRoutes(guarded, state);
      speedscopeRoutes(guarded);
      deadLetterRoutes(guarded, state);
      incidentRoutes(guarded, state);
    });
  }

  /** New connections get these. */
  setTls(tls: AdminTls): void {
    (this.#app.server as TlsServer).setSecureContext(tlsOptions(tls));
  }

  /** Resolves with where it listens. Rejects with the operating system's error, for example EADDRINUSE. */
  async start(): Promise<{ readonly host: string; readonly port: number }> {
    const { host, port } = this.#options;
    await this.#app.listen({ host, port });
    const [address] = this.#app.addresses();
    return { host, port: typeof address === "object" ? address.port : port };
  }

  /** Closes the port and every connection. */
  async dispose(): Promise<void> {
    await this.#app.close();
  }
}
