// What clients have sent, and what they were told of it.
//
// Every event that is sent has a name of its own, also when it is sent again: then each of them has one outcome, and an event
// that was acknowledged has to be there by its own name, not by that of an earlier try.

import type { PublishResponse } from "../../src/gen/sluice/v1/ingest_pb.js";

/** The numbers of `sluice.v1.Durability`. */
export const REPLICATED = 1;
export const PERSISTED = 2;

export type Outcome =
  /** Nobody said anything yet. */
  | { readonly kind: "open" }
  | { readonly kind: "stored"; readonly durability: number }
  | { readonly kind: "failed"; readonly reason: number; readonly retryable: boolean; readonly message: string }
  /** The whole batch was refused: nothing of it is stored. */
  | { readonly kind: "refused"; readonly code: number; readonly message: string };

const OPEN: Outcome = { kind: "open" };

export interface EventSpec {
  readonly topic: string;
  readonly key: string | undefined;
  /** The one that the event names. */
  readonly partition: number | undefined;
  readonly valueBytes: number;
  /** Kafka will never take it. */
  readonly poison: boolean;
}

export interface SentEvent extends EventSpec {
  readonly name: string;
  readonly batch: SentBatch;
  /** In its batch. */
  readonly index: number;
  readonly value: string;
  outcome: Outcome;
}

export interface SentBatch {
  readonly call: SentCall;
  readonly sequence: number;
  readonly topic: string;
  /** As it was asked for. */
  readonly durability: number;
  readonly events: readonly SentEvent[];
  /** Did the service get it? */
  reached: boolean;
  settled: boolean;
}

/** One stream, or one unary call. */
export interface SentCall {
  readonly id: string;
  readonly process: string;
  readonly batches: Map<number, SentBatch>;
  /** When the service heard of it; virtual time. */
  openedAtMs: number;
  /** Has its process ended? What it had in flight may be stored at any later time, or never. */
  cutByDeath: boolean;
  cancelled: boolean;
  over: boolean;
}

const POISON = "!";

export function isPoison(value: string): boolean {
  return value.startsWith(POISON);
}

/** The event's name, of what is stored. */
export function nameOf(value: string): string {
  return value.slice(value.indexOf("["), value.indexOf("]") + 1);
}

export class History {
  readonly calls: SentCall[] = [];
  readonly events = new Map<string, SentEvent>();
  /** What should not have happened. */
  readonly violations: string[] = [];
  /** Asked at the moment at which an event is acknowledged: is it where it has to be? */
  onStored: (event: SentEvent, durability: number) => void = () => undefined;
  note: (call: SentCall, what: string) => void = () => undefined;
  onAnswer: (batch: SentBatch, answer: PublishResponse) => void = () => undefined;

  call(process: string): SentCall {
    const call: SentCall = {
      id: `c${this.calls.length}`,
      process,
      batches: new Map(),
      openedAtMs: Infinity,
      cutByDeath: false,
      cancelled: false,
      over: false,
    };
    this.calls.push(call);
    return call;
  }

  send(
    call: SentCall,
    sequence: number,
    topic: string,
    durability: number,
    specs: readonly EventSpec[],
    filler: string,
  ): SentBatch {
    const events: SentEvent[] = [];
    const batch: SentBatch = { call, sequence, topic, durability, events, reached: false, settled: false };
    for (const [index, spec] of specs.entries()) {
      const name = `[${call.id}.${sequence}.${index}]`;
      const value = `${spec.poison ? POISON : ""}${name}`.padEnd(spec.valueBytes, filler);
      const event: SentEvent = { ...spec, name, batch, index, value, outcome: OPEN };
      events.push(event);
      this.events.set(name, event);
    }
    call.batches.set(sequence, batch);
    this.note(call, `${sequence}: ${specs.length} events for ${topic}, durability ${durability}, are sent`);
    return batch;
  }

  /** The service answered a batch. */
  answered(call: SentCall, answer: PublishResponse): void {
    const batch = this.#settle(call, Number(answer.sequence));
    if (batch === undefined) return;
    const { events } = batch;
    let previous = -1;
    for (const { index, reason, retryable, message } of answer.failures) {
      const event = events[index];
      if (event === undefined || index <= previous) {
        this.violate(`${call.id}.${batch.sequence}: failures are not those of its events, each once, in order`);
        continue;
      }
      previous = index;
      event.outcome = { kind: "failed", reason, retryable, message };
    }
    if (answer.stored + answer.failures.length !== events.length) {
      this.violate(
        `${call.id}.${batch.sequence}: ${answer.stored} stored and ${answer.failures.length} failed of ${events.length}`,
      );
    }
    this.note(
      call,
      `${batch.sequence}: ${answer.stored} stored, ${answer.failures.length} failed ${answer.failures[0]?.message ?? ""}`,
    );
    const stored = events.filter(({ outcome }) => outcome.kind === "open");
    for (const event of stored) {
      event.outcome = { kind: "stored", durability: answer.durability };
      this.onStored(event, answer.durability);
    }
    this.onAnswer(batch, answer);
  }

  refused(call: SentCall, sequence: number, code: number, message: string): void {
    const batch = this.#settle(call, sequence);
    this.note(call, `${sequence}: refused, ${message}`);
    for (const event of batch?.events ?? []) event.outcome = { kind: "refused", code, message };
  }

  violate(message: string): void {
    this.violations.push(message);
  }

  #settle(call: SentCall, sequence: number): SentBatch | undefined {
    const batch = call.batches.get(sequence);
    if (batch === undefined) {
      this.violate(`${call.id}.${sequence} was answered and never sent`);
      return undefined;
    }
    if (batch.settled) {
      this.violate(`${call.id}.${sequence} was settled twice`);
      return undefined;
    }
    batch.settled = true;
    return batch;
  }
}
