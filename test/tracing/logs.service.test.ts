// Lines of the log that belong to a recorded request lead to its trace.

import assert from "node:assert/strict";
import test from "node:test";
import { connect, SluiceError } from "../../src/client/index.ts";
import { FakeCluster, once } from "../support/fake-broker.ts";
import { eventually, logLines, startService } from "../support/service.ts";
import { startCollector } from "./support/collector.ts";

test("refused batches, events that are not stored and failing record batches have the ids of their request's span", async () => {
  await using collector = await startCollector();
  await using cluster = await FakeCluster.start({ topics: { t: 1 } });
  await using service = await startService({
    env: {
      KAFKA_BROKERS: cluster.bootstrap,
      LOG_LEVEL: "debug",
      TRACING: "otlp",
      TRACE_SAMPLE_RATIO: "1",
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
    },
  });
  const client = connect(service.grpcAddress);
  await assert.rejects(client.publish({ topic: "t", durability: 77 as 1, events: [{ value: "a" }] }), SluiceError);
  // The record batch is too large for the broker, and cannot be split.
  cluster.onProduce = once({ action: "error", code: 10 });
  await client.publish({ topic: "t", events: [{ value: "b" }] });
  await client.close();
  const lines = await eventually("they are logged", () => {
    const traced = logLines(service.stderr()).filter((line) => line["trace_id"] !== undefined);
    return traced.length >= 3 && traced;
  });
  assert.equal((await service.stop()).code, 0);
  assert.deepEqual(
    lines.map(({ msg }) => msg),
    ["batch refused", "produce failed", "events are not stored"],
  );
  const requests = collector.spans.filter(({ kind }) => kind === "SERVER");
  assert.equal(requests.length, 2);
  const ids = requests.map(({ traceId, spanId }) => [traceId, spanId]);
  assert.deepEqual(
    lines.map((line) => [line["trace_id"], line["span_id"]]),
    [ids[0], ids[1], ids[1]],
  );
});
