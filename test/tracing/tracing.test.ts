// A worker's service with a Kafka cluster in memory, the supervisor's export and a collector: what spans a request leaves, and
// what its records carry.

import assert from "node:assert/strict";
import test from "node:test";
import { systemClock } from "../../src/clock.ts";
import { type BatchInit, connect, type HeaderInit, SluiceError } from "../../src/client/index.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { createTracingMetrics } from "../../src/telemetry/metrics.ts";
import { OtlpExport } from "../../src/tracing/export/otlp.ts";
import { FakeCluster, once } from "../support/fake-broker.ts";
import { startInProcess } from "../support/in-process.ts";
import { eventually } from "../support/service.ts";
import { decode, type PlainRecord } from "../wire/records.ts";
import { byName, type Collector, type ReceivedSpan, startCollector } from "./support/collector.ts";

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const SPAN_ID = "b7ad6b7169203331";
const SAMPLED = `00-${TRACE_ID}-${SPAN_ID}-01`;
const NOT_SAMPLED = `00-${TRACE_ID}-${SPAN_ID}-00`;
const UNARY = "sluice.v1.EventIngest/Publish";
const STREAM = "sluice.v1.EventIngest/PublishStream";

interface World extends AsyncDisposable {
  readonly collector: Collector;
  readonly cluster: FakeCluster;
  readonly service: Awaited<ReturnType<typeof startInProcess>>["service"];
  readonly address: string;
  /** How many spans were exported, dropped and failed. */
  outcomes(): Record<string, number>;
  /** Ends the service, and exports what is left. */
  drain(): Promise<readonly ReceivedSpan[]>;
  records(topic: string): PlainRecord[];
  publish(batch: BatchInit, metadata?: Record<string, string>): Promise<unknown>;
}

async function start(env: Readonly<Record<string, string>> = {}): Promise<World> {
  const stack = new AsyncDisposableStack();
  try {
    const collector = stack.use(await startCollector());
    const cluster = stack.use(await FakeCluster.start({ topics: { t: 1, u: 2 } }));
    const metrics = createTracingMetrics();
    const exporter = new OtlpExport(
      { log: silentLogger(), clock: systemClock, metrics },
      {
        endpoint: collector.endpoint,
        tracesEndpoint: undefined,
        headers: "x-key=a%20b",
        serviceName: "ingest",
        resourceAttributes: "deployment.environment.name=test,service.name=not-this",
      },
    );
    stack.defer(() => exporter.close(0));
    const { service, address } = stack.use(
      await startInProcess(
        {
          KAFKA_BROKERS: cluster.bootstrap,
          TRACING: "otlp",
          TRACE_SAMPLE_RATIO: "0",
          TRACE_SAMPLE_RATE_MAX: "1000000",
          ...env,
        },
        {},
        async (spans) => exporter.take({ worker: "0", pid: process.pid }, structuredClone(spans)),
      ),
    );
    const at = `${address.host}:${address.port}`;
    const kept = stack.move();
    return {
      collector,
      cluster,
      service,
      address: at,
      outcomes: () =>
        Object.fromEntries(
          metrics.traceSpans.snapshot().series.map(([[outcome], count]) => [outcome, count as number]),
        ),
      drain: async () => {
        await service.drain(Date.now() + 10_000);
        await exporter.close(1_000);
        return collector.spans;
      },
      records: (topic) =>
        [0, 1].flatMap((partition) =>
          partition < (topic === "t" ? 1 : 2)
            ? cluster.log(topic, partition).flatMap(({ bytes }) => decode(bytes))
            : [],
        ),
      publish: async (batch, metadata) => {
        const client = connect(at, { ...(metadata && { metadata }) });
        try {
          return await client.publish(batch);
        } finally {
          await client.close();
        }
      },
      [Symbol.asyncDispose]: () => kept.disposeAsync(),
    };
  } finally {
    await stack.disposeAsync();
  }
}

function headersOf({ headers }: PlainRecord): [string, string | undefined][] {
  return headers.map(([name, value]) => [name, value?.toString()]);
}

function only(spans: readonly ReceivedSpan[], name: string): ReceivedSpan {
  const found = spans.filter((span) => span.name === name);
  assert.equal(found.length, 1, `${found.length} spans are called ${name}`);
  return found[0]!;
}

