// What a service has in its spool, read beside it: `sluice tail`, the demo and tests look here.
//
// It takes no lock and writes nothing, so it may see a batch a moment before its sync, and batches that Kafka has already
// but whose segment is not deleted yet. What it yields has a valid checksum. Rejected: watching the files; how that works
// differs from system to system, and a tail that is a tenth of a second late is nobody's loss.

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { workerDirectories } from "./directories.ts";
import { type BatchEntry, decodeBatch, EntryType } from "./entries.ts";
import { type FileSystem, nodeFileSystem } from "./file-system.ts";
import { SegmentsReader } from "./segments-reader.ts";

export interface ReadSpoolOptions {
  /** DATA_DIR of the service. */
  readonly dataDir: string;
  /** Only this topic's. */
  readonly topic?: string | undefined;
  /** Go on with what is persisted from now on, until the signal. */
  readonly follow?: boolean | undefined;
  /** Only what lies in each worker's last segment, and what comes: the rest of a spool of gigabytes is not read. */
  readonly fromLast?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface SpooledBatch extends BatchEntry {
  /** The number of the worker whose spool it lies in. */
  readonly worker: number;
}

/** How often a follower looks for more. */
const POLL_MS = 100;

/** One worker's spool, with the batch that comes next. */
class WorkerSpool {
  readonly worker: number;
  readonly #reader: SegmentsReader;
  readonly #topic: string | undefined;
  next: SpooledBatch | undefined;

  constructor(worker: number, reader: SegmentsReader, topic: string | undefined) {
    this.worker = worker;
    this.#reader = reader;
    this.#topic = topic;
  }

  async advance(): Promise<void> {
    this.next = undefined;
    for (let entry = await this.#reader.next(); entry !== undefined; entry = await this.#reader.next()) {
      if (entry.type !== EntryType.BATCH) continue;
      const batch = decodeBatch(entry.payload);
      if (this.#topic !== undefined && batch.topic !== this.#topic) continue;
      this.next = { ...batch, bytes: Buffer.from(batch.bytes), worker: this.worker };
      return;
    }
  }

  close(): Promise<void> {
    return this.#reader.close();
  }
}

/**
 * The batches in the spools of all workers, each worker's in order, and between workers the one that was persisted first of
 * those that come next. Ends at the end of what is there, or, with `follow`, at the signal.
 *
 * @param fs where the directory lies.
 */
export async function* readSpool(
  options: ReadSpoolOptions,
  fs: FileSystem = nodeFileSystem,
): AsyncGenerator<SpooledBatch, void, undefined> {
  const { dataDir, topic, follow = false, fromLast = false, signal } = options;
  const stopped = () => signal?.aborted === true;
  const spools = new Map<number, WorkerSpool>();
  try {
    while (!stopped()) {
      for (const { worker, dir } of await workerDirectories(join(dataDir, "spool"), fs)) {
        if (spools.has(worker)) continue;
        spools.set(worker, new WorkerSpool(worker, new SegmentsReader(fs, dir, fromLast), topic));
      }
      for (const spool of spools.values()) if (spool.next === undefined) await spool.advance();
      // Spools that were at their end are not asked again before the others are there too, or some time has passed.
      const until = performance.now() + POLL_MS;
      let first = firstOf(spools.values());
      if (first === undefined && !follow) return;
      while (first?.next !== undefined && performance.now() < until && !stopped()) {
        yield first.next;
        await first.advance();
        first = firstOf(spools.values());
      }
      if (first === undefined && follow) await sleep(POLL_MS, undefined, { signal }).catch(() => {});
    }
  } finally {
    for (const spool of spools.values()) await spool.close();
  }
}

function firstOf(spools: Iterable<WorkerSpool>): WorkerSpool | undefined {
  let first: WorkerSpool | undefined;
  for (const spool of spools) {
    if (spool.next === undefined) continue;
    if (first?.next === undefined || spool.next.persistedAtMs < first.next.persistedAtMs) first = spool;
  }
  return first;
}
