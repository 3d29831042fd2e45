// One metric as lines of Prometheus' text format 0.0.4 or of OpenMetrics 1.0.
//
//   text         # HELP name help      # TYPE name type      name{label="value",le="0.1"} 3
//   OpenMetrics  the same, but a counter's name stands without _total in HELP and TYPE, numbers in `le` have a fraction, a
//                bucket may end in an exemplar, " # {trace_id="…",span_id="…"} value timestamp", and "# EOF" is the end
//
// Rejected: prom-client, which takes ten times as long, in one turn of the event loop (docs/adr/0007-telemetry.md).
//
// Invariant: a series is written in one go; nothing here knows how many there are.

import type { Exemplar } from "./exemplars.ts";
import { TIME_BUCKETS } from "./histograms.ts";
import type { MetricDefinition } from "./instruments.ts";
import type { TextBuffer } from "./text-buffer.ts";

export const TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8";
export const OPEN_METRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8";
export const END_OF_OPEN_METRICS = "# EOF\n";

const NEWLINE = Buffer.from("\n");
const ESCAPED = /[\\\n"]/;

function escape(text: string): string {
  if (!ESCAPED.test(text)) return text;
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

/** A metric in one of the two formats. */
export class MetricText {
  readonly #name: string;
  readonly #openMetrics: boolean;
  readonly #definition: MetricDefinition;
  readonly #out: TextBuffer;
  /** The names of all labels, with what stands before each value. */
  readonly #labelHeads: readonly string[];
  /** From behind the labels of a bucket to its count. */
  readonly #bucketTails: readonly Buffer[];

  /** @param out what everything is written to. */
  constructor(definition: MetricDefinition, openMetrics: boolean, out: TextBuffer) {
    this.#definition = definition;
    this.#name = definition.name;
    this.#openMetrics = openMetrics;
    this.#out = out;
    const names = definition.perWorker ? [...definition.labels, "worker"] : definition.labels;
    this.#labelHeads = names.map((name, i) => `${i === 0 ? "" : ","}${name}="`);
    const bounds = definition.type === "histogram" ? (definition.bounds ?? TIME_BUCKETS) : [];
    const comma = names.length === 0 ? "" : ",";
    const texts = [...bounds.map((bound) => this.#boundText(bound)), "+Inf"];
    this.#bucketTails = texts.map((le) => Buffer.from(`${comma}le="${le}"} `));
  }

  /** HELP and TYPE. */
  head(): void {
    const { help, type } = this.#definition;
    const name = this.#openMetrics && type === "counter" ? this.#name.replace(/_total$/, "") : this.#name;
    // Quotes are escaped in OpenMetrics alone.
    const told = help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
    const helpText = this.#openMetrics ? told.replaceAll('"', '\\"') : told;
    this.#out.text(`# HELP ${name} ${helpText}\n# TYPE ${name} ${type}\n`);
  }

  /** All lines of a series. @param worker of a metric that is told per worker. */
  series(
    labels: readonly string[],
    worker: string | undefined,
    value: number | readonly number[],
    exemplars: readonly Exemplar[] | undefined,
  ): void {
    const heads = this.#labelHeads;
    let text = "";
    for (let i = 0; i < labels.length; i++) text += `${heads[i]!}${escape(labels[i]!)}"`;
    if (worker !== undefined) text += `${heads[labels.length]!}${escape(worker)}"`;
    if (typeof value === "number") this.#line(text === "" ? `${this.#name} ` : `${this.#name}{${text}} `, value);
    else this.#histogram(text, value, exemplars);
  }

  #line(head: string, value: number): void {
    const out = this.#out;
    out.text(head);
    out.number(value);
    out.bytes(NEWLINE);
  }

  #histogram(labels: string, value: readonly number[], exemplars: readonly Exemplar[] | undefined): void {
    const out = this.#out;
    const tails = this.#bucketTails;
    const start = out.length;
    out.text(`${this.#name}_bucket{${labels}`);
    const end = out.length;
    let count = 0;
    for (let i = 0; i < tails.length; i++) {
      if (i > 0) out.again(start, end);
      count += value[i]!;
      out.bytes(tails[i]!);
      out.number(count);
      const exemplar = this.#openMetrics ? exemplars?.find(({ bucket }) => bucket === i) : undefined;
      if (exemplar !== undefined) this.#exemplar(exemplar);
      out.bytes(NEWLINE);
    }
    const all = labels === "" ? " " : `{${labels}} `;
    this.#line(`${this.#name}_sum${all}`, value[tails.length]!);
    this.#line(`${this.#name}_count${all}`, count);
  }

  #exemplar({ traceId, spanId, value, atMs }: Exemplar): void {
    this.#out.text(` # {trace_id="${traceId}",span_id="${spanId}"} `);
    this.#out.number(value);
    this.#out.text(` ${atMs / 1000}`);
  }

  #boundText(bound: number): string {
    const text = String(bound);
    return this.#openMetrics && Number.isInteger(bound) ? `${text}.0` : text;
  }
}
