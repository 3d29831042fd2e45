// One second of the whole service, from the metrics of all worker slots.
//
// Counters and histograms are summed over everything that ever lived in a slot, so that a worker which dies makes no rate
// negative; gauges are the living processes'. Quantiles and means are of the last five seconds: whoever is slow answers in
// bursts, and the seconds between them have no answers, or only the fast ones.

import type { MeasuredBroker } from "../../admin/live/bottleneck.ts";
import { type BrokerSeries, type Stage, STAGES } from "../../admin/live/model.ts";
import { TIME_BUCKETS } from "../../telemetry/histograms.ts";
import type { MetricSnapshot } from "../../telemetry/instruments.ts";
import { grownSince, quantile, QUANTILE_WINDOW_MS } from "../../telemetry/quantile.ts";
import type { BrokerValues, ServiceValues } from "./seconds.ts";

/** What is asked of a slot's metrics. */
export interface SlotSource {
  readonly living: (name: string) => MetricSnapshot | undefined;
  /** What the processes that are gone have counted. */
  readonly dead: (name: string) => MetricSnapshot | undefined;
}

export interface StageTimes {
  /** In seconds; NaN: nothing was measured. */
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
}

export interface LiveSecond {
  readonly service: ServiceValues;
  readonly brokers: ReadonlyMap<string, BrokerValues>;
  /** For the bottleneck. */
  readonly stages: Readonly<Record<Stage, StageTimes>>;
  readonly measuredBrokers: readonly MeasuredBroker[];
  /** For how long a worker has had batches wait for room and answered none; 0: none has. */
  readonly blockedSeconds: number;
  readonly spoolSync: number;
  /** Of one worker. */
  readonly admittedBytesLimit: number;
  readonly spoolBytesLimit: number;
}

/** What is known from elsewhere. */
export interface Elsewhere {
  /** Mismatches that the supervisor itself has found. */
  readonly ledgerMismatches: number;
  /** Bytes that wait for each broker, by its name. */
  readonly queuedBytes: ReadonlyMap<string, number>;
}

const HISTOGRAM_LENGTH = TIME_BUCKETS.length + 2;

/** [...bucket counts, sum] of everything counted so far, by name. */
type Histograms = Map<string, number[]>;

interface Reading {
  readonly monotonicMs: number;
  readonly histograms: Histograms;
}

/** Of a histogram that grew from `before` to `now`. */
function timesOf(now: readonly number[] | undefined, before: readonly number[] | undefined): StageTimes {
  if (now === undefined) return { mean: Number.NaN, p50: Number.NaN, p99: Number.NaN };
  const counts = grownSince(before, now.slice(0, -1));
  const total = counts.reduce((sum, count) => sum + count, 0);
  const sum = Math.max(0, now.at(-1)! - (before?.at(-1) ?? 0));
  return { mean: total > 0 ? sum / total : Number.NaN, p50: quantile(0.5, counts), p99: quantile(0.99, counts) };
}

function countOf(histogram: readonly number[] | undefined): number {
  return histogram === undefined ? 0 : histogram.slice(0, -1).reduce((sum, count) => sum + count, 0);
}

function sumOf(metric: MetricSnapshot | undefined): number {
  let sum = 0;
  for (const [, value] of metric?.series ?? []) if (typeof value === "number") sum += value;
  return sum;
}

export class LiveReader {
  readonly #slots: readonly SlotSource[];
  readonly #counted = new Map<string, number>();
  /** Of the last seconds, oldest first. */
  readonly #readings: Reading[] = [];
  /** Since when a broker has owed an answer and given none. */
  readonly #silentSince = new Map<string, number>();
  /** Since when a worker has had batches wait for room and answered none. */
  readonly #blockedSince = new Map<SlotSource, number>();
  #monotonicMs: number | undefined;

  constructor(slots: readonly SlotSource[]) {
    this.#slots = slots;
  }

