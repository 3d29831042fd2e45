// @opentelemetry/instrumentation-grpc goes on to work: in a process that uses the SDK, it gives the service its context, and in a
// service with GRPC_SERVER=grpc-js its spans stand between the client's and ours.

import assert from "node:assert/strict";
import { join } from "node:path";
import test, { after, before } from "node:test";
import type * as Client from "../../src/client/index.ts";
import { FakeCluster } from "../support/fake-broker.ts";
import { startService } from "../support/service.ts";
import { decode } from "../wire/records.ts";
import { type Collector, type ReceivedSpan, startCollector } from "./support/collector.ts";
import type * as Sdk from "./support/instrumented.ts";

const PRELOAD = join(import.meta.dirname, "support/instrumented.ts");
const UNARY = "sluice.v1.EventIngest/Publish";
const STREAM = "sluice.v1.EventIngest/PublishStream";

let collector: Collector;
let sdk: typeof Sdk;
let client: typeof Client;

before(async () => {
  collector = await startCollector();
  process.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.endpoint;
  sdk = await import("./support/instrumented.ts");
  client = await import("../../src/client/index.ts");
});

after(async () => {
  await sdk.provider.shutdown();
  await collector[Symbol.asyncDispose]();
});

/** Publishes one event in each way. @returns the spans that it made, and the contexts that records carry. */
async function publish(env: Readonly<Record<string, string>>): Promise<{ spans: ReceivedSpan[]; carried: string[] }> {
  const from = collector.spans.length;
  await using cluster = await FakeCluster.start({ topics: { t: 1 } });
  const service = await startService({
    env: {
      KAFKA_BROKERS: cluster.bootstrap,
      TRACING: "otlp",
      TRACE_SAMPLE_RATIO: "0",
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
      OTEL_SERVICE_NAME: "ingest",
      ...env,
    },
  });
  try {
    const sluice = client.connect(service.grpcAddress);
    await sluice.publish({ topic: "t", events: [{ value: "unary" }] });
    const stream = sluice.openStream();
    await stream.publish({ topic: "t", events: [{ value: "stream" }] });
    await stream.close();
    await sluice.close();
  } finally {
    assert.equal((await service.stop()).code, 0);
  }
  await sdk.provider.forceFlush();
  const records = cluster.log("t", 0).flatMap(({ bytes }) => decode(bytes));
  return { spans: collector.spans.slice(from), carried: records.map(({ headers }) => String(headers[0]?.[1])) };
}

function only(spans: readonly ReceivedSpan[], is: (span: ReceivedSpan) => boolean): ReceivedSpan {
  const found = spans.filter(is);
  assert.equal(found.length, 1, JSON.stringify(spans.map(({ name, kind }) => [name, kind])));
  return found[0]!;
}

test("a client that is instrumented gives the service its context, with nothing in the SDK that knows of it", async () => {
  const { spans, carried } = await publish({});
  for (const [i, method] of [UNARY, STREAM].entries()) {
    const sent = only(spans, ({ name, kind }) => name === `grpc.${method}` && kind === "CLIENT");
    const request = only(spans, ({ name }) => name === method);
    assert.deepEqual([request.traceId, request.parentSpanId], [sent.traceId, sent.spanId]);
    assert.equal(carried[i], `00-${request.traceId}-${request.spanId}-01`);
  }
});

test("a grpc-js server that is instrumented has its span between the client's and ours", async () => {
  const { spans, carried } = await publish({ GRPC_SERVER: "grpc-js", NODE_OPTIONS: `--import=${PRELOAD}` });
  const sent = only(spans, ({ name, kind }) => name === `grpc.${UNARY}` && kind === "CLIENT");
  const received = only(spans, ({ name, kind }) => name === `grpc.${UNARY}` && kind === "SERVER");
  const request = only(spans, ({ name }) => name === UNARY);
  assert.deepEqual([received.traceId, received.parentSpanId], [sent.traceId, sent.spanId]);
  assert.deepEqual([request.traceId, request.parentSpanId], [sent.traceId, received.spanId]);
  assert.equal(request.resource["service.name"], "ingest");
  assert.equal(carried[0], `00-${request.traceId}-${request.spanId}-01`);
  const stream = only(spans, ({ name, kind }) => name === `grpc.${STREAM}` && kind === "CLIENT");
  assert.equal(only(spans, ({ name }) => name === STREAM).traceId, stream.traceId);
});
