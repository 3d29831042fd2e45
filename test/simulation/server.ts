// A gRPC server without a wire: opens the service's methods and carries messages between them and scripted clients.
//
// It holds the service to the port's rules (src/grpc/server.ts): a message's bytes are worth nothing after the handler
// returned, nothing is delivered while a call is paused, and handlers are never called from within a call's methods.

import type { CallersState, Status, CallHandler, GrpcServer, Method, ServerCall } from "../../src/grpc/server.ts";
import type { Chance } from "../kafka/support/random.ts";
import type { SimulatedProcess } from "./process.ts";
import { type Scheduler, WORLD } from "./scheduler.ts";

/** What a client hears of its call. */
export interface ClientSide {
  /** The service took up the call. */
  opened(): void;
  /** What the service says, at the moment at which it says it: from then on it holds, whether it arrives or not. */
  said(bytes: Uint8Array): void;
  /** The service ends the call; what `said` is for messages. */
  saidEnd(status: Status): void;
  message(bytes: Uint8Array): void;
  /** Undefined: the connection is gone. */
  ended(status: Status | undefined): void;
}

/** What a client may have sent ahead of the handler: HTTP/2's window. */
const WINDOW_BYTES = 8_192;

const UNAVAILABLE: Status = { code: 14, message: "the server is going away" };

interface Message {
  readonly bytes: Buffer;
  readonly reached: () => void;
}

export class SimulatedServer implements GrpcServer {
  readonly address = { host: "10.0.0.1", port: 50_051 };
  readonly process: SimulatedProcess;
  readonly #scheduler: Scheduler;
  readonly #chance: Chance;
  readonly #methods: ReadonlyMap<string, Method>;
  readonly #calls = new Set<SimulatedCall>();
  #state: "new" | "serving" | "draining" | "disposed" = "new";
  #onIdle: (() => void) | undefined;

  constructor(methods: readonly Method[], process: SimulatedProcess, scheduler: Scheduler, chance: Chance) {
    this.process = process;
    this.#scheduler = scheduler;
    this.#chance = chance;
    this.#methods = new Map(methods.map((method) => [method.path, method]));
    process.onEnd(() => {
      for (const call of this.#calls) call.lose();
    });
  }

  get serving(): boolean {
    return this.#state === "serving" && this.process.alive;
  }

  inspect(): CallersState {
    return { server: "native", unknown: [], callers: [], callersLeftOut: 0 };
  }

  start(): Promise<void> {
    this.#state = "serving";
    return Promise.resolve();
  }

  async drain(deadlineMs: number): Promise<void> {
    this.#state = "draining";
    if (this.#calls.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      const { clock } = this.process;
      clock.setTimeout(resolve, Math.max(0, deadlineMs - clock.now()));
    });
  }

  dispose(): Promise<void> {
    this.#state = "disposed";
    for (const call of this.#calls) call.abort(UNAVAILABLE);
    return Promise.resolve();
  }

  open(path: "Publish" | "PublishStream", client: ClientSide): SimulatedCall {
    const method = this.#methods.get(`/sluice.v1.EventIngest/${path}`)!;
    const call = new SimulatedCall(method, client, this.process, this.#scheduler, this.#chance, () => {
      this.#calls.delete(call);
      if (this.#calls.size === 0) this.#onIdle?.();
    });
    this.#calls.add(call);
    return call;
  }
}

export class SimulatedCall implements ServerCall {
  readonly peer = "10.0.0.2:40000";
  readonly traceparent = undefined;
  readonly #client: ClientSide;
  readonly #process: SimulatedProcess;
  readonly #scheduler: Scheduler;
  readonly #chance: Chance;
  readonly #onOver: () => void;
  readonly #latencyMs: number;
  #handler: CallHandler | undefined;
  /** What has arrived and waits for the handler; undefined is the client's end. */
  readonly #inbox: (Message | undefined)[] = [];
  #aheadBytes = 0;
  #paused = false;
  #pumping = false;
  #over = false;
  #clientGone = false;
  #unsentBytes = 0;
  #toServerAtMs = 0;
  #toClientAtMs = 0;

