// How fast the spool takes batches, gives them back, and starts over them, on a real disk.
//
//   node bench/spool.ts [--bytes 1024] [--batches 300000] [--in-flight-bytes 16777216] [--dir <directory>]
//
// Every batch has its own settler call, as in the service; nothing is acknowledged before its fdatasync.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "../src/clock.ts";
import type { BatchSettler, Producer, SealedBatch, TopicInfo } from "../src/ingest/producer.ts";
import { DeadLetters } from "../src/spool/dead-letters.ts";
import { nodeFileSystem } from "../src/spool/file-system.ts";
import { Forwarder } from "../src/spool/forwarder.ts";
import { Spool } from "../src/spool/spool.ts";
import { createLogger } from "../src/telemetry/log.ts";
import { createMetrics } from "../src/telemetry/metrics.ts";

const { values } = parseArgs({
  options: {
    bytes: { type: "string", default: "1024" },
    batches: { type: "string", default: "300000" },
    "in-flight-bytes": { type: "string", default: String(16 * 1024 * 1024) },
    dir: { type: "string", default: tmpdir() },
  },
});
const bytes = Number(values.bytes);
const total = Number(values.batches);
const inFlightMax = Number(values["in-flight-bytes"]);
const PARTITIONS = 6;

const root = mkdtempSync(join(values.dir, "sluice-bench-spool-"));
const log = createLogger({ level: "error", name: "bench" });
const segmentBytes = 64 * 1024 * 1024;

/** Acknowledges everything at the end of the turn. */
class AcknowledgingProducer implements Producer {
  stored = 0;
  done = (): void => {};

  topic(name: string): TopicInfo {
    const anywhere = { timestampBeforeMaxMs: Infinity, timestampAfterMaxMs: Infinity };
    return { name, partitions: PARTITIONS, maxBatchBytes: 1e6, keyRequired: false, ...anywhere };
  }

  async lookup(name: string): Promise<TopicInfo> {
    return this.topic(name);
  }

  send(batch: SealedBatch, settler: BatchSettler): void {
    setImmediate(() => {
      settler.stored(batch, 0, batch.count, 0);
      if (++this.stored === total) this.done();
    });
  }

  health() {
    return { ready: true, problems: [] };
  }

  inspect() {
    return { client: "direct" as const, unknown: [], partitions: [], partitionsLeftOut: 0 };
  }

  async start(): Promise<void> {}
  async drain(): Promise<void> {}
  async dispose(): Promise<void> {}
}

function open() {
  const metrics = createMetrics();
  const dependencies = { log, metrics, clock: systemClock, fs: nodeFileSystem };
  const spool = new Spool(dependencies, { dir: join(root, "worker-0"), bytesMax: Infinity, segmentBytes });
  return { metrics, dependencies, spool };
}

async function timed(what: string, run: () => Promise<string>): Promise<void> {
  const cpu = process.cpuUsage();
  const startedAtMs = performance.now();
  const note = await run();
  const seconds = (performance.now() - startedAtMs) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const rate = Math.round(total / seconds).toLocaleString("en");
  const perCpu = Math.round((total * 1e6) / (user + system)).toLocaleString("en");
  const megabytes = Math.round((total * bytes) / seconds / 1e6);
  console.log(
    `${what.padEnd(10)} ${rate.padStart(10)} batches/s ${String(megabytes).padStart(6)} MB/s ${perCpu.padStart(10)} batches/CPU-s  ${note}`,
  );
}

try {
  const writing = open();
  await writing.spool.start();
  await timed("append", async () => {
    const buffers = Array.from({ length: Math.max(1, Math.floor(inFlightMax / bytes)) }, () => Buffer.alloc(bytes, 7));
    let sent = 0;
    let stored = 0;
    await new Promise<void>((resolve, reject) => {
      const settler: BatchSettler = {
        stored: (batch) => {
          if (++stored === total) resolve();
          else if (sent < total) send(batch.bytes);
        },
        failed: (_batch, _first, _count, error) => reject(error),
      };
      const send = (buffer: Buffer) => {
        const batch = { topic: "bench", partition: sent % PARTITIONS, count: 1, bytes: buffer };
        sent++;
        writing.spool.append(batch, settler);
      };
      for (const buffer of buffers) if (sent < total) send(buffer);
    });
    const [, buckets] = writing.metrics.spoolSyncTime.snapshot().series[0]!;
    const counts = buckets as number[];
    const syncs = counts.slice(0, -1).reduce((sum, count) => sum + count, 0);
    return `${syncs} syncs, ${((counts.at(-1)! / syncs) * 1000).toFixed(1)} ms each`;
  });
  await writing.spool.drain(Date.now() + 60_000);
  await writing.spool.dispose();

  const reading = open();
  await timed("recover", async () => {
    await reading.spool.start();
    return `${Math.round(process.memoryUsage().rss / 1e6)} MB RSS`;
  });
  const deadLetters = new DeadLetters(reading.dependencies, {
    dir: join(root, "dead-letters", "worker-0"),
    segmentBytes,
  });
  await deadLetters.start();
  const producer = new AcknowledgingProducer();
  const { spool } = reading;
  const forwarder = new Forwarder({ ...reading.dependencies, spool, producer, deadLetters, repartition: () => [] });
  await timed("forward", async () => {
    await new Promise<void>((resolve, reject) => {
      producer.done = resolve;
      forwarder.start().catch(reject);
    });
    return "";
  });
  await forwarder.drain(Date.now() + 60_000);
  await forwarder.dispose();
  await spool.drain(Date.now() + 60_000);
  await spool.dispose();
  await deadLetters.dispose();
} finally {
  rmSync(root, { recursive: true, force: true });
}
