// Which requests are recorded: by chance, as many as were asked for and no more than the bound; by their client, always.

import assert from "node:assert/strict";
import test from "node:test";
import { silentLogger } from "../../src/telemetry/log.ts";
import type { SpanData } from "../../src/tracing/span-data.ts";
import type { SpanSender } from "../../src/tracing/span-sender.ts";
import { Spans } from "../../src/tracing/spans.ts";
import { Tracer, type TracerOptions } from "../../src/tracing/tracer.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { seededRandom } from "../ingest/harness.ts";

const METHOD = "/sluice.v1.EventIngest/Publish";
const NO_CONTEXT = { peer: "127.0.0.1:1", traceparent: undefined, header: () => undefined };
const SAMPLED = { ...NO_CONTEXT, traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" };

/** What is recorded ends up in `spans`, a second of the clock after it was told. */
function tracerOf(options: Partial<TracerOptions>, spans: SpanData[] = [], clock = new FakeClock()): Tracer {
  const sender = { send: (sent: readonly SpanData[]) => spans.push(...sent) } as unknown as SpanSender;
  const made = new Spans(sender, clock);
  return new Tracer(made, silentLogger(), seededRandom(7), {
    sampleRatio: 1,
    sampleRateMax: 1_000_000,
    joinActive: false,
    ...options,
  });
}

/** How many of so many requests are recorded, one a millisecond or as given. */
function recorded(tracer: Tracer, requests: number, everyMs = 1): number {
  let count = 0;
  for (let i = 0; i < requests; i++) if (tracer.request(METHOD, NO_CONTEXT, i * everyMs) !== undefined) count++;
  return count;
}

for (const ratio of [0.001, 0.01, 0.5]) {
  test(`of 200,000 requests without a context about ${ratio * 100} % are recorded`, () => {
    const count = recorded(tracerOf({ sampleRatio: ratio }), 200_000);
    const expected = 200_000 * ratio;
    // Five standard deviations.
    const off = 5 * Math.sqrt(expected * (1 - ratio));
    assert.ok(Math.abs(count - expected) < off, `${count} are recorded`);
  });
}

test("with a ratio of 0 none are recorded, with 1 all", () => {
  assert.equal(recorded(tracerOf({ sampleRatio: 0 }), 10_000), 0);
  assert.equal(recorded(tracerOf({ sampleRatio: 1 }), 10_000), 10_000);
});

test("by chance no more are recorded than the bound, spread over the time, but a client's decision always holds", () => {
  const tracer = tracerOf({ sampleRateMax: 100 });
  // Ten seconds at ten thousand a second.
  const count = recorded(tracer, 100_000, 0.1);
  assert.ok(count >= 1_000 && count <= 1_101, `${count} are recorded`);
  const last = 100_000 * 0.1;
  for (let i = 0; i < 1_000; i++) assert.ok(tracer.request(METHOD, SAMPLED, last)?.span !== undefined);
});

test("a bound of one a second records one a second", () => {
  const count = recorded(tracerOf({ sampleRateMax: 1 }), 10_000, 1);
  assert.ok(count >= 10 && count <= 11, `${count} are recorded`);
});

test("ids are new for each request, and times are those of the wall's clock", () => {
  const spans: SpanData[] = [];
  const clock = new FakeClock();
  const tracer = tracerOf({}, spans, clock);
  for (let i = 0; i < 100; i++) tracer.request(METHOD, NO_CONTEXT, 999.75)?.span?.answered(1_001.25, 1, []);
  clock.advance(1_000);
  assert.equal(new Set(spans.map((span) => span.context.traceId)).size, 100);
  assert.equal(new Set(spans.map((span) => span.context.spanId)).size, 100);
  assert.deepEqual(spans[0]!.startTime, [1_700_000_000, 999_750_000]);
  assert.deepEqual(spans[0]!.endTime, [1_700_000_001, 1_250_000]);
});

test("spans are made together, a second after the first of them, or when they are many", () => {
  const spans: SpanData[] = [];
  const clock = new FakeClock();
  const tracer = tracerOf({}, spans, clock);
  const record = (requests: number): void => {
    for (let i = 0; i < requests; i++) tracer.request(METHOD, NO_CONTEXT, 0)?.span?.answered(1, 1, []);
  };
  record(1);
  clock.advance(600);
  record(1);
  clock.advance(399);
  assert.equal(spans.length, 0);
  clock.advance(1);
  assert.equal(spans.length, 2);
  record(511);
  assert.equal(spans.length, 2);
  record(1);
  assert.equal(spans.length, 514);
  clock.advance(999);
  record(1);
  clock.advance(1);
  assert.equal(spans.length, 514, "the timer of those before is gone");
  clock.advance(999);
  assert.equal(spans.length, 515);
});

test("of a client's flags those that are known are passed on, with the version that is written", () => {
  const tracer = tracerOf({});
  const flagsOf = (version: string, flags: string): string | undefined => {
    const traceparent = `${version}-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-${flags}`;
    const headers = tracer.request(METHOD, { ...NO_CONTEXT, traceparent }, 0)?.headers.toString("latin1");
    return /00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-(..)$/.exec(headers ?? "")?.[1];
  };
  assert.deepEqual(
    ["00", "01", "02", "fc", "ff"].map((flags) => flagsOf("00", flags)),
    ["00", "01", "02", "00", "03"],
  );
  assert.equal(flagsOf("cc", "05"), "01");
});
