// Every span is counted once, whatever the collector does, and nobody waits for it longer than was said.

import assert from "node:assert/strict";
import test from "node:test";
import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import { emptyResource } from "@opentelemetry/resources";
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace";
import type { Logger } from "../../../src/telemetry/log.ts";
import { createTracingMetrics } from "../../../src/telemetry/metrics.ts";
import { FinishedSpan } from "../../../src/tracing/export/span.ts";
import { SpanQueue } from "../../../src/tracing/export/span-queue.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { spanData } from "../support/span-data.ts";

const SPANS_MAX = 8_192;
const EXPORT_SPANS_MAX = 512;

class FakeExporter implements SpanExporter {
  readonly exports: { readonly spans: number; readonly done: (result: ExportResult) => void }[] = [];
  /** What becomes of an export; undefined: nothing yet. */
  result: ExportResult | undefined;
  readonly #closed = Promise.withResolvers<void>();

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    this.exports.push({ spans: spans.length, done });
    if (this.result !== undefined) done(this.result);
  }

  /** Like the real one, which waits for what is under way. */
  async shutdown(): Promise<void> {
    if (this.result === undefined) await this.#closed.promise;
  }
}

function span(): ReadableSpan {
  return new FinishedSpan(spanData(), emptyResource(), { name: "test" });
}

function start() {
  const exporter = new FakeExporter();
  const lines: string[] = [];
  const write = (_: unknown, message?: string): void => {
    lines.push(message ?? String(_));
  };
  const log = { info: write, warn: write } as unknown as Logger;
  const clock = new FakeClock();
  const metrics = createTracingMetrics();
  const queue = new SpanQueue({ log, metrics, clock, exporter });
  return {
    exporter,
    lines,
    clock,
    queue,
    add: (count: number) => {
      for (let i = 0; i < count; i++) queue.add(span());
    },
    outcomes: () =>
      Object.fromEntries(metrics.traceSpans.snapshot().series.map(([[outcome], count]) => [outcome, count])),
  };
}

const SUCCESS: ExportResult = { code: ExportResultCode.SUCCESS };
const FAILURE: ExportResult = { code: ExportResultCode.FAILED, error: new Error("connect ECONNREFUSED") };

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("spans that a collector takes are exported, those that are left at the close", async () => {
  const { exporter, queue, add, outcomes, lines } = start();
  exporter.result = SUCCESS;
  add(EXPORT_SPANS_MAX + 3);
  await queue.close(1_000);
  assert.deepEqual(
    exporter.exports.map(({ spans }) => spans),
    [EXPORT_SPANS_MAX, 3],
  );
  assert.deepEqual(outcomes(), { exported: EXPORT_SPANS_MAX + 3, dropped: 0, failed: 0 });
  assert.deepEqual(lines, []);
});

test("while a collector does not answer, no more wait than the bound; the others are dropped", async () => {
  const { exporter, queue, add, outcomes, clock } = start();
  add(EXPORT_SPANS_MAX);
  assert.equal(exporter.exports.length, 1);
  add(SPANS_MAX + 100);
  assert.equal(exporter.exports.length, 1);
  assert.deepEqual(outcomes(), { exported: 0, dropped: 100, failed: 0 });
  const closed = queue.close(1_000);
  await turn();
  clock.advance(1_000);
  await closed;
  assert.deepEqual(outcomes(), { exported: 0, dropped: 100, failed: EXPORT_SPANS_MAX + SPANS_MAX });
  // Too late to count again.
  for (const { done } of exporter.exports) done(SUCCESS);
  add(1);
  assert.deepEqual(outcomes(), { exported: 0, dropped: 101, failed: EXPORT_SPANS_MAX + SPANS_MAX });
});

test("a collector that is away is a line a minute, and one when it is back", async () => {
  const { exporter, queue, add, outcomes, clock, lines } = start();
  exporter.result = FAILURE;
  for (let i = 0; i < 10; i++) {
    add(EXPORT_SPANS_MAX);
    await turn();
  }
  assert.deepEqual(lines, ["traces cannot be exported"]);
  clock.advance(60_000);
  add(EXPORT_SPANS_MAX);
  await turn();
  assert.deepEqual(lines, ["traces cannot be exported", "traces cannot be exported"]);
  exporter.result = SUCCESS;
  add(EXPORT_SPANS_MAX);
  await turn();
  assert.deepEqual(lines.slice(2), ["traces are exported again"]);
  await queue.close(0);
  assert.deepEqual(outcomes(), { exported: EXPORT_SPANS_MAX, dropped: 0, failed: 11 * EXPORT_SPANS_MAX });
});

test("a collector that takes one export and not the next is not a line for each of them", async () => {
  const { exporter, queue, add, clock, lines } = start();
  for (let i = 0; i < 20; i++) {
    exporter.result = i % 2 === 0 ? FAILURE : SUCCESS;
    add(EXPORT_SPANS_MAX);
    await turn();
    clock.advance(1_000);
  }
  assert.deepEqual(lines, ["traces cannot be exported", "traces are exported again"]);
  await queue.close(0);
});
