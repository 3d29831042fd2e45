// Clients that load a service until they are told to stop, and a record of what became of every batch that they sent.
//
// They speak gRPC as it is, so that each status shows as the server gave it. A batch has exactly one outcome: an answer, a
// refusal, or the end of the call that it was sent on; whatever does not fit is a violation. Each stream has a connection of
// its own, numbers its batches, and bounds what it sends without an answer.

import assert from "node:assert/strict";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import { Code } from "../../src/errors.ts";
import {
  type Durability,
  PublishRequestSchema,
  type PublishResponse,
  PublishResponseSchema,
  PublishStreamResponseSchema,
} from "../../src/gen/sluice/v1/ingest_pb.js";
import { PUBLISH, PUBLISH_STREAM, RawClient } from "./raw-client.ts";

export interface LoadOptions {
  /** For example `127.0.0.1:50123`; asked for each connection, because a new service may have another one. */
  readonly address: string | (() => string);
  readonly topic: string;
  readonly durability: Durability;
  /** How each stream takes a Drain: half-closes; only sends nothing more; goes on sending. */
  readonly streams: readonly ("closes" | "stays" | "ignores")[];
  readonly unaryCallers: number;
  /** Go on over another connection when a call has ended. */
  readonly reconnect?: boolean;
  /** Processes are killed: connections may close in the middle of a call. */
  readonly connectionsBreak?: boolean;
  readonly eventsPerBatch?: number;
  readonly batchesUnansweredMax?: number;
}

type Outcome =
  | { readonly kind: "answered"; readonly failures: PublishResponse["failures"] }
  | { readonly kind: "refused"; readonly code: number }
  /** The call that it was sent on ended first. */
  | { readonly kind: "ended"; readonly code: number; readonly message: string };

export interface SentBatch {
  readonly sender: number;
  readonly unary: boolean;
  readonly sequence: number;
  /** Sent when its stream had been told to drain, by a client that ignores it. */
  readonly afterDrain: boolean;
  outcome: Outcome | undefined;
}

const NAMES = new Map<number, string>(Object.entries(Code).map(([name, code]) => [code, name]));

const EVENTS_PER_BATCH = 20;
const UNANSWERED_MAX = 16;
/** How long a client that lost its connection waits until it opens another: hardly, so that it comes at the worst moment. */
const RECONNECT_MS = 1;

export class Load {
  readonly batches: SentBatch[] = [];
  readonly violations: string[] = [];
  /** Streams that were told to drain. */
  drains = 0;
  answered = 0;
  readonly #options: LoadOptions;
  readonly #senders: Promise<void>[];
  #stopping = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#senders = [
      ...options.streams.map((kind, sender) => this.#streams(sender, kind)),
      ...Array.from({ length: options.unaryCallers }, (_, i) => this.#unary(options.streams.length + i)),
    ];
  }

