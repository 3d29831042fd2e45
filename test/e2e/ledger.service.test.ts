// The ledger over the deaths of its processes, as it is scraped.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ledgerMistakes, readLedger } from "../../src/cli/ledger.ts";
import { connect } from "../../src/client/index.ts";
import { eventually, logLines, type RunningService, startService } from "../support/service.ts";

async function scrape(service: RunningService): Promise<string> {
  return await (await fetch(`${service.adminUrl}/metrics`)).text();
}

async function publish(service: RunningService, events: number): Promise<void> {
  const client = connect(service.grpcAddress);
  const answer = await client.publish({ topic: "t", events: Array.from({ length: events }, () => ({ value: "v" })) });
  assert.equal(answer.stored, events);
  await client.close();
}

/** Waits until the scrape shows so many spooled events, and checks that the sums hold. */
async function spooled(service: RunningService, events: number) {
  const ledger = await eventually(`${events} events are spooled`, async () => {
    const now = readLedger(await scrape(service), "t");
    assert.deepEqual(ledgerMistakes(now), []);
    return now.spooled === events ? now : undefined;
  });
  return { persisted: ledger.persisted, recovered: ledger.recovered };
}

test("the ledger agrees after a worker was killed, and after the service was started again", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-test-"));
  const env = { DATA_DIR: dataDir, WORKERS: "1" };
  try {
    {
      await using service = await startService({ env });
      await publish(service, 10);
      assert.deepEqual(await spooled(service, 10), { persisted: 10, recovered: 0 });
      const worker = logLines(service.stderr()).find(({ process }) => process === "worker 0");
      process.kill(Number(worker?.["pid"]), "SIGKILL");
      await eventually("another worker is ready", async () => {
        const restarted = (await scrape(service)).includes('sluice_worker_restarts_total{worker="0"} 1');
        return restarted && (await fetch(`${service.adminUrl}/readyz`)).ok;
      });
      await publish(service, 5);
      assert.deepEqual(await spooled(service, 15), { persisted: 15, recovered: 0 });
      assert.equal((await service.stop()).code, 0);
    }
    await using again = await startService({ env });
    await publish(again, 1);
    assert.deepEqual(await spooled(again, 16), { persisted: 1, recovered: 15 });
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
});
