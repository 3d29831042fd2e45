// A scripted client: sends its batches over streams or unary calls, and sends again what was not stored, until all of it is.
//
// It does what a good client does (docs/clients.md): it honours flow control and Drain, ends calls at its pleasure, waits
// before it tries again, and gives up only on what is told never to work.

import { type PublishResponse, Reason } from "../../src/gen/sluice/v1/ingest_pb.js";
import { Code } from "../../src/errors.ts";
import type { Status } from "../../src/grpc/server.ts";
import type { Chance } from "../kafka/support/random.ts";
import type { EventSpec, History, SentBatch, SentCall } from "./history.ts";
import { decodeAnswer, decodeStreamAnswer, encodeRequest } from "./messages.ts";
import type { Scheduler } from "./scheduler.ts";
import type { ClientSide, SimulatedCall, SimulatedServer } from "./server.ts";

/** Events that go together. */
export interface Work {
  readonly topic: string;
  readonly durability: number;
  readonly events: readonly EventSpec[];
}

export interface ClientSpec {
  readonly stream: boolean;
  /** Batches without an answer, at most. */
  readonly windowBatches: number;
  /** Between two batches, on average. */
  readonly pauseMs: number;
  /** That it cancels a call, for each batch. */
  readonly cancels: number;
  readonly work: Work[];
}

export interface ClientWorld {
  readonly scheduler: Scheduler;
  readonly history: History;
  /** A server that takes calls, if there is one. */
  server(chance: Chance): SimulatedServer | undefined;
}

const RETRY_MS = 400;

export class Client {
  readonly #world: ClientWorld;
  readonly #chance: Chance;
  readonly #spec: ClientSpec;
  /** Not stored yet, the oldest first. */
  readonly #work: Work[];
  /** Sent again after a pause. */
  #waiting = 0;
  #outstanding = 0;
  #ended = false;
  /** Near the end there is no time for pauses. */
  #encored = false;

  constructor(world: ClientWorld, chance: Chance, spec: ClientSpec) {
    this.#world = world;
    this.#chance = chance;
    this.#spec = spec;
    this.#work = [...spec.work];
  }

  /** Everything has its outcome. */
  get done(): boolean {
    return this.#work.length === 0 && this.#waiting === 0 && this.#outstanding === 0;
  }

  /** Some more batches, of those that it sent before. */
  encore(): void {
    const isGood = ({ events }: Work): boolean => events.every(({ poison, topic }) => !poison && topic !== "nowhere");
    this.#work.push(...this.#spec.work.filter(isGood).slice(0, 3));
    this.#encored = true;
    if (this.#ended) void this.run();
  }

  /** Of what is left, for whoever asks why it takes so long. */
  describe(): string {
    return `${this.#work.length} batches to send, ${this.#waiting} waiting, ${this.#outstanding} outstanding`;
  }

  async run(): Promise<void> {
    this.#ended = false;
    for (;;) {
      await this.#pause(this.#encored ? 50 : this.#spec.pauseMs);
      if (this.#work.length === 0) {
        if (this.done) {
          this.#ended = true;
          return;
        }
        continue;
      }
      const server = this.#world.server(this.#chance);
      if (server === undefined) continue;
      if (this.#spec.stream) await new StreamSession(this, server).run();
      else void this.#publish(server);
    }
  }

  // --- What sessions share ----------------------------------------------------------------------------------------------

  get world(): ClientWorld {
    return this.#world;
  }

  get spec(): ClientSpec {
    return this.#spec;
  }

  get chance(): Chance {
    return this.#chance;
  }

  get hasWork(): boolean {
    return this.#work.length > 0;
  }

  /** Takes the next batch, under the number that it has on this call. */
  take(call: SentCall, sequence: number): SentBatch {
    const { topic, durability, events } = this.#work.shift()!;
    this.#outstanding++;
    return this.#world.history.send(call, sequence, topic, durability, events, this.#chance.pick(["x", "·", "\0"]));
  }

  /** The client heard an answer. */
  heard(batch: SentBatch, answer: PublishResponse): void {
    const again = answer.failures.filter(({ reason, retryable }) => retryable || reason === Reason.UNKNOWN_TOPIC);
    const events = again.flatMap(({ index }) => batch.events[index] ?? []).filter(({ topic }) => topic !== "nowhere");
    if (events.length > 0) this.#later({ ...batch, events: events.map(specOf) });
    this.#outstanding--;
  }

  heardRefusal(batch: SentBatch, code: number): void {
    if (code !== Code.INVALID_ARGUMENT) this.#later({ ...batch, events: batch.events.map(specOf) });
    this.#outstanding--;
  }

  /** Nobody will ever answer these; they are sent again, in their order. */
  unanswered(batches: readonly SentBatch[]): void {
    this.#outstanding -= batches.length;
    this.#work.unshift(
      ...batches.map(({ topic, durability, events }) => ({ topic, durability, events: events.map(specOf) })),
    );
  }

  async #pause(meanMs: number): Promise<void> {
    await this.#world.scheduler.sleep(meanMs * 2 * this.#chance.next());
  }

