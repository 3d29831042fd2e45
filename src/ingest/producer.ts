// The port behind which every way to Kafka sits, and the one currency that crosses it.
//
// Rejected: a promise per batch. A producer may store one half of a batch and refuse the other (it splits a batch that
// is too large, it isolates a poison record), so outcomes are told per range of records, and a call costs no allocation.

import { Code, type IngestError } from "../errors.ts";
import type { Component } from "../lifecycle.ts";
import type { TraceIds } from "../telemetry/tracing.ts";

/** The partition of a batch whose topic's partitions are not known yet: it was taken without brokers, or while they were away. */
export const UNASSIGNED_PARTITION = -1;

/** Under which numbers a record batch was, or is about to be, sent to its partition. */
export interface ProducerStamp {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly baseSequence: number;
}

/**
 * What a batch that outlives its process brings along, so that it is not stored twice when it is sent again by the next one.
 * A producer that has no such numbers ignores it, and is at-least-once for such batches.
 */
export interface StampKeeper {
  /** The numbers under which it was sent before, and may be stored: it goes again under them. */
  readonly stamp: ProducerStamp | undefined;
  /**
   * Takes the numbers under which the batch is going to be sent whole. `kept` is called in a later turn: they are on disk, or
   * cannot be, and the batch may go.
   */
  keep(stamp: ProducerStamp, kept: () => void): void;
}

/**
 * A sealed record batch: what accumulators seal, producers take and the spool stores, byte for byte the same.
 *
 * `bytes` is one uncompressed RecordBatch v2 (magic 2) with its header; producer id, epoch, sequence and CRC are stamped
 * into it by the producer (see wire/record-batch.ts). The bytes belong to whoever holds the batch until every record is
 * settled; they lie in a pooled buffer, so nobody may keep a view of them after that.
 */
export interface SealedBatch {
  readonly topic: string;
  readonly partition: number;
  /** Records in the batch, at least 1. */
  readonly count: number;
  readonly bytes: Buffer;
  /**
   * When the producer first sent it, or the spool took it, in milliseconds on the monotonic clock; set by that, for the stage
   * metrics.
   */
  sentAtMs?: number;
  /** The broker that the producer sent it to last, `host:port`; for traces. */
  sentTo?: string;
  /** Of the first of its requests that is recorded; for log lines. */
  readonly trace?: TraceIds | undefined;
  /** The calls that its records came by; within each of them, order holds. Undefined: nobody knows. */
  readonly calls?: Iterable<object>;
  /** Of spooled batches. */
  readonly stamps?: StampKeeper;
}

/**
 * Takes the outcomes of a batch. Every record of the batch is told exactly once, in ranges [first, first + count) of
 * record indexes within the batch, in any order. Called from any later turn of the event loop, never from within `send`.
 */
export interface BatchSettler {
  /** @param baseOffset the offset of record `first`; the others follow without gaps. -1 if it is not known. */
  stored(batch: SealedBatch, first: number, count: number, baseOffset: number): void;
  failed(batch: SealedBatch, first: number, count: number, error: IngestError): void;
}

/** What has to be known of a topic before an event may enter a batch for it. */
export interface TopicInfo {
  readonly name: string;
  /** Partitions; 0 while they are not known, without brokers: its events then stay unassigned. */
  readonly partitions: number;
  /** The largest record batch, header included, that the topic takes, in bytes (`max.message.bytes`). */
  readonly maxBatchBytes: number;
  /** How far before and after the broker's clock a timestamp may lie, in milliseconds (KIP-937); Infinity: anywhere. */
  readonly timestampBeforeMaxMs: number;
  readonly timestampAfterMaxMs: number;
  /** True if records need a key (`cleanup.policy` holds `compact`). */
  readonly keyRequired: boolean;
}

/** Where topics are known: a producer, or a service without one. `topic` and `lookup` are as in Producer. */
export interface TopicSource {
  topic(name: string): TopicInfo | undefined;
  lookup(name: string): Promise<TopicInfo>;
}

/** Does the error of a lookup say that no broker answers? */
export function clusterIsAway(error: IngestError): boolean {
  return error.code === Code.UNAVAILABLE && error.field === undefined;
}

export interface ProducerHealth {
  /** True if batches have a chance to be stored now. */
  readonly ready: boolean;
  /** What is wrong, one sentence each, for /readyz and the doctor. */
  readonly problems: readonly string[];
}

/** What a Kafka client has to do for one topic-partition. */
export interface PartitionState {
  readonly topic: string;
  readonly partition: number;
  /** Record batches that wait, and those that were sent and have no answer. */
  readonly queuedBatches: number;
  readonly inFlight: number;
  /** Of both. */
  readonly queuedBytes: number;
  /** Batches that were sent again, since the process was started. */
  readonly retries: number;
  /** The broker's node id; undefined if it is not known. */
  readonly leader: number | undefined;
  /** The leader as metrics name it, `host:port`; undefined if it is not known. */
  readonly broker: string | undefined;
  /** What an operator has to mend. */
  readonly problem: string | undefined;
}

/** What a Kafka client has to do, and whom it knows; plain data. */
export interface ProducerState {
  readonly client: "direct" | "kafkajs";
  /** What this client cannot tell, one sentence each. */
  readonly unknown: readonly string[];
  /** Those with the most bytes first; those that have nothing to do come last, and are left out first. */
  readonly partitions: readonly PartitionState[];
  readonly partitionsLeftOut: number;
}

export const PARTITIONS_TOLD_MAX = 500;

/** The busiest of the partitions, and how many more there are. */
export function busiest(all: readonly PartitionState[]): Pick<ProducerState, "partitions" | "partitionsLeftOut"> {
  const partitions = [...all].sort((a, b) => b.queuedBytes - a.queuedBytes).slice(0, PARTITIONS_TOLD_MAX);
  return { partitions, partitionsLeftOut: all.length - partitions.length };
}

export interface Producer extends Component {
  /** What is known of the topic, without waiting. A new object whenever something changed. */
  topic(name: string): TopicInfo | undefined;
  /**
   * Asks the cluster. Rejects with an IngestError: UNKNOWN_TOPIC, INVALID_TOPIC or NOT_AUTHORIZED (not retryable), or
   * UNAVAILABLE (retryable), with the field "topic" if the cluster says so of the topic, without a field if no broker
   * answers in time.
   */
  lookup(name: string): Promise<TopicInfo>;
  /**
   * Takes the batch. Batches of one partition reach the log in the order of their `send`. Never throws: everything that
   * can go wrong is told to the settler. After `drain` a batch fails as UNAVAILABLE.
   */
  send(batch: SealedBatch, settler: BatchSettler): void;
  /**
   * Has the broker of the partition something to answer, so that a small batch had better wait for that and go together with
   * others? A hint: whoever cannot tell has no such method.
   */
  busy?(topic: string, partition: number): boolean;
  health(): ProducerHealth;
  /** For whoever looks for the cause of an incident. Changes nothing. */
  inspect(): ProducerState;
}
