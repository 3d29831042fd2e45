// One broker of a fake cluster: a listener whose port stays the same over stops and starts.

import { createServer, type AddressInfo, type Server } from "node:net";
import { once } from "node:events";

import { type BrokerContext, FakeConnection } from "./connection.ts";
import type { FakeNode } from "./state.ts";

export class FakeBroker {
  readonly nodeId: number;
  readonly #node: FakeNode;
  readonly #context: BrokerContext;
  readonly #nextConnectionId: () => number;
  readonly #connections = new Set<FakeConnection>();
  #server: Server | undefined;
  #paused = false;

  constructor(node: FakeNode, context: Omit<BrokerContext, "nodeId" | "paused">, nextConnectionId: () => number) {
    this.nodeId = node.nodeId;
    this.#node = node;
    this.#context = { ...context, nodeId: node.nodeId, paused: () => this.#paused };
    this.#nextConnectionId = nextConnectionId;
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
    if (this.#server !== undefined) return;
    const server = createServer({ noDelay: true }, (socket) => {
      const connection = new FakeConnection(this.#nextConnectionId(), this.#context, socket);
      this.#connections.add(connection);
      socket.on("close", () => this.#connections.delete(connection));
    });
    this.#server = server;
    server.listen(this.#node.port, this.#node.host);
    await once(server, "listening");
    this.#node.port = (server.address() as AddressInfo).port;
    this.#node.up = true;
  }

  /**
   * Dies: the port refuses, every connection ends. Metadata tells at once that it is gone and its partitions have no
   * leader, until `start` or `FakeCluster.moveLeader`.
   */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    this.#node.up = false;
    this.#paused = false;
    const closed = once(server, "close");
    server.close();
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
}
