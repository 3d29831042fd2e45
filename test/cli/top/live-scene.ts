// A service's live snapshot, as the admin port would tell it, and an admin port that tells it.

import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import {
  BROKER_SERIES,
  type LiveHistory,
  type LiveSnapshot,
  PROCESS_SERIES,
  SERVICE_SERIES,
  type Values,
} from "../../../src/admin/live/model.ts";

export const AT_MS = Date.UTC(2026, 2, 1, 10, 11, 12);

/** Every series the same: these values, the last one at `atMs`. */
export function history(
  atMs: number,
  values: Values,
  brokers: readonly string[],
  processes: readonly string[],
): LiveHistory {
  const all = <K extends string>(keys: readonly K[]) =>
    Object.fromEntries(keys.map((key) => [key, values])) as Record<K, Values>;
  return {
    t: values.map((_, i) => atMs - (values.length - 1 - i) * 1000),
    service: all(SERVICE_SERIES),
    brokers: Object.fromEntries(brokers.map((name) => [name, all(BROKER_SERIES)])),
    processes: Object.fromEntries(processes.map((name) => [name, all(PROCESS_SERIES)])),
  };
}

export function snapshot(changes: Partial<LiveSnapshot> = {}): LiveSnapshot {
  const ledger = {
    topic: "",
    agrees: true,
    received: 1203,
    stored: 1200,
    failed: 0,
    inFlight: 3,
    persisted: 0,
    recovered: 0,
    forwarded: 0,
    deadLettered: 0,
    spooled: 0,
  };
  return {
    atMs: AT_MS,
    service: {
      version: "1.2.3",
      nodeVersion: "v24.0.0",
      cores: 8,
      hostMemoryBytes: 16 * 1024 ** 3,
      host: "host-1",
      startedAtMs: AT_MS - 3 * 3_600_000,
      workers: 2,
      workersUp: 2,
      ready: true,
      problems: [],
      bootstrap: ["127.0.0.1:9092"],
      admittedBytesLimit: 1000,
      spoolBytesLimit: 1000,
    },
    bottleneck: { stage: "none", sentence: "nothing is held up", broker: null, worker: null, notes: [] },
    history: history(AT_MS, [0, 1, 2, 1], ["127.0.0.1:9092"], ["0", "1", "supervisor"]),
    processes: ["0", "1", "supervisor"].map((name, i) => ({ name, up: true, pid: 100 + i })),
    brokers: [{ name: "127.0.0.1:9092", connections: 2, partitions: 6 }],
    brokersLeftOut: 0,
    partitions: [],
    partitionsLeftOut: 0,
    callers: [
      {
        address: "10.0.0.7",
        identity: "billing",
        connections: 2,
        streams: 8,
        unsentBytes: 0,
        oldestSeconds: 75,
        workers: ["0", "1"],
      },
    ],
    callersLeftOut: 0,
    ledger: [],
    ledgerLeftOut: 0,
    ledgerSum: ledger,
    incidents: [
      {
        id: "i",
        kind: "cpu",
        worker: "0",
        atMs: AT_MS - 60_000,
        state: "complete",
        title: "worker 0: high CPU",
        why: "it spins",
      },
    ],
    tail: false,
    ...changes,
  };
}

/** Tells one snapshot to whoever asks once, and what it is told to tell to whoever watches. */
export class LiveAdmin implements AsyncDisposable {
  readonly address: string;
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #watchers = new Set<ServerResponse>();
  #last: LiveSnapshot = snapshot();

  private constructor(server: Server) {
    this.#server = server;
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(): Promise<LiveAdmin> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const admin = new LiveAdmin(server);
    server.on("request", ({ url = "" }: { url?: string }, response: ServerResponse) => {
      admin.asked.push(url);
      if (url.startsWith("/debug/live/events")) admin.#watch(response);
      else response.end(JSON.stringify(admin.#last));
    });
    return admin;
  }

  #watch(response: ServerResponse): void {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("retry: 2000\n\n");
    this.#watchers.add(response);
    response.once("close", () => this.#watchers.delete(response));
    this.tell(this.#last);
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  tell(told: LiveSnapshot): void {
    this.#last = told;
    for (const watcher of this.#watchers) watcher.write(`id: ${told.atMs}\ndata: ${JSON.stringify(told)}\n\n`);
  }

  /** Ends the connections of all who watch. */
  hangUp(): void {
    for (const watcher of this.#watchers) watcher.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}