  /** Sends nothing more, and resolves when every call has ended. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.ended;
  }

  /** Resolves when every call has ended and none is going to be opened. */
  get ended(): Promise<void> {
    return Promise.all(this.#senders).then(() => {});
  }

  /** The values of the events that were acknowledged. */
  stored(): Set<string> {
    const values = new Set<string>();
    for (const batch of this.batches) {
      if (batch.outcome?.kind !== "answered") continue;
      const failed = new Set(batch.outcome.failures.map(({ index }) => index));
      for (let i = 0; i < this.#eventsPerBatch; i++) if (!failed.has(i)) values.add(valueOf(batch, i));
    }
    return values;
  }

  /** The values of the events that nobody can know of: their batch has no answer. */
  unknown(where: (batch: SentBatch) => boolean = () => true): Set<string> {
    const values = new Set<string>();
    for (const batch of this.batches) {
      if (batch.outcome?.kind !== "ended" || !where(batch)) continue;
      for (let i = 0; i < this.#eventsPerBatch; i++) values.add(valueOf(batch, i));
    }
    return values;
  }

  /** How many batches ended in which way, for example `{ answered: 12, "ended UNAVAILABLE": 3 }`. */
  outcomes(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { outcome } of this.batches) {
      const how =
        outcome === undefined
          ? "none"
          : outcome.kind === "answered"
            ? outcome.failures.length === 0
              ? "answered"
              : `answered with failures: ${[...new Set(outcome.failures.map(({ message }) => message))].join("; ")}`
            : `${outcome.kind} ${NAMES.get(outcome.code)}${outcome.kind === "ended" && outcome.code !== Code.UNAVAILABLE ? `: ${outcome.message}` : ""}`;
      counts[how] = (counts[how] ?? 0) + 1;
    }
    return counts;
  }

  /** Every batch has one outcome, and none but an answer or UNAVAILABLE. */
  assertOneOutcomeEach(): void {
    assert.deepEqual(this.violations, []);
    const { answered = 0, "ended UNAVAILABLE": unavailable = 0, ...others } = this.outcomes();
    assert.deepEqual(others, {});
    assert.equal(answered + unavailable, this.batches.length);
  }

  /**
   * A connection that is closed in the middle of a call, not reset, is INTERNAL to grpc-js, depending on which of its events
   * comes first; to other clients it is UNAVAILABLE, and to the SDK of this package.
   */
  #codeOf(code: number, message: string): number {
    const closed = code === Code.INTERNAL && message.startsWith("Received RST_STREAM with code 0");
    return closed && this.#options.connectionsBreak === true ? Code.UNAVAILABLE : code;
  }

  get #eventsPerBatch(): number {
    return this.#options.eventsPerBatch ?? EVENTS_PER_BATCH;
  }

