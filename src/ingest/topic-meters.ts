// What is counted of one topic, with the handles taken once: a batch pays a field access for each.
//
// A series is made when it is first needed, so that a name that fails leaves no histograms behind.

import { type Reason, reasonLabel } from "../errors.ts";
import type { SizeHistogram, TimeHistogram } from "../telemetry/histograms.ts";
import type { Counter, Gauge } from "../telemetry/instruments.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { Durability, durabilityLabel, type GivenDurability } from "./batch.ts";

/** Why a record batch was sealed. */
export type SealCause = "idle" | "full" | "linger" | "settled" | "answered" | "flush";

/** What batches without an event are timed under, and those whose topic is gone. */
const NO_TOPIC = "(none)";

/** The stages of a topic's batches. */
export class StageTimes {
  readonly admit: TimeHistogram;
  readonly queue: TimeHistogram;
  readonly produce: TimeHistogram;
  readonly acknowledge: TimeHistogram;

  constructor({ stage }: Metrics, topic: string = NO_TOPIC) {
    this.admit = stage.with(topic, "admit");
    this.queue = stage.with(topic, "queue");
    this.produce = stage.with(topic, "produce");
    this.acknowledge = stage.with(topic, "acknowledge");
  }
}

/** The record batches of a topic. */
class RecordBatchMeters {
  readonly bytes: SizeHistogram;
  readonly records: SizeHistogram;
  readonly sealedBy: Partial<Record<SealCause, Counter>> = {};

  constructor({ recordBatchBytes, recordBatchRecords }: Metrics, topic: string) {
    this.bytes = recordBatchBytes.with(topic);
    this.records = recordBatchRecords.with(topic);
  }
}

export class TopicMeters {
  readonly received: Counter;
  readonly inFlight: Gauge;
  readonly #metrics: Metrics;
  readonly #label: string;
  readonly #stored: Record<GivenDurability, Counter>;
  #stages: StageTimes | undefined;
  #recordBatches: RecordBatchMeters | undefined;
  #isRetired = false;

  /** @param label what the topic is counted under, unless there are too many. */
  constructor(metrics: Metrics, label: string) {
    this.#metrics = metrics;
    this.#label = label;
    this.received = metrics.eventsReceived.with(label);
    this.inFlight = metrics.eventsInFlight.with(label);
    const stored = (durability: GivenDurability) => metrics.eventsStored.with(label, durabilityLabel(durability));
    this.#stored = { 1: stored(Durability.REPLICATED), 2: stored(Durability.PERSISTED) };
  }

  get stages(): StageTimes {
    // A batch of several topics may be answered when the first of them is gone: nobody would take its series away again.
    return (this.#stages ??= new StageTimes(this.#metrics, this.#isRetired ? NO_TOPIC : this.#label));
  }

  countReceived(events: number): void {
    this.received.inc(events);
    this.inFlight.inc(events);
  }

  countStored(durability: GivenDurability, events: number): void {
    this.#stored[durability].inc(events);
    this.inFlight.dec(events);
  }

  countFailed(reason: Reason, events: number): void {
    this.#metrics.eventsFailed.with(this.#label, reasonLabel(reason)).inc(events);
    this.inFlight.dec(events);
  }

  /** A record batch was sealed. */
  countSealed(cause: SealCause, bytes: number, records: number): void {
    const meters = (this.#recordBatches ??= new RecordBatchMeters(this.#metrics, this.#label));
    (meters.sealedBy[cause] ??= this.#metrics.recordBatches.with(this.#label, cause)).inc();
    meters.bytes.observe(bytes);
    meters.records.observe(records);
  }

  /** The topic is gone: what is told of its record batches goes too. The ledger forgets nothing. */
  retire(): void {
    const { stage, recordBatches, recordBatchBytes, recordBatchRecords } = this.#metrics;
    for (const family of [stage, recordBatches, recordBatchBytes, recordBatchRecords])
      family.removeAll("topic", this.#label);
    this.#stages = undefined;
    this.#recordBatches = undefined;
    this.#isRetired = true;
  }
}
