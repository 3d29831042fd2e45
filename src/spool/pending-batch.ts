// One batch between `append` and its sync.

import type { IngestError } from "../errors.ts";
import type { BatchSettler, SealedBatch } from "../ingest/producer.ts";
import type { TopicBacklog } from "./backlog.ts";
import type { AppendListener } from "./group.ts";
import type { Lane, LaneEntry } from "./lane.ts";
import type { SegmentState } from "./segment-state.ts";

/** Who looks after the batches once the disk has answered. */
export interface PendingBatches {
  /** The batch is on disk; its settler is told next. */
  persisted(topic: TopicBacklog, lane: Lane, entry: Omit<LaneEntry, "order">): void;
  /** The batch is not stored, as far as anybody knows; its settler was told. */
  refused(topic: TopicBacklog, lane: Lane): void;
}

export class PendingBatch implements AppendListener {
  readonly #owner: PendingBatches;
  readonly #batch: SealedBatch;
  readonly #settler: BatchSettler;
  readonly #topic: TopicBacklog;
  readonly #lane: Lane;
  readonly #persistedAtMs: number;

  /** Counts in the lane from now on. */
  constructor(
    owner: PendingBatches,
    batch: SealedBatch,
    settler: BatchSettler,
    topic: TopicBacklog,
    lane: Lane,
    persistedAtMs: number,
  ) {
    this.#owner = owner;
    this.#batch = batch;
    this.#settler = settler;
    this.#topic = topic;
    this.#lane = lane;
    this.#persistedAtMs = persistedAtMs;
    lane.pending++;
  }

  synced(sequence: number, segment: SegmentState, position: number, bytes: number): void {
    this.#lane.pending--;
    const { count } = this.#batch;
    const entry = { sequence, persistedAtMs: this.#persistedAtMs, segment, position, bytes, count };
    this.#owner.persisted(this.#topic, this.#lane, entry);
    this.#settler.stored(this.#batch, 0, count, -1);
  }

  failed(error: IngestError): void {
    this.#lane.pending--;
    this.#settler.failed(this.#batch, 0, this.#batch.count, error);
    this.#owner.refused(this.#topic, this.#lane);
  }
}