test("a recorded request has a span, one for each of its stages, and its context in its records", async () => {
  await using world = await start({ TRACE_SAMPLE_RATIO: "1" });
  const before = BigInt(Date.now()) * 1_000_000n;
  await world.publish({ topic: "t", events: [{ value: "a" }, { value: "b", headers: [{ key: "h", value: "1" }] }] });
  const spans = await world.drain();
  const after = BigInt(Date.now() + 1) * 1_000_000n;
  const names = byName(spans);
  assert.deepEqual(Object.keys(names).sort(), ["admit", "produce t", "queue", UNARY]);
  const request = names[UNARY]!;
  const { admit, queue } = names;
  const produce = names["produce t"]!;
  assert.equal(request.parentSpanId, "");
  assert.equal(request.kind, "SERVER");
  for (const child of [admit!, queue!, produce]) {
    assert.equal(child.traceId, request.traceId);
    assert.equal(child.parentSpanId, request.spanId);
  }
  const times = [before, request.start, admit!.start, admit!.end, queue!.start, queue!.end, produce.start, produce.end];
  times.push(request.end, after);
  // Wall time and monotonic time are read one after the other.
  for (const [i, time] of times.entries()) assert.ok(i < 1 || time >= times[i - 1]! - 2_000_000n, `time ${i}`);
  assert.deepEqual([admit!.end, queue!.end], [queue!.start, produce.start], "one stage begins where another ends");

  const { "network.peer.port": port, ...attributes } = request.attributes;
  assert.equal(typeof port, "number");
  assert.deepEqual(attributes, {
    "rpc.system.name": "grpc",
    "rpc.method": UNARY,
    "rpc.status_code": "OK",
    "network.peer.address": "127.0.0.1",
    "sluice.events.stored": 2,
    "sluice.events.failed": 0,
    "messaging.destination.name": "t",
    "messaging.batch.message_count": 2,
  });
  assert.equal(produce.kind, "PRODUCER");
  const [host, brokerPort] = world.cluster.bootstrap.split(",")[0]!.split(":");
  assert.deepEqual(produce.attributes, {
    "messaging.system": "kafka",
    "messaging.operation.name": "produce",
    "messaging.operation.type": "send",
    "messaging.destination.name": "t",
    "messaging.destination.partition.id": "0",
    "messaging.batch.message_count": 2,
    "messaging.kafka.offset": 0,
    "server.address": host,
    "server.port": Number(brokerPort),
  });
  assert.equal(request.resource["service.name"], "ingest");
  assert.equal(request.resource["deployment.environment.name"], "test");
  assert.equal(request.resource["sluice.worker"], "0");
  assert.equal(request.scope, "sluice");
  assert.deepEqual(
    world.collector.requests.map(({ url, headers }) => [url, headers["x-key"], headers["content-type"]])[0],
    ["/v1/traces", "a b", "application/x-protobuf"],
  );
  const traceparent = ["traceparent", `00-${request.traceId}-${request.spanId}-01`];
  assert.deepEqual(world.records("t").map(headersOf), [[traceparent], [["h", "1"], traceparent]]);
  assert.deepEqual(world.outcomes(), { exported: 4, dropped: 0, failed: 0 });
});

test("the stages' histograms lead to the trace of what they saw last", async () => {
  await using world = await start({ TRACE_SAMPLE_RATIO: "1" });
  await world.publish({ topic: "t", events: [{ value: "a" }] });
  const request = only(await world.drain(), UNARY);
  const stages = ["admit", "queue", "produce", "acknowledge"];
  const exemplars = stages.map((stage) => world.service.metrics.stage.with("t", stage).exemplars());
  assert.deepEqual(
    exemplars.map((each) => each?.map(({ traceId, spanId }) => [traceId, spanId])),
    stages.map(() => [[request.traceId, request.spanId]]),
  );
});

for (const server of ["native", "grpc-js"]) {
  test(`a client's context decides what is recorded, and records carry it on, with GRPC_SERVER=${server}`, async () => {
    await using world = await start({ TRACE_SAMPLE_RATIO: "1", GRPC_SERVER: server });
    await world.publish({ topic: "t", events: [{ value: "no" }] }, { traceparent: NOT_SAMPLED, tracestate: "v=1,w=2" });
    await world.publish({ topic: "t", events: [{ value: "yes" }] }, { traceparent: SAMPLED, tracestate: "v=1" });
    await world.publish(
      { topic: "t", events: [{ value: "long" }] },
      { traceparent: SAMPLED, tracestate: "uvw".replaceAll(/./g, (key) => `${key}=${"x".repeat(200)},`) },
    );
    await world.publish({ topic: "t", events: [{ value: "broken" }] }, { traceparent: "00-zz-zz-01" });
    const spans = (await world.drain()).filter(({ name }) => name === UNARY);
    assert.deepEqual(
      spans.map(({ traceId, parentSpanId, traceState }) => [traceId === TRACE_ID, parentSpanId, traceState]),
      [
        [true, SPAN_ID, "v=1"],
        [true, SPAN_ID, ""],
        [false, "", ""],
      ],
    );
    const own = spans.map(({ traceId, spanId }) => ["traceparent", `00-${traceId}-${spanId}-01`]);
    assert.deepEqual(world.records("t").map(headersOf), [
      [
        ["traceparent", NOT_SAMPLED],
        ["tracestate", "v=1,w=2"],
      ],
      [own[0], ["tracestate", "v=1"]],
      [own[1]],
      [own[2]],
    ]);
  });
}

