// promtool, Prometheus' own: it reads what a loaded service tells, in both formats, and has nothing to say against its names.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connect } from "../../src/client/index.ts";
import { judgeTest } from "../judges/support/judge.ts";
import { temporaryFolder } from "../judges/support/temporary-folder.ts";
import { FakeCluster } from "../support/fake-broker.ts";
import { eventually, type RunningService, startService } from "../support/service.ts";

async function scrape(service: RunningService, accept: string): Promise<string> {
  return await (await fetch(`${service.adminUrl}/metrics`, { headers: { accept } })).text();
}

judgeTest("promtool", "promtool takes the scrape of a loaded service in text and in OpenMetrics", async (promtool) => {
  await using cluster = await FakeCluster.start({ brokers: 2, topics: { a: 2, b: 2 } });
  await using service = await startService({ env: { KAFKA_BROKERS: cluster.bootstrap, WORKERS: "2" } });
  const client = connect(service.grpcAddress);
  for (const topic of ["a", "b", "missing"])
    await client.publish({ topic, events: Array.from({ length: 50 }, () => ({ value: "v" })) });
  await client.close();
  const text = await eventually("everything is told", async () => {
    const told = await scrape(service, "text/plain");
    const isThere = [/^sluice_events_stored_total\{topic="b".* 50$/m, /^sluice_sockets\{state="listen"\} [1-9]/m];
    return isThere.every((line) => line.test(told)) ? told : undefined;
  });
  const { stdout, stderr } = await promtool.passes(["check", "metrics"], { input: text });
  assert.equal(stdout + stderr, "");
  for (const name of ["sluice_stage_seconds", "sluice_record_batch_records", "sluice_kafka_request_seconds"])
    assert.match(text, new RegExp(`^${name}_bucket\\{`, "m"));

  // It stores what it reads, and so wants to know when that was.
  const now = Math.floor(Date.now() / 1000);
  const openMetrics = await scrape(service, "application/openmetrics-text");
  const dated = openMetrics.replaceAll(/^([^#\n]+?)( # .*)?$/gm, `$1 ${now}$2`);
  await using folder = await temporaryFolder();
  const file = join(folder.path, "scrape");
  await writeFile(file, dated);
  await promtool.passes(["tsdb", "create-blocks-from", "openmetrics", file, join(folder.path, "blocks")]);
});
