// The HTTP/2 server: listens, gives each accepted socket a connection, and looks after all of them.
//
// Plaintext is HTTP/2 with prior knowledge (h2c), TLS negotiates "h2" by ALPN; there is no upgrade from HTTP/1.1.

import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import type { Clock, Timer } from "../clock.ts";
import { Connection, type ConnectionContext } from "./connection.ts";
import type { Http2Observer } from "./observer.ts";
import type { Http2Options, TlsOptions } from "./options.ts";
import { PagePool } from "./page-pool.ts";
import { NO_ALPN } from "./preface.ts";
import type { RequestHandler } from "./request.ts";
import { moveToSharedBuffer } from "./shared-buffer-transport.ts";
import { peerOf, StreamTransport } from "./stream-transport.ts";
import { type Around, Turn } from "./turn.ts";

/** How often connections are looked after. */
const SWEEP_MS = 1_000;
/** Refused connections at a time that are told why. */
const REFUSED_MAX = 100;
/** Connections that the kernel holds until they are accepted. */
const BACKLOG = 1_024;
/** How long a client may take to hang up that has no place here. */
const LINGER_MS = 1_000;

export interface Http2Dependencies {
  readonly handler: RequestHandler;
  readonly observer: Http2Observer;
  readonly clock: Clock;
  /** Does what connections write at the end of a turn. */
  readonly aroundWrites?: Around;
}

export interface Http2ServerOptions extends Http2Options {
  /** False: sockets are read by their public interface only. */
  readonly sharedReadBuffer?: boolean;
}

export class Http2Server {
  readonly #options: Http2ServerOptions;
  readonly #observer: Http2Observer;
  readonly #clock: Clock;
  readonly #context: ConnectionContext;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  /** Those that were one too many, until they are gone; they take no place of others. */
  readonly #refused = new Set<Connection>();
  /** The sockets below TLS, from before their handshake on. */
  readonly #tlsSockets = new Set<Socket>();
  readonly pages = new PagePool();
  #sweep: Timer | undefined;
  #listening = false;
  #draining = false;
  #onEmpty: (() => void) | undefined;

