// An admin port that answers what a test says, and keeps what it was asked.

import { once } from "node:events";
import {
  createServer as createPlain,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createTls, type ServerOptions } from "node:https";
import type { AddressInfo } from "node:net";

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

export interface Answer {
  readonly status?: number;
  readonly body: string | Buffer;
}

export class FakeAdmin implements AsyncDisposable {
  readonly asked: Asked[] = [];
  readonly env: Readonly<Record<string, string>>;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    const { port } = server.address() as AddressInfo;
    this.env = { ADMIN_LISTEN: `127.0.0.1:${port}` };
  }

  /** @param tls undefined: it speaks plaintext. */
  static async start(answer: (path: string) => Answer, tls?: ServerOptions): Promise<FakeAdmin> {
    const server = tls === undefined ? createPlain() : createTls(tls);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const fake = new FakeAdmin(server);
    server.on("request", ({ method = "", url = "", headers }: IncomingMessage, response: ServerResponse) => {
      fake.asked.push({ method, path: url, headers });
      const { status = 200, body } = answer(url);
      response.writeHead(status).end(body);
    });
    return fake;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}
