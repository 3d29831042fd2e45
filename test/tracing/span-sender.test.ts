// What a worker tells of spans has a bound while the supervisor does not read, and every span that is dropped counts.

import assert from "node:assert/strict";
import test from "node:test";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import type { SpanData } from "../../src/tracing/span-data.ts";
import { SpanSender } from "../../src/tracing/span-sender.ts";
import { spanData } from "./support/span-data.ts";

const SPANS_MAX = 8_192;

test("while nothing leaves, no more wait than the bound; the others are dropped and counted", async () => {
  const sent: { readonly spans: readonly SpanData[]; readonly left: () => void }[] = [];
  const dropped = createMetrics().traceSpans.with("dropped");
  const sender = new SpanSender((spans) => new Promise((left) => sent.push({ spans, left })), dropped);
  const half = Array.from({ length: SPANS_MAX / 2 }, () => spanData());
  sender.send(half);
  sender.send(half);
  assert.deepEqual(
    sent.map(({ spans }) => spans.length),
    [SPANS_MAX / 2, SPANS_MAX / 2],
  );
  sender.send([spanData(), spanData()]);
  assert.deepEqual([sent.length, dropped.value], [2, 2]);
  sent[0]!.left();
  await Promise.resolve();
  sender.send(half);
  assert.deepEqual([sent.length, dropped.value], [3, 2]);
});