  constructor({ handler, observer, clock, aroundWrites }: Http2Dependencies, options: Http2ServerOptions) {
    this.#options = options;
    this.#observer = observer;
    this.#clock = clock;
    this.#context = {
      handler,
      observer,
      clock,
      random: Math.random,
      options,
      pages: this.pages,
      turn: new Turn(clock, aroundWrites),
      closed: (connection) => this.#closed(connection),
    };
    this.#server = options.tls === undefined ? this.#plaintextServer() : this.#tlsServer(options.tls);
  }

  /** Where it listens, once started. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : this.#options.port;
  }

  /** Those that are open. */
  get connections(): Iterable<Connection> {
    return this.#connections;
  }

  /** @throws what listening has failed with: an Error with `code`. */
  async start(): Promise<void> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host, port, backlog: BACKLOG }, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
    this.#listening = true;
    // What goes wrong with one connection while it is accepted is no reason to end.
    this.#server.on("error", (error) => this.#observer.handshakeFailed(codeOf(error), "unknown"));
  }

  /** Other certificates, for connections that come from now on. */
  setTls(tls: TlsOptions): void {
    if ("setSecureContext" in this.#server) {
      (this.#server as ReturnType<typeof createTlsServer>).setSecureContext(secureContextOf(tls));
    }
  }

  /** Takes no new connections or streams, and waits until those that are open have ended. */
  async drain(deadlineMs: number): Promise<void> {
    this.#draining = true;
    this.#close();
    for (const connection of this.#connections) connection.goAway("drain");
    if (this.#connections.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.setTimeout(resolve, Math.max(0, deadlineMs - this.#clock.now()));
      this.#onEmpty = () => {
        this.#clock.clearTimeout(timer);
        resolve();
      };
    });
  }

  async dispose(): Promise<void> {
    this.#draining = true;
    this.#close();
    for (const socket of this.#tlsSockets) socket.destroy();
    for (const connection of this.#connections) connection.destroy("drain");
    if (this.#connections.size > 0) await new Promise<void>((resolve) => (this.#onEmpty = resolve));
    if (this.#sweep !== undefined) this.#clock.clearTimeout(this.#sweep);
    this.#sweep = undefined;
  }

  #close(): void {
    if (this.#listening) this.#server.close();
    this.#listening = false;
  }

  #plaintextServer(): Server {
    return createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
      const shared = this.#options.sharedReadBuffer === false ? undefined : moveToSharedBuffer(socket);
      this.#connect(shared ?? new StreamTransport(socket));
    });
  }

  #tlsServer(tls: TlsOptions): Server {
    const server = createTlsServer({
      ...secureContextOf(tls),
      ALPNProtocols: ["h2"],
      minVersion: "TLSv1.2",
      handshakeTimeout: this.#options.handshakeTimeoutMs,
      requestCert: tls.clientCa !== undefined,
      rejectUnauthorized: tls.clientCa !== undefined,
    });
    server.on("connection", (socket: Socket) => this.#admitTls(socket));
    server.on("tlsClientError", (error, socket) => {
      this.#observer.handshakeFailed(refusalOf(socket) ?? codeOf(error), peerOf(socket));
      socket.destroy();
    });
    server.on("secureConnection", (socket: TLSSocket) => {
      if (socket.alpnProtocol === "h2") this.#connect(new StreamTransport(socket));
      else this.#refuseWithoutAlpn(socket);
    });
    return server;
  }

  /** Whoever offers other protocols is told by TLS itself; who offers none gets a line of text, and no long time to read it. */
  #refuseWithoutAlpn(socket: TLSSocket): void {
    this.#observer.handshakeFailed("no_alpn", peerOf(socket));
    const timer = this.#clock.setTimeout(() => socket.destroy(), LINGER_MS);
    socket.on("close", () => this.#clock.clearTimeout(timer));
    socket.on("error", () => {});
    socket.resume();
    socket.end(NO_ALPN);
  }

  /** One too many is not worth a handshake. */
  #admitTls(socket: Socket): void {
    const { connectionsMax } = this.#options;
    if (this.#tlsSockets.size >= connectionsMax) {
      const detail = `${connectionsMax} connections (GRPC_CONNECTIONS_MAX)`;
      this.#observer.attack("connections_over_limit", peerOf(socket), detail);
      socket.destroy();
      return;
    }
    this.#tlsSockets.add(socket);
    socket.once("close", () => this.#tlsSockets.delete(socket));
  }

  #connect(transport: StreamTransport | NonNullable<ReturnType<typeof moveToSharedBuffer>>): void {
    const connection = new Connection(transport, this.#context);
    const tooMany = this.#connections.size - this.#refused.size >= this.#options.connectionsMax;
    this.#connections.add(connection);
    transport.listen(connection);
    if (tooMany) this.#refuse(connection);
    // It was on its way when the drain began.
    else if (this.#draining) connection.goAway("drain");
    if (this.#sweep === undefined) this.#scheduleSweep();
  }

  #refuse(connection: Connection): void {
    this.#refused.add(connection);
    connection.refuse();
    // Whoever comes with hundreds at once does not read why.
    if (this.#refused.size > REFUSED_MAX) connection.destroy("over_limit");
  }

  #closed(connection: Connection): void {
    this.#connections.delete(connection);
    this.#refused.delete(connection);
    if (this.#connections.size === 0) this.#onEmpty?.();
  }

  /** Runs only while there are connections, so that an idle worker sleeps. */
  #scheduleSweep(): void {
    this.#sweep = this.#clock.setTimeout(() => {
      this.#sweep = undefined;
      for (const connection of this.#connections) connection.sweep();
      if (this.#connections.size > 0) this.#scheduleSweep();
    }, SWEEP_MS);
    this.#sweep.unref?.();
  }
}

function secureContextOf({ cert, key, clientCa }: TlsOptions) {
  return { cert, key, ...(clientCa === undefined ? {} : { ca: clientCa }) };
}

/**
 * Why a client's certificate is not taken. Node.js lets the handshake end then, and only closes the socket: what comes as an
 * error is that it was closed.
 */
function refusalOf(socket: TLSSocket): string | undefined {
  const { authorizationError: code } = socket as { authorizationError?: unknown };
  return typeof code === "string" ? code : undefined;
}

/** Something short that says what went wrong; good as a metric label, since OpenSSL's codes are few. */
function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : "unknown";
}
