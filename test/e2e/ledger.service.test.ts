// The ledger over the deaths of its processes, as it is scraped.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { ledgerMistakes, readLedger, readLedgerRows, readMismatches } from "../../src/cli/ledger.ts";
import { connect, Durability } from "../../src/client/index.ts";
import { ErrorCode, FakeCluster, type Fault, type ProducePartition } from "../support/fake-broker.ts";
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

/** Every kind of outcome comes up, in Kafka too. */
function faults(): () => Fault | undefined {
  let requests = 0;
  return () => {
    requests++;
    if (requests % 7 === 0) return { action: "error", code: ErrorCode.NOT_LEADER_OR_FOLLOWER };
    if (requests % 23 === 0) return { action: "disconnect", when: "after" };
    const only = ({ bytes }: ProducePartition) => bytes?.includes("poison") ?? false;
    return { action: "error", code: ErrorCode.INVALID_RECORD, only, delayMs: requests % 3 === 0 ? 20 : 0 };
  };
}

test("under load, with faults and the death of a worker, every scrape agrees", { timeout: 120_000 }, async () => {
  await using cluster = await FakeCluster.start({ brokers: 2, topics: { a: 2, b: 3 } });
  cluster.onProduce = faults();
  const env = { KAFKA_BROKERS: cluster.bootstrap, WORKERS: "2", SPOOL_BYTES_MAX: "4MiB", SPOOL_SEGMENT_BYTES: "64KiB" };
  await using service = await startService({ env });
  const over = new AbortController();
  const send = async (sender: number) => {
    for (let batch = 0; !over.signal.aborted; batch++) {
      // A connection of its own, so that both workers get some.
      const client = connect(service.grpcAddress, { retry: { attemptsMax: 1 } });
      for (let i = 0; i < 20 && !over.signal.aborted; i++) {
        const topic = ["a", "b", "a", "b", "missing", "not a name"][(batch + sender + i) % 6]!;
        const events = Array.from({ length: 30 }, (_, event) => ({
          value: `${i === 4 && event === 5 ? "poison" : "good"} ${sender}/${batch}/${i}/${event}`.padEnd(100, "x"),
          ...(event === 7 && { partition: 99 }),
        }));
        const durability = (i >> 1) % 2 === 0 ? Durability.PERSISTED : Durability.REPLICATED;
        // What a fault or a death does to a call is not what this is about.
        await client.publish({ topic, durability, events }).catch(() => setTimeout(20));
      }
      await client.close();
    }
  };
  const senders = Promise.all([0, 1, 2, 3, 4, 5].map(send));
  const check = async () => {
    const metrics = await scrape(service);
    for (const { topic, worker, ledger } of readLedgerRows(metrics))
      assert.deepEqual(ledgerMistakes(ledger), [], `${topic}, worker ${worker}`);
    assert.deepEqual(readMismatches(metrics), []);
    return metrics;
  };
  for (let scrapes = 0; scrapes < 60; scrapes++) {
    await check();
    if (scrapes === 30) {
      const worker = logLines(service.stderr()).find(({ process }) => process === "worker 1");
      process.kill(Number(worker?.["pid"]), "SIGKILL");
    }
    await setTimeout(100);
  }
  over.abort();
  await senders;
  const settled = await eventually("everything is settled and brought to Kafka", async () => {
    const metrics = await check();
    const { inFlight, spooled } = readLedger(metrics);
    return inFlight === 0 && spooled === 0 && metrics;
  });
  const { stored, failed, persisted, forwarded, deadLettered } = readLedger(settled);
  const seen = { replicated: stored - persisted, failed, persisted, forwarded, deadLettered };
  for (const [what, events] of Object.entries(seen)) assert.ok(events > 0, what);
  assert.deepEqual(
    new Set(readLedgerRows(settled).map(({ topic }) => topic)),
    new Set(["(illegal)", "(unknown)", "a", "b"]),
  );
  assert.deepEqual(
    logLines(service.stderr()).filter(({ msg }) => String(msg).startsWith("the ledger")),
    [],
  );
});