  /** The time since the last call. @param monotonicMs now, on a clock that never goes back. */
  read(monotonicMs: number, { ledgerMismatches, queuedBytes }: Elsewhere): LiveSecond {
    const seconds = this.#monotonicMs === undefined ? Number.NaN : (monotonicMs - this.#monotonicMs) / 1000;
    this.#monotonicMs = monotonicMs;
    const perSecond = (key: string, value: number) => {
      const before = this.#counted.get(key) ?? 0;
      this.#counted.set(key, value);
      // What a topic that is gone has counted is missing from then on.
      return seconds > 0 ? Math.max(0, value - before) / seconds : Number.NaN;
    };
    const rate = (name: string) => perSecond(name, this.#count(name));

    const { now, before } = this.#window(monotonicMs);
    const stages = Object.fromEntries(
      STAGES.map((stage) => [stage, timesOf(now.get(stage), before?.get(stage))]),
    ) as Record<Stage, StageTimes>;
    const batches = rate("sluice_batches_total");
    const okBatches = perSecond(
      "OK",
      this.#count("sluice_batches_total", (labels) => labels[0] === "OK"),
    );
    const service: ServiceValues = {
      eventsPerSecond: rate("sluice_events_received_total"),
      storedPerSecond: rate("sluice_events_stored_total"),
      requestsPerSecond: batches,
      bytesPerSecond: rate("sluice_publish_bytes_total"),
      errorsPerSecond: rate("sluice_events_failed_total") + (batches - okBatches),
      acknowledgeP50: stages.acknowledge.p50,
      acknowledgeP99: stages.acknowledge.p99,
      admitP99: stages.admit.p99,
      queueP99: stages.queue.p99,
      produceP99: stages.produce.p99,
      admittedBytes: this.#gauge("sluice_admitted_bytes"),
      admissionWaiting: this.#gauge("sluice_admission_waiting_batches"),
      eventsInFlight: this.#gauge("sluice_events_in_flight"),
      kafkaQueuedBytes: this.#gauge("sluice_kafka_queued_bytes"),
      kafkaInFlight: this.#gauge("sluice_kafka_requests_in_flight"),
      kafkaRetriesPerSecond: rate("sluice_kafka_retries_total"),
      spoolBytes: this.#gauge("sluice_spool_bytes"),
      spooledEvents: this.#gauge("sluice_events_spooled"),
      spoolAgeSeconds: this.#most("sluice_spool_oldest_age_seconds"),
      ledgerMismatches: this.#gauge("sluice_ledger_mismatches") + ledgerMismatches,
      connections: this.#gauge("sluice_grpc_connections"),
      streams: this.#gauge("sluice_grpc_http2_streams"),
    };

    const brokers = new Map<string, BrokerValues>();
    const measuredBrokers: MeasuredBroker[] = [];
    const inFlight = this.#byBroker("sluice_kafka_requests_in_flight");
    const sent = this.#byBroker("sluice_kafka_sent_bytes_total");
    const errors = this.#byBroker("sluice_kafka_errors_total");
    const disconnects = this.#byBroker("sluice_kafka_disconnects_total");
    for (const [name, requests] of inFlight) {
      const histogram = now.get(`broker ${name}`);
      const { mean, p50, p99 } = timesOf(histogram, before?.get(`broker ${name}`));
      const requestsPerSecond = perSecond(`requests ${name}`, countOf(histogram));
      const values: Readonly<Record<BrokerSeries, number>> = {
        requestsPerSecond,
        requestP50: p50,
        requestP99: p99,
        inFlight: requests,
        sentBytesPerSecond: perSecond(`sent ${name}`, sent.get(name) ?? 0),
        errorsPerSecond: perSecond(`errors ${name}`, (errors.get(name) ?? 0) + (disconnects.get(name) ?? 0)),
        queuedBytes: queuedBytes.get(name) ?? 0,
      };
      brokers.set(name, values);
      if (requests === 0 || requestsPerSecond > 0) this.#silentSince.delete(name);
      else if (!this.#silentSince.has(name)) this.#silentSince.set(name, monotonicMs);
      const silentSeconds = (monotonicMs - (this.#silentSince.get(name) ?? monotonicMs)) / 1000;
      measuredBrokers.push({ name, mean, inFlight: requests, silentSeconds });
    }
    const blocked = this.#slots.map((slot, i) => {
      const answered = perSecond(`answered ${i}`, sumOf(slot.living("sluice_batches_total")));
      if (sumOf(slot.living("sluice_admission_waiting_batches")) === 0 || answered > 0) this.#blockedSince.delete(slot);
      else if (!this.#blockedSince.has(slot)) this.#blockedSince.set(slot, monotonicMs);
      return (monotonicMs - (this.#blockedSince.get(slot) ?? monotonicMs)) / 1000;
    });
    return {
      service,
      brokers,
      stages,
      measuredBrokers,
      blockedSeconds: Math.max(0, ...blocked),
      spoolSync: timesOf(now.get("sync"), before?.get("sync")).mean,
      admittedBytesLimit: this.#most("sluice_admitted_bytes_limit"),
      spoolBytesLimit: this.#gauge("sluice_spool_bytes_limit"),
    };
  }

  /** Open connections, by broker. */
  connections(): ReadonlyMap<string, number> {
    return this.#byBroker("sluice_kafka_connections");
  }

  /** What is counted by now, and what was at the beginning of the window; undefined the first time. */
  #window(monotonicMs: number): { readonly now: Histograms; readonly before: Histograms | undefined } {
    const now: Histograms = new Map();
    this.#histograms("sluice_stage_seconds", ([, stage = ""]) => stage, now);
    this.#histograms("sluice_kafka_request_seconds", (labels) => `broker ${labels[0]}`, now);
    this.#histograms("sluice_spool_sync_seconds", () => "sync", now);
    const isOver = (reading: Reading) => monotonicMs - reading.monotonicMs > QUANTILE_WINDOW_MS;
    while (this.#readings.length > 1 && isOver(this.#readings[0]!)) this.#readings.shift();
    const before = this.#readings[0]?.histograms;
    this.#readings.push({ monotonicMs, histograms: now });
    return { now, before };
  }

  #histograms(name: string, keyOf: (labels: readonly string[]) => string, into: Histograms): void {
    for (const metric of this.#all(name)) {
      for (const [labels, value] of metric.series) {
        if (typeof value === "number") continue;
        const key = keyOf(labels);
        let sum = into.get(key);
        if (sum === undefined) into.set(key, (sum = Array.from({ length: HISTOGRAM_LENGTH }, () => 0)));
        for (let i = 0; i < value.length; i++) sum[i]! += value[i]!;
      }
    }
  }

  *#all(name: string): Generator<MetricSnapshot> {
    for (const { living, dead } of this.#slots) {
      const now = living(name);
      const before = dead(name);
      if (now !== undefined) yield now;
      if (before !== undefined) yield before;
    }
  }

  #count(name: string, isCounted: (labels: readonly string[]) => boolean = () => true): number {
    let sum = 0;
    for (const { series } of this.#all(name))
      for (const [labels, value] of series) if (typeof value === "number" && isCounted(labels)) sum += value;
    return sum;
  }

  #byBroker(name: string): ReadonlyMap<string, number> {
    const sums = new Map<string, number>();
    for (const { series } of this.#all(name)) {
      for (const [[broker = ""], value] of series)
        if (typeof value === "number") sums.set(broker, (sums.get(broker) ?? 0) + value);
    }
    return sums;
  }

  /** The sum over living processes; NaN if none has it. */
  #gauge(name: string): number {
    let sum = Number.NaN;
    for (const { living } of this.#slots)
      for (const [, value] of living(name)?.series ?? [])
        if (typeof value === "number") sum = (Number.isNaN(sum) ? 0 : sum) + value;
    return sum;
  }

  /** The greatest value that a living process has. */
  #most(name: string): number {
    let most = Number.NaN;
    for (const { living } of this.#slots)
      for (const [, value] of living(name)?.series ?? [])
        if (typeof value === "number" && !(value <= most)) most = value;
    return most;
  }
}
