// What most tests of the spool need: a spool on a disk in memory, batches, and settlers that remember.

import type { IngestError } from "../../../src/errors.ts";
import type { BatchSettler, SealedBatch } from "../../../src/ingest/producer.ts";
import { Spool, type SpoolOptions } from "../../../src/spool/spool.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";
import { createMetrics, type Metrics } from "../../../src/telemetry/metrics.ts";
import { ManualClock, settle } from "./manual-clock.ts";
import type { MemoryFileSystem, Random } from "./memory-file-system.ts";

export const DIR = "/data/spool/worker-0";

/** Numbers in [0, 1) that are the same for the same seed. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Lets every other operation of a disk take a turn of the event loop or two. */
export function slowly(random: Random): () => Promise<void> | undefined {
  return () => (random() < 0.5 ? settle(1 + Math.floor(random() * 2)) : undefined);
}

/** A batch whose bytes tell which one it is. */
export function batchOf(text: string, options: Partial<SealedBatch> = {}): SealedBatch {
  return { topic: "clicks", partition: 0, count: 1, bytes: Buffer.from(text), ...options };
}

export type Outcome = "stored" | IngestError;

/** Remembers what every batch was told, by the text in its bytes. */
export class Outcomes implements BatchSettler {
  readonly all = new Map<string, Outcome>();
  /** Of each call, in order. */
  readonly order: string[] = [];

  stored(batch: SealedBatch, first: number, count: number): void {
    this.#tell(batch, first, count, "stored");
  }

  failed(batch: SealedBatch, first: number, count: number, error: IngestError): void {
    this.#tell(batch, first, count, error);
  }

  get stored_(): string[] {
    return [...this.all].filter(([, outcome]) => outcome === "stored").map(([text]) => text);
  }

  #tell(batch: SealedBatch, first: number, count: number, outcome: Outcome): void {
    const text = batch.bytes.toString();
    if (this.all.has(text)) throw new Error(`${text} was told twice`);
    if (first !== 0 || count !== batch.count) throw new Error(`${text} was told in part`);
    this.all.set(text, outcome);
    this.order.push(text);
  }
}

export interface SpoolFixture {
  readonly spool: Spool;
  readonly fs: MemoryFileSystem;
  readonly clock: ManualClock;
  readonly metrics: Metrics;
  readonly outcomes: Outcomes;
  readonly append: (text: string, options?: Partial<SealedBatch>) => void;
  /** The batches that nobody took yet, lane by lane. */
  readonly open: () => string[];
}

/** A started spool. */
export async function startSpool(
  fs: MemoryFileSystem,
  options: Partial<SpoolOptions> = {},
  clock = new ManualClock(),
): Promise<SpoolFixture> {
  const metrics = createMetrics();
  const dependencies = { log: silentLogger(), metrics, clock, fs };
  const spool = new Spool(dependencies, { dir: DIR, bytesMax: 1e9, segmentBytes: 1e6, ...options });
  await spool.start();
  const outcomes = new Outcomes();
  return {
    spool,
    fs,
    clock,
    metrics,
    outcomes,
    append: (text, batch) => spool.append(batchOf(text, batch), outcomes),
    open: () => openBatches(spool, fs),
  };
}

/** Ends it as a shutdown does. */
export async function stopSpool({ spool, clock }: SpoolFixture): Promise<void> {
  await spool.drain(clock.now() + 1000);
  await spool.dispose();
}

/** The texts of the batches that nobody took yet, by lane, in order; it takes nothing. */
export function openBatches(spool: Spool, fs: MemoryFileSystem): string[] {
  const texts: string[] = [];
  for (const topic of spool.backlogs.topics()) {
    for (const lane of [topic.unassigned, ...topic.lanes.values()]) {
      for (const { segment, position, bytes, count } of lane.entries()) {
        const entry = fs.contents(segment.path).subarray(position, position + bytes);
        texts.push(entry.subarray(24 + 18 + topic.utf8.length).toString());
        if (count < 1) throw new Error("a batch has records");
      }
    }
  }
  return texts;
}

/** Takes the next batch of a lane and says that Kafka has it. */
export function forwardNext(spool: Spool, topic = "clicks", partition = 0): void {
  const lane = spool.backlogs.topic(topic).lane(partition);
  const entry = lane.peek();
  if (entry === undefined) throw new Error("there is nothing to forward");
  spool.forwarded(lane, lane.take(), entry);
}

export { settle };