test("a request that is not recorded and brought no context adds nothing to its records", async () => {
  await using world = await start();
  await world.publish({ topic: "t", events: [{ value: "a" }] });
  await world.publish({ topic: "t", events: [{ value: "b" }] }, { traceparent: SAMPLED });
  const spans = await world.drain();
  assert.equal(spans.filter(({ name }) => name === UNARY).length, 1);
  assert.deepEqual(
    world.records("t").map(({ headers }) => headers.length),
    [0, 1],
  );
});

test("an event that has a context of its own keeps it, and gets nothing else", async () => {
  await using world = await start({ TRACE_SAMPLE_RATIO: "1" });
  const own: HeaderInit[] = [{ key: "traceparent", value: NOT_SAMPLED }];
  await world.publish(
    { topic: "t", events: [{ value: "own", headers: own }, { value: "none" }] },
    { traceparent: SAMPLED, tracestate: "v=1" },
  );
  const request = only(await world.drain(), UNARY);
  assert.deepEqual(world.records("t").map(headersOf), [
    [["traceparent", NOT_SAMPLED]],
    [
      ["traceparent", `00-${TRACE_ID}-${request.spanId}-01`],
      ["tracestate", "v=1"],
    ],
  ]);
});

test("a stream has a span for each batch, under its own context", async () => {
  await using world = await start();
  const client = connect(world.address, { metadata: { traceparent: SAMPLED } });
  const stream = client.openStream();
  const answers = ["a", "b", "c"].map((value) => stream.publish({ topic: "t", events: [{ value }] }));
  await Promise.all(answers);
  await stream.close();
  await client.close();
  const spans = (await world.drain()).filter(({ name }) => name === STREAM);
  assert.deepEqual(
    spans.map(({ traceId, parentSpanId, kind }) => [traceId, parentSpanId, kind]),
    Array.from({ length: 3 }, () => [TRACE_ID, SPAN_ID, "SERVER"]),
  );
  assert.equal(new Set(spans.map(({ spanId }) => spanId)).size, 3);
  const carried = world.records("t").map((record) => headersOf(record)[0]![1]);
  assert.deepEqual(new Set(carried), new Set(spans.map(({ spanId }) => `00-${TRACE_ID}-${spanId}-01`)));
});

test("recorded requests that share a record batch share a span that links to each, and each links to it", async () => {
  await using world = await start({ TRACE_SAMPLE_RATIO: "1", LINGER: "10s" });
  // While it is under way, the others wait for each other.
  world.cluster.onProduce = once({ delayMs: 300 });
  const client = connect(world.address);
  const first = client.publish({ topic: "t", events: [{ value: "first" }] });
  await eventually("the first is under way", () =>
    world.service.inspect().kafka!.partitions.some(({ inFlight }) => inFlight > 0),
  );
  const others = ["a", "b", "c"].map((value) => client.publish({ topic: "t", events: [{ value }, { value }] }));
  await Promise.all([first, ...others]);
  await client.close();
  const spans = await world.drain();
  assert.equal(world.cluster.log("t", 0).length, 2, "three requests are in one record batch");
  const shared = spans.filter(({ name, parentSpanId }) => name === "produce t" && parentSpanId === "");
  assert.equal(shared.length, 1);
  const [batch] = shared;
  assert.equal(batch!.kind, "CLIENT");
  assert.equal(batch!.attributes["messaging.batch.message_count"], 6);
  assert.equal(batch!.attributes["messaging.kafka.offset"], 1);
  const own = spans.filter(({ name, links }) => name === "produce t" && links[0]?.spanId === batch!.spanId);
  assert.deepEqual(
    own.map(({ kind, attributes }) => [
      kind,
      attributes["messaging.batch.message_count"],
      attributes["messaging.kafka.offset"],
    ]),
    [
      ["PRODUCER", 2, 1],
      ["PRODUCER", 2, 3],
      ["PRODUCER", 2, 5],
    ],
  );
  assert.deepEqual(
    batch!.links,
    own.map(({ traceId, parentSpanId }) => ({ traceId, spanId: parentSpanId })),
  );
});

