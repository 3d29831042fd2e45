// kafkajs clients that can be seen: their sockets are made here, so connections and bytes are counted, and every one of them
// can be closed; what they log goes to our log, where it is debug.

import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import kafkajs, { type KafkaConfig, type Kafka, type RequestEvent, type SASLOptions } from "kafkajs";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { KafkaOptions, SaslOptions } from "../options.ts";

/** kafkajs' own tries to find the cluster; whoever sends tries for ever. */
const RETRY = { retries: 2, initialRetryTime: 50, maxRetryTime: 500 } as const;

type SocketArgs = Parameters<NonNullable<KafkaConfig["socketFactory"]>>[0];

export class Client {
  readonly kafka: Kafka;
  readonly #metrics: Metrics;
  readonly #sockets = new Map<Socket, { readonly broker: string; sentCounted: number; receivedCounted: number }>();
  readonly #isTls: boolean;
  #closed = false;

  constructor(log: Logger, metrics: Metrics, options: KafkaOptions) {
    this.#metrics = metrics;
    this.#isTls = options.tls !== undefined;
    const { bootstrap, clientId, connectTimeoutMs, requestTimeoutMs, tls, sasl } = options;
    this.kafka = new kafkajs.Kafka({
      brokers: bootstrap.map(({ host, port }) => `${host}:${port}`),
      clientId,
      connectionTimeout: connectTimeoutMs,
      authenticationTimeout: connectTimeoutMs,
      requestTimeout: requestTimeoutMs,
      retry: RETRY,
      ...(tls === undefined ? {} : { ssl: tls.ca === undefined ? true : { ca: tls.ca } }),
      ...(sasl === undefined ? {} : { sasl: saslOf(sasl) }),
      socketFactory: (args) => this.#open(args),
      logLevel: kafkajs.logLevel.INFO,
      logCreator: () => (entry) => {
        const { message, timestamp: _, logger: __, ...fields } = entry.log;
        log.debug(fields, `kafkajs: ${message}`);
      },
    });
  }

  /** Are there connections, as far as sockets can tell? */
  get connected(): boolean {
    // One that could not connect is not connecting either, until it has closed.
    for (const socket of this.#sockets.keys()) if (!socket.connecting && !socket.destroyed) return true;
    return false;
  }

  /** To be called with each request that was answered. */
  readonly observe = ({ payload: { broker, apiName, duration } }: RequestEvent): void => {
    this.#metrics.kafkaRequests.with(broker, apiName).inc();
    if (apiName === "Produce") this.#metrics.kafkaRequestTime.with(broker).observe(duration);
    for (const socket of this.#sockets.keys()) this.#countBytes(socket);
  };

  /** Closes all sockets at once: kafkajs' own disconnect waits for answers that may never come. */
  close(): void {
    this.#closed = true;
    // With an error: without one kafkajs does not notice, and its timers go on for ever.
    for (const socket of this.#sockets.keys()) socket.destroy(new Error("the client is closed"));
  }

  #open({ host, port, ssl, onConnect }: SocketArgs): Socket {
    const broker = `${host}:${port}`;
    const socket = this.#isTls
      ? connectTls({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...ssl }, onConnect)
      : connectTcp({ host, port }, onConnect);
    socket.setNoDelay(true);
    socket.setKeepAlive(true);
    const connections = this.#metrics.kafkaConnections.with(broker);
    const disconnects = this.#metrics.kafkaDisconnects.with(broker);
    const connectFailures = this.#metrics.kafkaConnectFailures.with(broker);
    this.#sockets.set(socket, { broker, sentCounted: 0, receivedCounted: 0 });
    let isConnected = false;
    // With TLS, a connection without it is none yet.
    socket.once(this.#isTls ? "secureConnect" : "connect", () => {
      isConnected = true;
      connections.inc();
      let isLost = false;
      const lost = (): void => {
        isLost = true;
      };
      socket.once("end", lost).once("error", lost);
      socket.once("close", () => {
        connections.dec();
        if (isLost && !this.#closed) disconnects.inc();
      });
    });
    socket.once("close", () => {
      if (!isConnected && !this.#closed) connectFailures.inc();
      this.#countBytes(socket);
      this.#sockets.delete(socket);
    });
    if (this.#closed) socket.destroy(new Error("the client is closed"));
    return socket;
  }

  #countBytes(socket: Socket): void {
    const counted = this.#sockets.get(socket);
    if (counted === undefined) return;
    const { bytesWritten, bytesRead } = socket;
    this.#metrics.kafkaSentBytes.with(counted.broker).inc(bytesWritten - counted.sentCounted);
    this.#metrics.kafkaReceivedBytes.with(counted.broker).inc(bytesRead - counted.receivedCounted);
    counted.sentCounted = bytesWritten;
    counted.receivedCounted = bytesRead;
  }
}

function saslOf({ mechanism, username, password }: SaslOptions): SASLOptions {
  switch (mechanism) {
    case "PLAIN":
      return { mechanism: "plain", username, password };
    case "SCRAM-SHA-256":
      return { mechanism: "scram-sha-256", username, password };
    case "SCRAM-SHA-512":
      return { mechanism: "scram-sha-512", username, password };
    default:
      return mechanism satisfies never;
  }
}