  #connect(): RawClient {
    const { address } = this.#options;
    const [host = "", port = ""] = (typeof address === "string" ? address : address()).split(":");
    return new RawClient({ host, port: Number(port) });
  }

  #newBatch(sender: number, sequence: number, unary: boolean, afterDrain = false): SentBatch {
    const batch: SentBatch = { sender, sequence, unary, afterDrain, outcome: undefined };
    this.batches.push(batch);
    return batch;
  }

  #encode(batch: SentBatch): Buffer {
    const { topic, durability } = this.#options;
    const events = Array.from({ length: this.#eventsPerBatch }, (_, i) => ({
      key: Buffer.from(keyOf(batch.sender, i)),
      value: Buffer.from(valueOf(batch, i)),
    }));
    const request = create(PublishRequestSchema, { sequence: BigInt(batch.sequence), topic, durability, events });
    return Buffer.from(toBinary(PublishRequestSchema, request));
  }

  #settle(batch: SentBatch, outcome: Outcome): void {
    if (batch.outcome !== undefined)
      this.violations.push(`batch ${batch.sender}/${batch.sequence}: ${batch.outcome.kind}, then ${outcome.kind}`);
    batch.outcome = outcome;
    if (outcome.kind === "answered") this.answered++;
  }

  #settleAnswer(batch: SentBatch, answer: PublishResponse): void {
    if (answer.stored + answer.failures.length !== this.#eventsPerBatch)
      this.violations.push(`batch ${batch.sender}/${batch.sequence}: the answer does not add up`);
    this.#settle(batch, { kind: "answered", failures: answer.failures });
  }

  async #pause(): Promise<void> {
    await new Promise((resolve) => {
      setTimeout(resolve, RECONNECT_MS);
    });
  }

  async #unary(sender: number): Promise<void> {
    let client = this.#connect();
    for (let sequence = 1; !this.#stopping; sequence++) {
      const batch = this.#newBatch(sender, sequence, true);
      const answer = await client.unary(PUBLISH, this.#encode(batch));
      if (Buffer.isBuffer(answer)) {
        this.#settleAnswer(batch, fromBinary(PublishResponseSchema, answer));
        continue;
      }
      const { code, message } = answer;
      this.#settle(batch, { kind: "ended", code: this.#codeOf(code, message), message });
      if (this.#options.reconnect !== true) break;
      client[Symbol.dispose]();
      await this.#pause();
      client = this.#connect();
    }
    client[Symbol.dispose]();
  }

  async #streams(sender: number, kind: LoadOptions["streams"][number]): Promise<void> {
    let sequence = 0;
    for (;;) {
      using client = this.#connect();
      sequence = await this.#stream(client.duplex(PUBLISH_STREAM), sender, kind, sequence);
      if (this.#stopping || this.#options.reconnect !== true) return;
      await this.#pause();
    }
  }

  /** One call, to its end. @returns the last sequence. */
  async #stream(
    duplex: ClientDuplexStream<Buffer, Buffer>,
    sender: number,
    kind: LoadOptions["streams"][number],
    last: number,
  ): Promise<number> {
    const windowMax = this.#options.batchesUnansweredMax ?? UNANSWERED_MAX;
    const first = last + 1;
    let sequence = last;
    /** By sequence: what was sent on this call. */
    const sent = new Map<number, SentBatch>();
    let unanswered = 0;
    let settled = last;
    let drained = false;
    let halfClosed = false;
    const pump = (): void => {
      if (halfClosed) return;
      if (this.#stopping || (drained && kind === "closes")) {
        halfClosed = true;
        duplex.end();
        return;
      }
      if (drained && kind === "stays") return;
      while (unanswered < windowMax) {
        const batch = this.#newBatch(sender, ++sequence, false, drained);
        sent.set(sequence, batch);
        unanswered++;
        duplex.write(this.#encode(batch));
      }
    };
    const over = new Promise<{ readonly code: number; readonly message: string }>((resolve) => {
      duplex.on("data", (bytes: Buffer) => {
        const { event } = fromBinary(PublishStreamResponseSchema, bytes);
        if (event.case === "drain") {
          if (drained) this.violations.push(`stream ${sender}: told to drain twice`);
          drained = true;
          this.drains++;
          const told = Number(event.value.lastSettledSequence);
          if (told !== (settled < first ? 0 : settled))
            this.violations.push(`stream ${sender}: Drain says ${told}, answered are those up to ${settled}`);
        } else if (event.case !== undefined) {
          const batch = sent.get(Number(event.value.sequence));
          if (batch === undefined) {
            this.violations.push(`stream ${sender}: an answer to ${event.value.sequence}, which was not sent`);
            return;
          }
          if (event.case === "published") this.#settleAnswer(batch, event.value);
          else this.#settle(batch, { kind: "refused", code: event.value.status?.code ?? -1 });
          unanswered--;
          while (sent.get(settled + 1)?.outcome !== undefined) settled++;
        }
        pump();
      });
      duplex.on("error", ({ code, details }: ServiceError) => {
        resolve({ code: this.#codeOf(code, details), message: details });
      });
      duplex.on("end", () => {
        // An error is told right after it, if there is one.
        setImmediate(() => {
          resolve({ code: Code.OK, message: "" });
        });
      });
    });
    const poll = setInterval(() => {
      if (this.#stopping) pump();
    }, 20);
    pump();
    const { code, message } = await over;
    clearInterval(poll);
    for (const batch of sent.values())
      if (batch.outcome === undefined) this.#settle(batch, { kind: "ended", code, message });
    if (code === Code.OK && !halfClosed) this.violations.push(`stream ${sender}: OK, but it was not half-closed`);
    else if (code !== Code.OK && code !== Code.UNAVAILABLE)
      this.violations.push(`stream ${sender}: ended with ${NAMES.get(code)}: ${message}`);
    return sequence;
  }
}

export function keyOf(sender: number, i: number): string {
  return `key-${sender}-${i % 3}`;
}

export function valueOf({ sender, sequence }: Pick<SentBatch, "sender" | "sequence">, i: number): string {
  return `${sender}/${sequence}/${i}`;
}
