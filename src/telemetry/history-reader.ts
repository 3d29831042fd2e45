// One process's metrics, as they are pushed every second, turned into the values of a second: rates, ratios and a quantile.
//
// What did not change comes as the same object as before (delta.ts), and its sum is not made again.
//
// `cpuOfLoad` is there because a service that was idle and gets work takes more CPU without anything being wrong, and a mean of
// the minutes before cannot tell that from a handler that spins. So the work of a second is priced, each kind of it four times
// as high as it was measured to cost where it cost the most: CPU beyond that has another cause.

import type { HistoryValues } from "./history.ts";
import { TIME_BUCKETS } from "./histograms.ts";
import type { MetricSnapshot } from "./instruments.ts";
import { grownSince, quantile, QUANTILE_WINDOW_MS } from "./quantile.ts";

/** The series of a metric of the process that lives now; undefined if it has none. */
export type MetricSource = (name: string) => MetricSnapshot | undefined;

/** What the values are measured against; NaN where it is not known. */
export interface Limits {
  readonly openFds: number;
  readonly heapBytes: number;
  readonly connections: number;
  readonly connectionStreams: number;
  readonly admittedBytes: number;
}

/** CPU seconds that one may cost. */
export interface Prices {
  readonly batch: number;
  readonly event: number;
  readonly byte: number;
  readonly call: number;
  readonly connection: number;
}

/** So many times what was measured: other machines, TLS, compressed messages, code that is not compiled yet. */
export const PRICE_MARGIN = 4;

/** The native server and the direct producer: measured were 4 to 10 µs a call with its batch, 0.5 µs an event, 0.8 ns a byte. */
export const PRICES: Prices = { batch: 30e-6, event: 2e-6, byte: 3.2e-9, call: 15e-6, connection: 10e-3 };
/** With @grpc/grpc-js or kafkajs: 95 µs a call with its batch, 9 µs an event, 14 ns a byte. */
export const SLOW_PRICES: Prices = { batch: 190e-6, event: 36e-6, byte: 56e-9, call: 190e-6, connection: 10e-3 };

/** The metrics that are counted by the second. */
const COUNTERS = [
  "process_cpu_seconds_total",
  "sluice_batches_total",
  "sluice_events_received_total",
  "sluice_events_stored_total",
  "sluice_events_failed_total",
  "sluice_events_forwarded_total",
  "sluice_publish_bytes_total",
  "sluice_grpc_calls_total",
  "sluice_grpc_connections_opened_total",
] as const;
type CounterName = (typeof COUNTERS)[number];

const QUANTILE = 0.99;
const isOk = (labels: readonly string[]) => labels[0] === "OK";
const isLongest = (labels: readonly string[]) => labels[0] === "100";

export class HistoryReader {
  readonly #source: MetricSource;
  readonly #prices: Prices;
  readonly #sums = new Map<string, { readonly of: MetricSnapshot; readonly sum: number }>();
  readonly #before = new Map<string, number>();
  /** Of the stage's histogram, of the last seconds, oldest first. */
  readonly #buckets: { readonly atMs: number; readonly counts: readonly number[] }[] = [];
  #atMs: number | undefined;

  constructor(source: MetricSource, prices: Prices = PRICES) {
    this.#source = source;
    this.#prices = prices;
  }

  get limits(): Limits {
    return {
      openFds: this.#gauge("process_max_fds"),
      heapBytes: this.#gauge("nodejs_heap_size_limit_bytes"),
      connections: this.#gauge("sluice_grpc_connections_limit"),
      connectionStreams: this.#gauge("sluice_grpc_connection_streams_limit"),
      admittedBytes: this.#gauge("sluice_admitted_bytes_limit"),
    };
  }

