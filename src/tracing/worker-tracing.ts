// A worker's part of traces: which requests are recorded, and what is told of them. To be loaded only where traces are on.
//
// What exports them is in the supervisor (export/otlp.ts). Nothing is registered with the API's globals: whoever instruments
// this process from the outside has them, and his spans and these meet in the context of the request.

import type { Clock } from "../clock.ts";
import type { Component } from "../lifecycle.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { SendSpans } from "./span-data.ts";
import { SpanSender } from "./span-sender.ts";
import { Spans } from "./spans.ts";
import { Tracer, type TracerOptions } from "./tracer.ts";

export interface WorkerTracingDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly sendSpans: SendSpans;
}

export class WorkerTracing implements Component {
  readonly tracer: Tracer;
  readonly #spans: Spans;

  constructor({ log, metrics, clock, random, sendSpans }: WorkerTracingDependencies, options: TracerOptions) {
    this.#spans = new Spans(new SpanSender(sendSpans, metrics.traceSpans.with("dropped")), clock);
    this.tracer = new Tracer(this.#spans, log, random, options);
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  /** Sends what is there. It is not waited for: whatever the worker says last comes behind it. */
  drain(): Promise<void> {
    this.#spans.flush();
    return Promise.resolve();
  }

  async dispose(): Promise<void> {
    await this.drain();
  }
}