test("a batch that is refused, and events that are not stored, say why", async () => {
  await using world = await start({ TRACE_SAMPLE_RATIO: "1" });
  await assert.rejects(world.publish({ topic: "t", durability: 77 as 1, events: [{ value: "a" }] }), SluiceError);
  await world.publish({ topic: "t", events: [{ value: "a" }, { value: "b", topic: "missing" }] }).catch(() => {});
  world.cluster.onProduce = once({ action: "error", code: 10 });
  await world.publish({ topic: "u", events: [{ value: "large", partition: 0 }] }).catch(() => {});
  const spans = await world.drain();
  const [refused, partial, failed] = spans.filter(({ name }) => name === UNARY);
  assert.deepEqual(
    [refused!, partial!, failed!].map(({ status, attributes }) => [
      status.code,
      attributes["rpc.status_code"],
      attributes["error.type"],
      attributes["sluice.events.stored"],
    ]),
    [
      ["ERROR", "INVALID_ARGUMENT", "INVALID_ARGUMENT", undefined],
      ["ERROR", "OK", "partial_failure", 1],
      ["ERROR", "OK", "partial_failure", 0],
    ],
  );
  assert.match(refused!.status.message, /^durability 77 is not known/);
  assert.match(partial!.status.message, /^1 of 2 events are not stored: .*missing/);
  const produce = only(spans, "produce u");
  assert.equal(produce.status.code, "ERROR");
  assert.equal(produce.attributes["error.type"], "too_large");
  assert.equal(produce.traceId, failed!.traceId);
});

test("what is persisted says so, and its records carry their context to Kafka later", async () => {
  await using world = await start({ TRACE_SAMPLE_RATIO: "1" });
  await world.publish({ topic: "t", durability: 2, events: [{ value: "a" }] });
  await eventually("it is forwarded", () => world.records("t").length === 1);
  const spans = await world.drain();
  const request = only(spans, UNARY);
  const persist = only(spans, "persist t");
  assert.equal(persist.kind, "INTERNAL");
  assert.equal(persist.parentSpanId, request.spanId);
  assert.deepEqual(world.records("t").map(headersOf), [
    [["traceparent", `00-${request.traceId}-${request.spanId}-01`]],
  ]);
});

test("a request of very many record batches has spans for some of them, and says how many it has not", async () => {
  await using world = await start({ TRACE_SAMPLE_RATIO: "1", RECORD_BATCH_BYTES_MAX: "1KiB" });
  await world.publish({ topic: "t", events: Array.from({ length: 40 }, () => ({ value: "x".repeat(900) })) });
  const spans = await world.drain();
  assert.equal(spans.filter(({ name }) => name === "produce t").length, 32);
  assert.equal(only(spans, UNARY).attributes["sluice.record_batches.left_out"], 8);
});

test("contexts count in the byte budget, and leave it", async () => {
  await using world = await start();
  const events = Array.from({ length: 5_000 }, () => ({ value: "" }));
  world.cluster.onProduce = once({ delayMs: 300 });
  const published = world.publish(
    { topic: "t", events },
    { traceparent: SAMPLED, tracestate: `v=${"x".repeat(200)},w=${"y".repeat(200)}` },
  );
  const admitted = () => world.service.metrics.admittedBytes.with().value;
  await eventually("it is admitted", () => admitted() > 5_000 * 450);
  await published;
  assert.equal(admitted(), 0);
});

test("a collector that is away costs spans, and neither answers nor the end of the service wait for it", async () => {
  await using world = await start({ TRACE_SAMPLE_RATIO: "1" });
  world.collector.answer = "hang";
  const client = connect(world.address);
  // More than may wait for a collector.
  for (let i = 0; i < 30; i++) {
    await Promise.all(Array.from({ length: 100 }, () => client.publish({ topic: "t", events: [{ value: "a" }] })));
  }
  await client.close();
  const beganAtMs = performance.now();
  await world.drain();
  assert.ok(performance.now() - beganAtMs < 8_000, "the drain has not waited for the exporter's time-out");
  const outcomes = world.outcomes();
  assert.equal(outcomes["exported"], 0);
  assert.ok(outcomes["dropped"]! > 0, "there is a bound");
  assert.ok(outcomes["dropped"]! + outcomes["failed"]! >= 3_000 * 4, "every span is counted");
});
