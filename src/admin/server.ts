// The admin port: metrics, health, profiles and a page that lists them. It answers when ingest does not.
//
// Everything is GET, so that nothing here changes anything, but for two routes (dead-letters.ts, incidents.ts). Errors are text for the person who typed the URL. Profiles show
// the code's insides and cost time to take, so they are answered to loopback peers only; metrics and health are for everybody
// who reaches the port.

import fastify, { type FastifyInstance } from "fastify";
import { deadLetterRoutes, DROP_PATH } from "./dead-letters.ts";
import { healthRoutes } from "./health.ts";
import { incidentRoutes, INCIDENTS_PATH } from "./incidents.ts";
import { metricsRoute } from "./metrics.ts";
import { page } from "./page.ts";
import { pprofRoutes } from "./pprof.ts";
import type { AdminState } from "./state.ts";

export interface AdminServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

/** How long a client may take to send a request, in milliseconds. */
const REQUEST_TIMEOUT_MS = 10_000;

export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #app: FastifyInstance;

  constructor(state: AdminState, options: AdminServerOptions) {
    this.#options = options;
    this.#app = fastify({
      logger: false,
      forceCloseConnections: true,
      requestTimeout: REQUEST_TIMEOUT_MS,
      exposeHeadRoutes: false,
    });
    this.#app.addHook("onRequest", async (request, reply) => {
      if (request.method === "GET") return;
      const [path] = request.url.split("?");
      if (request.method === "POST" && (request.url === DROP_PATH || path === INCIDENTS_PATH)) return;
      await reply.code(405).header("allow", "GET").type("text/plain; charset=utf-8").send("only GET is served here\n");
    });
    this.#app.setNotFoundHandler(async (_request, reply) => {
      await reply.code(404).type("text/plain; charset=utf-8").send("no such page; / lists them\n");
    });
    this.#app.setErrorHandler(async (error, _request, reply) => {
      const message = error instanceof Error ? error.message : String(error);
      await reply.code(500).type("text/plain; charset=utf-8").send(`${message}\n`);
    });
    this.#app.get("/", async (_request, reply) => {
      await reply.type("text/html; charset=utf-8").send(page(state));
    });
    metricsRoute(this.#app, state);
    healthRoutes(this.#app, state);
    pprofRoutes(this.#app, state);
    deadLetterRoutes(this.#app, state);
    incidentRoutes(this.#app, state);
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
