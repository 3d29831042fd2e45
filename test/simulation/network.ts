// The network between a process and the brokers: sockets that are slow, torn, half open, or gone.
//
// Each direction of a connection keeps the order of its bytes and has delays of its own, so connections overtake each other:
// what was sent on one that is closed may arrive behind what was sent on the next. Rejected: handing whole requests over.
// Bytes can be cut anywhere, and the framing on both sides is a part of what is tested.

import { Duplex } from "node:stream";
import type { Dial } from "../../src/kafka/direct/connection.ts";
import type { Chance } from "../kafka/support/random.ts";
import type { Listen } from "../support/fake-broker.ts";
import type { SimulatedProcess } from "./process.ts";
import { type Owner, type Scheduler, WORLD } from "./scheduler.ts";

/** How bad the network is; probabilities for each write. All zero: it is perfect, but for its delays. */
export interface NetworkFaults {
  /** The connection breaks, with a part of what was written delivered. */
  cut: number;
  /** From now on nothing more arrives in this direction, and nobody is told. */
  blackhole: number;
  /** The bytes take very long. */
  stall: number;
  /** A new connection goes nowhere. */
  unreachable: number;
}

export const NO_NETWORK_FAULTS: NetworkFaults = { cut: 0, blackhole: 0, stall: 0, unreachable: 0 };

const STALL_MS_MAX = 8_000;

export class Network {
  faults: NetworkFaults = NO_NETWORK_FAULTS;
  readonly scheduler: Scheduler;
  readonly chance: Chance;
  readonly #listeners = new Map<number, (socket: Duplex) => void>();
  #nextPort = 9092;

  constructor(scheduler: Scheduler, chance: Chance) {
    this.scheduler = scheduler;
    this.chance = chance;
  }

  readonly listen: Listen = (_host, port, accept) => {
    const own = port === 0 ? this.#nextPort++ : port;
    this.#listeners.set(own, accept);
    return Promise.resolve({
      port: own,
      close: () => {
        this.#listeners.delete(own);
        return Promise.resolve();
      },
    });
  };

  /** The `dial` of one process. */
  dialFor(owner: SimulatedProcess): Dial {
    return (_host, port, _tls, onBytes) => {
      const { chance } = this;
      const link = new Link(this, owner);
      const { client } = link;
      client.on("data", onBytes);
      if (chance.hit(this.faults.unreachable)) return client;
      owner.after(0.1 + chance.next() * 2, () => {
        if (client.destroyed) return;
        const accept = this.#listeners.get(port);
        if (accept === undefined) {
          client.destroy(Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }));
          return;
        }
        accept(link.broker);
        client.emit("connect");
      });
      return client;
    };
  }
}

/** One connection: two sockets, and the bytes between them. */
class Link {
  readonly client: SimulatedSocket;
  readonly broker: SimulatedSocket;

  constructor(network: Network, process: SimulatedProcess) {
    const { chance } = network;
    const latencyMs = chance.hit(0.1) ? 20 + chance.next() * 200 : 0.1 + chance.next() * 2;
    this.client = new SimulatedSocket(network, process, latencyMs);
    this.broker = new SimulatedSocket(network, WORLD, latencyMs);
    this.client.peer = this.broker;
    this.broker.peer = this.client;
    // The system closes what a process leaves open; what it had written is still on its way.
    process.onEnd((how) => {
      if (how === "killed") this.client.hangUp();
      else this.client.vanish();
    });
  }
}

export class SimulatedSocket extends Duplex {
  peer!: SimulatedSocket;
  readonly #network: Network;
  readonly #owner: Owner;
  readonly #latencyMs: number;
  #arrivesAtMs = 0;
  /** Nothing more gets through. */
  #dead = false;

  constructor(network: Network, owner: Owner, latencyMs: number) {
    super();
    this.#network = network;
    this.#owner = owner;
    this.#latencyMs = latencyMs;
  }

  override _read(): void {}

  override _writev(chunks: { chunk: Buffer }[], callback: (error?: Error | null) => void): void {
    const { chance, scheduler } = this.#network;
    const take = (): void => {
      if (!this.destroyed) this.#carry(Buffer.concat(chunks.map(({ chunk }) => chunk)));
      callback();
    };
    // While its buffers are full, the system takes nothing, and what is to be written may not change meanwhile.
    if (chance.hit(0.05)) scheduler.after(chance.next() * 10, this.#owner, take);
    else take();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this._writev([{ chunk }], callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.hangUp();
    callback(error);
  }

  /** The other side sees the end of the connection behind what was sent. */
  hangUp(): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#arrive(() => {
      if (!this.peer.destroyed) this.peer.destroy();
    });
  }

  /** The machine is gone: what was sent arrives, and nobody tells the other side that nothing more will. */
  vanish(): void {
    this.#dead = true;
  }

  #carry(bytes: Buffer): void {
    const { chance, faults } = this.#network;
    if (this.#dead) return;
    if (chance.hit(faults.blackhole)) {
      this.#dead = true;
      return;
    }
    if (chance.hit(faults.cut)) {
      this.#deliver(bytes.subarray(0, chance.below(bytes.length + 1)));
      this.#arrive(() => this.peer.destroy(reset()));
      this.#dead = true;
      this.#network.scheduler.after(this.#latencyMs, this.#owner, () => this.destroy(reset()));
      return;
    }
    if (chance.hit(0.1) && bytes.length > 1) {
      const at = 1 + chance.below(bytes.length - 1);
      this.#deliver(bytes.subarray(0, at));
      this.#deliver(bytes.subarray(at));
    } else {
      this.#deliver(bytes);
    }
  }

  #deliver(bytes: Buffer): void {
    this.#arrive(() => {
      if (!this.peer.destroyed && bytes.length > 0) this.peer.push(bytes);
    });
  }

  #arrive(act: () => void): void {
    const { scheduler, chance, faults } = this.#network;
    const stallMs = chance.hit(faults.stall) ? chance.next() ** 2 * STALL_MS_MAX : 0;
    const atMs = scheduler.nowMs + this.#latencyMs * (0.5 + chance.next()) + stallMs;
    this.#arrivesAtMs = Math.max(this.#arrivesAtMs, atMs);
    scheduler.at(this.#arrivesAtMs, this.peer.#owner, act);
  }
}

function reset(): Error {
  return Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
}
