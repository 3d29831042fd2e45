// The supervisor exports what all workers tell: as the options say, whose it is, and the rest at the end.

import assert from "node:assert/strict";
import test from "node:test";
import { connect } from "../../src/client/index.ts";
import { eventually, startService } from "../support/service.ts";
import { startCollector } from "./support/collector.ts";

const UNARY = "sluice.v1.EventIngest/Publish";

async function exportedOf(adminUrl: string): Promise<number> {
  const metrics = await (await fetch(`${adminUrl}/metrics`)).text();
  return Number(/^sluice_trace_spans_total\{outcome="exported"\} (\d+)/m.exec(metrics)?.[1]);
}

test("spans come from each worker, with what is said of it, and those of a worker's end are exported, too", async () => {
  await using collector = await startCollector();
  await using service = await startService({
    env: {
      WORKERS: "2",
      TRACING: "otlp",
      TRACE_SAMPLE_RATIO: "1",
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
      OTEL_EXPORTER_OTLP_HEADERS: "x-key=a%20b",
      OTEL_SERVICE_NAME: "ingest",
      OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test,service.name=not-this",
    },
  });
  let published = 0;
  const publish = async (): Promise<void> => {
    // A connection of its own: they go to workers in turn.
    const client = connect(service.grpcAddress);
    await client.publish({ topic: "t", events: [{ value: "a" }] });
    await client.close();
    published++;
  };
  const requests = () => collector.spans.filter(({ name }) => name === UNARY);
  await eventually("both workers have told", async () => {
    await publish();
    return new Set(requests().map(({ resource }) => resource["sluice.worker"])).size === 2;
  });
  const resources = new Map(requests().map(({ resource }) => [resource["sluice.worker"], resource]));
  const pids = new Set([...resources.values()].map((resource) => resource["process.pid"]));
  assert.equal(pids.size, 2);
  for (const [worker, resource] of resources) {
    assert.equal(resource["service.name"], "ingest");
    assert.equal(resource["deployment.environment.name"], "test");
    assert.match(String(resource["service.instance.id"]), new RegExp(`/${worker}$`));
  }
  assert.deepEqual(collector.requests.map(({ url, headers }) => [url, headers["x-key"], headers["content-type"]])[0], [
    "/v1/traces",
    "a b",
    "application/x-protobuf",
  ]);
  await eventually("it is counted", async () => (await exportedOf(service.adminUrl)) > 0);
  await publish();
  assert.equal((await service.stop()).code, 0);
  assert.equal(requests().length, published);
});
