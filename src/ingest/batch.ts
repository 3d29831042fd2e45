// One client's batch on its way: what is settled of it, and who waits for the answer.

import type { IngestError, Reason } from "../errors.ts";
import type { Origin } from "../telemetry/attribution.ts";
import type { Counter } from "../telemetry/instruments.ts";
import type { RequestTrace } from "../telemetry/tracing.ts";
import type { EventFailure, Placement, PublishAnswer } from "../wire/publish-response.ts";
import type { Topic } from "./topics.ts";

/** What an acknowledgement means; the numbers are those of `sluice.v1.Durability`. */
export const Durability = { UNSPECIFIED: 0, REPLICATED: 1, PERSISTED: 2 } as const;
export type Durability = (typeof Durability)[keyof typeof Durability];

/** What an answer can say: never "unspecified". */
export type GivenDurability = Exclude<Durability, typeof Durability.UNSPECIFIED>;

export function durabilityLabel(durability: GivenDurability): "replicated" | "persisted" {
  return durability === Durability.REPLICATED ? "replicated" : "persisted";
}

/** Takes the one outcome of each batch. */
export interface Responder {
  /** For the labels of samples. */
  readonly origin?: Origin;
  /** The trace of a request that was received then; undefined: it has none. */
  trace?(receivedAtMs: number): RequestTrace | undefined;
  /** Who has sent it. */
  readonly caller?: { readonly events: Counter };
  answered(batch: Batch): void;
  refused(batch: Batch, error: IngestError): void;
}

const NOT_LOST_ONE: readonly EventFailure[] = [];

export class Batch implements PublishAnswer {
  readonly responder: Responder;
  /** When its bytes arrived, on the monotonic clock. */
  readonly receivedAtMs: number;
  /** What it takes of the byte budget until it is answered. */
  admittedBytes: number;
  /** What is recorded of it, or only passed on to its records; undefined: neither. */
  readonly trace: RequestTrace | undefined;
  sequence: number | bigint = 0;
  /** Of its first event. */
  topic: Topic | undefined;
  durability: Durability = Durability.UNSPECIFIED;
  /** It had to wait for room or for its topics. */
  waited = false;
  /** Have its topics been looked up? */
  lookedUp = false;
  /** Events that have no outcome yet. */
  remaining = 0;
  stored = 0;
  failures: readonly EventFailure[] = NOT_LOST_ONE;
  placements: RunPlacement | undefined;
  #lastPlacement: RunPlacement | undefined;
  /** True once the responder has been told. */
  settled = false;
  /** The one that came after it in its session. */
  next: Batch | undefined;

  constructor(responder: Responder, receivedAtMs: number, admittedBytes: number) {
    this.responder = responder;
    this.receivedAtMs = receivedAtMs;
    this.admittedBytes = admittedBytes;
    this.trace = responder.trace?.(receivedAtMs);
  }

  /** @param index the event's index in the batch. */
  fail(index: number, reason: Reason, message: string, retryable: boolean): void {
    const failure = { index, reason, message, retryable };
    if (this.failures === NOT_LOST_ONE) this.failures = [failure];
    else (this.failures as EventFailure[]).push(failure);
  }

  /** Puts the failures in the order of their events; they come in the order in which record batches settle. */
  sortFailures(): void {
    if (this.failures.length > 1) (this.failures as EventFailure[]).sort((a, b) => a.index - b.index);
  }

  place(topic: Topic, partition: number, firstOffset: number, count: number): void {
    const placement = { topic: topic.name, partition, firstOffset, count, next: undefined };
    if (this.#lastPlacement === undefined) this.placements = placement;
    else this.#lastPlacement.next = placement;
    this.#lastPlacement = placement;
  }
}

interface RunPlacement extends Placement {
  next: RunPlacement | undefined;
}
