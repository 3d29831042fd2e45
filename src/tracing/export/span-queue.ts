// Finished spans on their way to a collector: the SDK's batches and OTLP exporter, with a bound, a count and an end in time.
//
// The SDK's processor drops what it has no room for and tells nobody; here it is asked only while it has room, so that every
// span is counted once: exported, dropped (no room), or failed (the collector did not take it, or there was no time left). A
// collector that is away costs the memory of the bound and a log line now and then.

import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import { BatchSpanProcessor, type ReadableSpan, type SpanExporter } from "@opentelemetry/sdk-trace";
import type { Clock } from "../../clock.ts";
import type { Counter } from "../../telemetry/instruments.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";

/** About a kilobyte each. */
const SPANS_MAX = 8_192;
/** They are encoded in one go: one or two milliseconds of the event loop. */
const EXPORT_SPANS_MAX = 512;
/** After they have come; the SDK's default. What is rare is cold, so few large exports cost less than many small ones. */
const EXPORT_DELAY_MS = 5_000;
/** Failures are logged so often, at most. */
const LOG_INTERVAL_MS = 60_000;

export interface SpanQueueDependencies {
  readonly log: Logger;
  readonly metrics: Pick<Metrics, "traceSpans">;
  readonly clock: Clock;
  readonly exporter: SpanExporter;
}

export class SpanQueue {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #exporter: SpanExporter;
  readonly #processor: BatchSpanProcessor;
  readonly #exported: Counter;
  readonly #dropped: Counter;
  readonly #failed: Counter;
  /** Neither with the exporter nor dropped. */
  #waiting = 0;
  /** With the exporter. */
  #exporting = 0;
  #loggedAtMs = Number.NEGATIVE_INFINITY;
  /** Does the log say that there is a failure? */
  #toldOfFailure = false;
  #closed = false;

  constructor({ log, metrics, clock, exporter }: SpanQueueDependencies) {
    this.#log = log;
    this.#clock = clock;
    this.#exporter = exporter;
    this.#exported = metrics.traceSpans.with("exported");
    this.#dropped = metrics.traceSpans.with("dropped");
    this.#failed = metrics.traceSpans.with("failed");
    this.#processor = new BatchSpanProcessor({
      exporter: {
        export: (spans, done) => this.#export(spans, done),
        shutdown: () => exporter.shutdown(),
      },
      maxQueueSize: SPANS_MAX,
      maxExportBatchSize: EXPORT_SPANS_MAX,
      scheduledDelayMillis: EXPORT_DELAY_MS,
    });
  }

  add(span: ReadableSpan): void {
    if (this.#closed || this.#waiting >= SPANS_MAX) {
      this.#dropped.inc();
      return;
    }
    this.#waiting++;
    this.#processor.onEnd(span);
  }

  /** Exports what is there, as far as that goes within the time; the rest counts as failed. Takes nothing from then on. */
  async close(withinMs: number): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const late = Promise.withResolvers<void>();
    const timer = this.#clock.setTimeout(late.resolve, withinMs);
    // What failed was counted.
    const ended = this.#processor.shutdown().catch(() => {});
    await Promise.race([ended, late.promise]);
    this.#clock.clearTimeout(timer);
    this.#failed.inc(this.#waiting + this.#exporting);
    this.#waiting = 0;
    this.#exporting = 0;
  }

  #export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    const { length } = spans;
    this.#waiting -= length;
    this.#exporting += length;
    this.#exporter.export(spans, (result) => {
      done(result);
      // It was counted as failed when there was no time left.
      if (this.#exporting < length) return;
      this.#exporting -= length;
      if (result.code === ExportResultCode.SUCCESS) this.#succeeded(length);
      else this.#lost(length, result.error);
    });
  }

  #succeeded(spans: number): void {
    this.#exported.inc(spans);
    if (this.#toldOfFailure) this.#log.info("traces are exported again");
    this.#toldOfFailure = false;
  }

  #lost(spans: number, error: Error | undefined): void {
    this.#failed.inc(spans);
    const nowMs = this.#clock.monotonic();
    if (nowMs - this.#loggedAtMs < LOG_INTERVAL_MS) return;
    this.#loggedAtMs = nowMs;
    this.#toldOfFailure = true;
    const reason = error?.message === "" || error === undefined ? "no reason given" : error.message;
    this.#log.warn({ spans, reason }, "traces cannot be exported");
  }
}