  #later({ topic, durability, events }: Work): void {
    this.#waiting++;
    void this.#pause(RETRY_MS).then(() => {
      this.#waiting--;
      this.#work.unshift({ topic, durability, events });
    });
  }

  async #publish(server: SimulatedServer): Promise<void> {
    const { history, scheduler } = this.#world;
    const call = history.call(server.process.name);
    const batch = this.take(call, 1 + this.#chance.below(1000));
    let answer: PublishResponse | undefined;
    let status: Status | undefined;
    await new Promise<void>((resolve) => {
      const side: ClientSide = {
        opened: () => {
          call.openedAtMs = scheduler.nowMs;
        },
        saidEnd: ({ code, message }) => {
          if (code !== Code.OK && code !== Code.UNAVAILABLE) history.refused(call, batch.sequence, code, message);
        },
        said: (bytes) => history.answered(call, decodeAnswer(bytes)),
        message: (bytes) => {
          answer = decodeAnswer(bytes);
        },
        ended: (ended) => {
          status = ended;
          resolve();
        },
      };
      const rpc = server.open("Publish", side);
      rpc.write(encodeRequest(batch), () => {
        batch.reached = true;
      });
      rpc.halfClose();
      if (this.#chance.hit(this.#spec.cancels)) {
        void this.#pause(20).then(() => {
          rpc.cancel();
          call.cancelled = true;
          resolve();
        });
      }
    });
    call.over = true;
    if (status?.code === Code.OK && answer !== undefined) {
      this.heard(batch, answer);
      return;
    }
    if (status?.code === Code.OK) history.violate(`${call.id} ended with OK and without an answer`);
    if (status === undefined || status.code === Code.UNAVAILABLE) {
      this.unanswered([batch]);
      return;
    }
    this.heardRefusal(batch, status.code);
  }
}

function specOf({ topic, key, partition, valueBytes, poison }: EventSpec): EventSpec {
  return { topic, key, partition, valueBytes, poison };
}

/** One PublishStream call of a client, from its opening to its end. */
class StreamSession implements ClientSide {
  readonly #client: Client;
  readonly #call: SentCall;
  readonly #rpc: SimulatedCall;
  /** Sent and not answered, as far as the client has heard. */
  readonly #open = new Map<number, SentBatch>();
  #sequence: number;
  #draining = false;
  #ended: { readonly status: Status | undefined } | undefined;
  #wake: (() => void) | undefined;

  constructor(client: Client, server: SimulatedServer) {
    this.#client = client;
    this.#call = client.world.history.call(server.process.name);
    this.#sequence = client.chance.below(3);
    this.#rpc = server.open("PublishStream", this);
  }

  async run(): Promise<void> {
    const { chance, spec, world } = this.#client;
    let idle = 0;
    while (this.#ended === undefined && !this.#draining && idle < 8) {
      if (this.#client.hasWork && this.#open.size < spec.windowBatches && this.#rpc.writable) {
        idle = 0;
        this.#sequence += 1 + chance.below(2);
        const batch = this.#client.take(this.#call, this.#sequence);
        this.#open.set(this.#sequence, batch);
        this.#rpc.write(encodeRequest(batch), () => {
          batch.reached = true;
        });
        if (chance.hit(spec.cancels)) {
          await world.scheduler.sleep(chance.next() * 50);
          this.#rpc.cancel();
          this.#call.cancelled = true;
          return this.#over();
        }
        // Often several at once, so that they share record batches.
        if (chance.hit(0.5)) await world.scheduler.sleep(spec.pauseMs * 2 * chance.next());
        continue;
      }
      if (this.#open.size === 0) idle++;
      await this.#event(200);
    }
    if (this.#ended === undefined && (!this.#draining || chance.hit(0.5))) this.#rpc.halfClose();
    while (this.#ended === undefined) await this.#event(60_000);
    this.#over();
  }

  opened(): void {
    this.#call.openedAtMs = this.#client.world.scheduler.nowMs;
  }

  saidEnd(): void {}

  said(bytes: Uint8Array): void {
    const { event } = decodeStreamAnswer(bytes);
    const { history } = this.#client.world;
    if (event.case === "published") history.answered(this.#call, event.value);
    else if (event.case === "refused") {
      const { sequence, status } = event.value;
      history.refused(this.#call, Number(sequence), status?.code ?? -1, status?.message ?? "");
    }
  }

  message(bytes: Uint8Array): void {
    const { event } = decodeStreamAnswer(bytes);
    if (event.case === "drain") this.#draining = true;
    else if (event.case === "published") {
      const batch = this.#take(Number(event.value.sequence));
      if (batch !== undefined) this.#client.heard(batch, event.value);
    } else if (event.case === "refused") {
      const batch = this.#take(Number(event.value.sequence));
      if (batch !== undefined) this.#client.heardRefusal(batch, event.value.status?.code ?? -1);
    }
    this.#wake?.();
  }

  ended(status: Status | undefined): void {
    this.#ended = { status };
    this.#wake?.();
  }

  #take(sequence: number): SentBatch | undefined {
    const batch = this.#open.get(sequence);
    this.#open.delete(sequence);
    return batch;
  }

  #over(): void {
    this.#call.over = true;
    if (this.#ended?.status?.code === Code.OK && this.#open.size > 0) {
      this.#client.world.history.violate(`${this.#call.id} ended with OK and ${this.#open.size} batches unanswered`);
    }
    this.#client.unanswered([...this.#open.values()]);
  }

  /** The next thing that is heard, or so much time. */
  async #event(withinMs: number): Promise<void> {
    const { scheduler } = this.#client.world;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      const timer = scheduler.after(withinMs, { alive: true, stoppedUntilMs: 0 }, resolve);
      this.#wake = () => {
        timer.cancelled = true;
        resolve();
      };
    });
    this.#wake = undefined;
  }
}
