// A span that came as plain data is what the SDK's exporters read.

import assert from "node:assert/strict";
import test from "node:test";
import { emptyResource } from "@opentelemetry/resources";
import { FinishedSpan } from "../../../src/tracing/export/span.ts";
import type { SpanData } from "../../../src/tracing/span-data.ts";
import { CONTEXT, spanData } from "../support/span-data.ts";

function finished(fields: Partial<SpanData>): FinishedSpan {
  return new FinishedSpan(structuredClone(spanData(fields)), emptyResource(), { name: "test" });
}

test("a span's duration is that between its times", () => {
  assert.deepEqual(finished({ startTime: [7, 999_750_000], endTime: [8, 1_250_000] }).duration, [0, 1_500_000]);
  assert.deepEqual(finished({ startTime: [7, 1], endTime: [9, 3] }).duration, [2, 2]);
});

test("its contexts have their state and where they come from", () => {
  const parent = { ...CONTEXT, spanId: "3".repeat(16), traceState: "v=1", isRemote: true };
  const link = { ...CONTEXT, traceId: "4".repeat(32) };
  const span = finished({ context: { ...CONTEXT, traceState: "v=1,w=2" }, parent, links: [link], linksLeftOut: 5 });
  assert.equal(span.spanContext().traceState?.serialize(), "v=1,w=2");
  assert.deepEqual([span.parentSpanContext?.spanId, span.parentSpanContext?.isRemote], [parent.spanId, true]);
  assert.equal(span.parentSpanContext?.traceState?.serialize(), "v=1");
  assert.deepEqual(
    span.links.map(({ context }) => [context.traceId, context.traceState]),
    [[link.traceId, undefined]],
  );
  assert.equal(span.droppedLinksCount, 5);
  assert.equal(finished({}).parentSpanContext, undefined);
});
