// One broker of a fake cluster: a listener whose port stays the same over stops and starts.
//
// Where it listens is a parameter: the loopback interface, or the network of a simulation.

import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import type { Duplex } from "node:stream";

import { type BrokerContext, FakeConnection } from "./connection.ts";
import type { FakeNode } from "./state.ts";

/** A port that is open. */
export interface Listener {
  readonly port: number;
  /** Takes no new connections; resolves when those that there are have ended. */
  close(): Promise<void>;
}

/** @param port 0 is any free one. */
export type Listen = (host: string, port: number, accept: (socket: Duplex) => void) => Promise<Listener>;

export const listenOnLoopback: Listen = async (host, port, accept) => {
  const server = createServer({ noDelay: true }, accept);
  server.listen(port, host);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = once(server, "close");
      server.close();
      await closed;
    },
  };
};

export class FakeBroker {
  readonly nodeId: number;
  readonly #node: FakeNode;
  readonly #context: BrokerContext;
  readonly #nextConnectionId: () => number;
  readonly #listen: Listen;
  readonly #connections = new Set<FakeConnection>();
  #listener: Listener | undefined;
  #paused = false;

  constructor(
    node: FakeNode,
    context: Omit<BrokerContext, "nodeId" | "paused">,
    nextConnectionId: () => number,
    listen: Listen,
  ) {
    this.nodeId = node.nodeId;
    this.#node = node;
    this.#context = { ...context, nodeId: node.nodeId, paused: () => this.#paused };
    this.#nextConnectionId = nextConnectionId;
    this.#listen = listen;
  }

  get host(): string {
    return this.#node.host;
  }

  get port(): number {
    return this.#node.port;
  }

  /** Open connections. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Listens; after a `stop`, on the same port. What the cluster knows is as it was. */
  async start(): Promise<void> {
    if (this.#listener !== undefined) return;
    this.#listener = await this.#listen(this.#node.host, this.#node.port, (socket) => this.#accept(socket));
    this.#node.port = this.#listener.port;
    this.#node.up = true;
  }

  /**
   * Dies: the port refuses, every connection ends. Metadata tells at once that it is gone and its partitions have no
   * leader, until `start` or `FakeCluster.moveLeader`.
   */
  async stop(): Promise<void> {
    const listener = this.#listener;
    if (listener === undefined) return;
    this.#listener = undefined;
    this.#node.up = false;
    this.#paused = false;
    const closed = listener.close();
    this.disconnect();
    await closed;
  }

  /** Cuts every connection; new ones are welcome. */
  disconnect(): void {
    for (const connection of this.#connections) connection.close();
  }

  /** Half-open: connections and bytes are accepted, nothing is done or answered. Metadata still counts it as up. */
  pause(): void {
    this.#paused = true;
  }

  /** Takes up everything that has arrived meanwhile. */
  resume(): void {
    this.#paused = false;
    for (const connection of this.#connections) connection.pump();
  }

  #accept(socket: Duplex): void {
    const connection = new FakeConnection(this.#nextConnectionId(), this.#context, socket);
    this.#connections.add(connection);
    socket.on("close", () => this.#connections.delete(connection));
  }
}