  /** The values of the time since the last call. @param atMs when the metrics were read, in milliseconds since the epoch. */
  read(atMs: number): HistoryValues {
    const seconds = this.#atMs === undefined ? 0 : (atMs - this.#atMs) / 1000;
    this.#atMs = atMs;
    const counted = Object.fromEntries(COUNTERS.map((name) => [name, this.#counted(name, this.#sum(name))]));
    const okBatches = this.#counted("sluice_batches_total OK", this.#sum("sluice_batches_total", isOk));
    // The first time, two that were read at once, or a clock that was set back: nothing can be divided by that.
    const rate = (name: CounterName) => (seconds > 0 ? counted[name]! / seconds : Number.NaN);
    const batches = counted["sluice_batches_total"]!;
    const failed = counted["sluice_events_failed_total"]!;
    const prices = this.#prices;
    const rssBytes = this.#gauge("process_resident_memory_bytes");
    const ownMemoryBytes = this.#gauge("sluice_process_own_memory_bytes");
    const settled = failed + counted["sluice_events_stored_total"]!;
    return {
      cpu: rate("process_cpu_seconds_total"),
      cpuOfLoad:
        prices.batch * rate("sluice_batches_total") +
        prices.event * (rate("sluice_events_received_total") + rate("sluice_events_forwarded_total")) +
        prices.byte * rate("sluice_publish_bytes_total") +
        prices.call * rate("sluice_grpc_calls_total") +
        prices.connection * rate("sluice_grpc_connections_opened_total"),
      eventLoopDelayMax: this.#gauge("sluice_event_loop_delay_seconds", isLongest),
      rssBytes,
      ownMemoryBytes: Number.isNaN(ownMemoryBytes) ? rssBytes : ownMemoryBytes,
      heapBytes: this.#gauge("nodejs_heap_size_used_bytes"),
      externalBytes: this.#gauge("nodejs_external_memory_bytes"),
      openFds: this.#gauge("process_open_fds"),
      connections: this.#gauge("sluice_grpc_connections"),
      streams: this.#gauge("sluice_grpc_http2_streams"),
      connectionStreamsMax: this.#gauge("sluice_grpc_connection_streams_max"),
      eventsPerSecond: rate("sluice_events_received_total"),
      requestsPerSecond: rate("sluice_batches_total"),
      acknowledgedP99: this.#acknowledgedP99(atMs),
      kafkaQueuedBytes: this.#gauge("sluice_kafka_queued_bytes"),
      kafkaInFlight: this.#gauge("sluice_kafka_requests_in_flight"),
      spoolBytes: this.#gauge("sluice_spool_bytes"),
      admittedBytes: this.#gauge("sluice_admitted_bytes"),
      errorRatio: Math.max(share(batches - okBatches, batches), share(failed, settled)),
      errorsPerSecond:
        rate("sluice_events_failed_total") + (batches - okBatches) / (seconds > 0 ? seconds : Number.NaN),
    };
  }

  /** How much a counter has grown since the last call, which counts from nothing the first time. */
  #counted(key: string, value: number): number {
    const before = this.#before.get(key) ?? 0;
    this.#before.set(key, value);
    return value - before;
  }

  /** NaN if the process has no such metric. */
  #gauge(name: string, of?: (labels: readonly string[]) => boolean): number {
    return (this.#source(name)?.series.length ?? 0) === 0 ? Number.NaN : this.#sum(name, of);
  }

  #sum(name: string, of?: (labels: readonly string[]) => boolean): number {
    const metric = this.#source(name);
    if (metric === undefined) return 0;
    const key = of === undefined ? name : `${name} ${of.name}`;
    const known = this.#sums.get(key);
    if (known?.of === metric) return known.sum;
    let sum = 0;
    for (const [labels, value] of metric.series)
      if (typeof value === "number" && (of === undefined || of(labels))) sum += value;
    this.#sums.set(key, { of: metric, sum });
    return sum;
  }

  #acknowledgedP99(atMs: number): number {
    const metric = this.#source("sluice_stage_seconds");
    if (metric === undefined) return Number.NaN;
    const counts = acknowledgedCounts(metric);
    // What seems to come later was before the clock was set back, whoever knows how long.
    const isOver = (beforeMs: number) => beforeMs > atMs || atMs - beforeMs > QUANTILE_WINDOW_MS;
    while (this.#buckets.length > 1 && isOver(this.#buckets[0]!.atMs)) this.#buckets.shift();
    const before = this.#buckets[0]?.counts;
    this.#buckets.push({ atMs, counts });
    return quantile(QUANTILE, grownSince(before, counts));
  }
}

/** The buckets of all topics. */
function acknowledgedCounts({ series }: MetricSnapshot): number[] {
  const counts = TIME_BUCKETS.map(() => 0).concat(0);
  for (const [[, stage], value] of series) {
    if (stage !== "acknowledge" || typeof value === "number") continue;
    // The last element is the sum, not a bucket.
    for (let i = 0; i < counts.length; i++) counts[i]! += value[i]!;
  }
  return counts;
}

function share(part: number, whole: number): number {
  return whole > 0 ? part / whole : 0;
}
