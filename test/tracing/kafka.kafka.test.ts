// The whole way of a trace: a client's span, the service's as processes, real Kafka, and a consumer whose span joins.

import assert from "node:assert/strict";
import { ROOT_CONTEXT, SpanKind, trace } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { connect } from "../../src/client/index.ts";
import { javaConsume, kafkaTest } from "../support/kafka.ts";
import { startService } from "../support/service.ts";
import { startCollector } from "./support/collector.ts";

const OTHER = "00-11111111111111111111111111111111-2222222222222222-01";

for (const client of ["direct", "kafkajs"]) {
  kafkaTest(
    `a consumer's span joins the trace of the client that published, with KAFKA_CLIENT=${client}`,
    async (kafka) => {
      await using collector = await startCollector();
      const topic = await kafka.createTopic("traced", { partitions: 1 });
      const exporter = new OTLPTraceExporter({ url: `${collector.endpoint}/v1/traces`, headers: {} });
      const provider = new TracerProvider({ spanProcessors: [new BatchSpanProcessor({ exporter })] });
      const tracer = provider.getTracer("test");
      const propagator = new W3CTraceContextPropagator();
      await using service = await startService({
        env: {
          KAFKA_BROKERS: kafka.bootstrap,
          KAFKA_CLIENT: client,
          TRACING: "otlp",
          TRACE_SAMPLE_RATIO: "0",
          OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
        },
      });

      const order = tracer.startSpan("order", { kind: SpanKind.CLIENT }, ROOT_CONTEXT);
      const metadata: Record<string, string> = {};
      propagator.inject(trace.setSpan(ROOT_CONTEXT, order), metadata, {
        set: (carrier, name, value) => {
          (carrier as Record<string, string>)[name] = value;
        },
      });
      const sluice = connect(service.grpcAddress, { metadata });
      const headers = [{ key: "traceparent", value: OTHER }];
      await sluice.publish({ topic, events: [{ value: "joins" }, { value: "own", headers }] });
      await sluice.close();
      order.end();

      const records = await javaConsume({ bootstrap: kafka.bootstrap, topic, count: 2 });
      for (const { value, headers } of records) {
        const carrier = Object.fromEntries(headers);
        const parent = propagator.extract(ROOT_CONTEXT, carrier, {
          get: (fields, name) => (fields as Record<string, string>)[name],
          keys: (fields) => Object.keys(fields as object),
        });
        tracer.startSpan(`process ${value}`, { kind: SpanKind.CONSUMER }, parent).end();
      }
      await provider.shutdown();
      assert.equal((await service.stop()).code, 0);

      const byName = new Map(collector.spans.map((span) => [span.name, span]));
      const request = byName.get("sluice.v1.EventIngest/Publish")!;
      const produce = byName.get(`produce ${topic}`)!;
      const { traceId, spanId } = order.spanContext();
      assert.deepEqual([request.traceId, request.parentSpanId], [traceId, spanId]);
      assert.deepEqual([produce.traceId, produce.parentSpanId], [traceId, request.spanId]);
      assert.equal(produce.attributes["messaging.kafka.offset"], 0);
      assert.equal(`${produce.attributes["server.address"]}:${produce.attributes["server.port"]}`, kafka.bootstrap);
      const joined = byName.get("process joins")!;
      assert.deepEqual([joined.traceId, joined.parentSpanId], [traceId, request.spanId]);
      const own = byName.get("process own")!;
      assert.deepEqual([own.traceId, own.parentSpanId], ["1".repeat(32), "2".repeat(16)]);
      assert.deepEqual(
        records.map(({ headers }) => headers.length),
        [1, 1],
      );
    },
  );
}