  constructor(
    method: Method,
    client: ClientSide,
    process: SimulatedProcess,
    scheduler: Scheduler,
    chance: Chance,
    onOver: () => void,
  ) {
    this.#client = client;
    this.#process = process;
    this.#scheduler = scheduler;
    this.#chance = chance;
    this.#onOver = onOver;
    this.#latencyMs = chance.hit(0.2) ? chance.next() * 300 : chance.next() * 3;
    this.#toServer(() => {
      client.opened();
      this.#handler = method.open(this);
    });
  }

  // --- The client's side ------------------------------------------------------------------------------------------------

  /** May the client send more? It honours the server's flow control. */
  get writable(): boolean {
    return this.#aheadBytes < WINDOW_BYTES;
  }

  /** @param reached called when the handler gets it. */
  write(bytes: Buffer, reached: () => void): void {
    this.#aheadBytes += bytes.length;
    this.#toServer(() => this.#arrived({ bytes, reached }));
  }

  halfClose(): void {
    this.#toServer(() => this.#arrived(undefined));
  }

  /** The client goes away, and hears nothing more. */
  cancel(): void {
    this.#clientGone = true;
    this.#toServer(() => {
      if (this.#over) return;
      this.#finish();
      this.#handler?.cancelled();
    });
  }

  // --- The service's side -----------------------------------------------------------------------------------------------

  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  header(): undefined {
    return undefined;
  }

  binaryHeader(): undefined {
    return undefined;
  }

  sendHeaders(): void {}

  send(message: Uint8Array): void {
    if (this.#over) return;
    const bytes = Buffer.from(message);
    this.#unsentBytes += bytes.length;
    this.#client.said(bytes);
    this.#toClient(() => {
      this.#taken(bytes.length);
      if (!this.#clientGone) this.#client.message(bytes);
    });
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#pumpSoon();
  }

  end(status: Status): void {
    if (this.#over) return;
    this.#client.saidEnd(status);
    this.#finish();
    this.#toClient(() => {
      if (!this.#clientGone) this.#client.ended(status);
    });
  }

  // --- The server's -----------------------------------------------------------------------------------------------------

  /** The server ends the call by force. */
  abort(status: Status): void {
    if (this.#over) return;
    this.end(status);
    this.#process.after(0, () => this.#handler?.cancelled());
  }

  /** The process is gone; the client finds out. */
  lose(): void {
    this.#over = true;
    // A connection that is cut is noticed at once, or by its keepalive.
    const delayMs = this.#chance.hit(0.3) ? 5_000 * this.#chance.next() : this.#latencyMs;
    const atMs = Math.max(this.#toClientAtMs, this.#scheduler.nowMs + delayMs);
    this.#scheduler.at(atMs, WORLD, () => {
      if (!this.#clientGone) this.#client.ended(undefined);
    });
  }

  #finish(): void {
    this.#over = true;
    this.#onOver();
  }

  #arrived(message: Message | undefined): void {
    this.#inbox.push(message);
    this.#pump();
  }

  #pumpSoon(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    this.#process.after(this.#chance.next() * 0.1, () => {
      this.#pumping = false;
      this.#pump();
    });
  }

  #pump(): void {
    while (!this.#paused && !this.#over && this.#inbox.length > 0) {
      const message = this.#inbox.shift();
      if (message === undefined) {
        this.#handler?.halfClose();
        continue;
      }
      const { bytes } = message;
      this.#aheadBytes -= bytes.length;
      message.reached();
      this.#handler?.message(bytes, 0, bytes.length);
      bytes.fill(0xee);
    }
  }

  /** The client took an answer. */
  #taken(bytes: number): void {
    this.#unsentBytes -= bytes;
    if (this.#unsentBytes > 0 || this.#over) return;
    this.#process.after(0, () => {
      if (!this.#over && this.#unsentBytes === 0) this.#handler?.drained();
    });
  }

  #toServer(act: () => void): void {
    const atMs = this.#scheduler.nowMs + this.#latencyMs * (0.5 + this.#chance.next());
    this.#toServerAtMs = Math.max(this.#toServerAtMs, atMs);
    this.#scheduler.at(this.#toServerAtMs, this.#process, act);
  }

  #toClient(act: () => void): void {
    const atMs = this.#scheduler.nowMs + this.#latencyMs * (0.5 + this.#chance.next());
    this.#toClientAtMs = Math.max(this.#toClientAtMs, atMs);
    this.#scheduler.at(this.#toClientAtMs, WORLD, act);
  }
}
