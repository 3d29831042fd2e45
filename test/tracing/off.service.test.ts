// Without TRACING a service is as if there were no tracing: no SDK is loaded, and records are what clients sent.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { connect } from "../../src/client/index.ts";
import { FakeCluster } from "../support/fake-broker.ts";
import { startService } from "../support/service.ts";
import { decode } from "../wire/records.ts";
import { startCollector } from "./support/collector.ts";

const PRELOAD = join(import.meta.dirname, "support/loaded-modules.ts");
const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/**
 * Publishes an event with a context.
 * @returns the packages of OpenTelemetry that were loaded, behind what loaded them, and its record's headers.
 */
async function publish(env: Readonly<Record<string, string>>): Promise<{ loaded: Set<string>; headers: string[] }> {
  const dir = await mkdtemp(join(tmpdir(), "sluice-test-"));
  const file = join(dir, "loaded");
  try {
    await using cluster = await FakeCluster.start({ topics: { t: 1 } });
    await using service = await startService({
      env: {
        KAFKA_BROKERS: cluster.bootstrap,
        NODE_OPTIONS: `--import=${PRELOAD}`,
        LOADED_MODULES_FILE: file,
        ...env,
      },
    });
    const client = connect(service.grpcAddress, { metadata: { traceparent: TRACEPARENT } });
    await client.publish({ topic: "t", events: [{ value: "a" }] });
    await client.close();
    assert.equal((await service.stop()).code, 0);
    const [record] = cluster.log("t", 0).flatMap(({ bytes }) => decode(bytes));
    const loaded = await readFile(file, "utf8").catch(() => "");
    return { loaded: new Set(loaded.split("\n").filter(Boolean)), headers: record!.headers.map(([name]) => name) };
  } finally {
    await rm(dir, { recursive: true });
  }
}

test("without TRACING nothing of OpenTelemetry is loaded, and a client's context is not written into records", async () => {
  assert.deepEqual(await publish({}), { loaded: new Set(), headers: [] });
});

test("with TRACING the supervisor loads the SDK, and workers what reads and tells contexts", async () => {
  await using collector = await startCollector();
  const { loaded, headers } = await publish({ TRACING: "otlp", OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint });
  const loadedBy = (who: string): string[] => [...loaded].filter((line) => line.startsWith(`${who} `));
  assert.ok(loadedBy("supervisor").includes("supervisor @opentelemetry/sdk-trace"));
  assert.deepEqual(loadedBy("worker").sort(), [
    "worker @opentelemetry/api",
    "worker @opentelemetry/core",
    "worker @opentelemetry/semantic-conventions",
  ]);
  assert.deepEqual(headers, ["traceparent"]);
  assert.ok(collector.spans.length > 0, "a drain exports what is left");
});
