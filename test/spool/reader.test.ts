import assert from "node:assert/strict";
import test from "node:test";
import { UNASSIGNED_PARTITION } from "../../src/ingest/producer.ts";
import { spoolDirectories } from "../../src/spool/directories.ts";
import { readSpool, type ReadSpoolOptions, type SpooledBatch } from "../../src/spool/reader.ts";
import { forwardNext, settle, startSpool } from "./support/fixtures.ts";
import { ManualClock } from "./support/manual-clock.ts";
import { MemoryFileSystem } from "./support/memory-file-system.ts";

const worker = (index: number) => ({ dir: `/data/spool/worker-${index}` });

async function read(fs: MemoryFileSystem, options: Partial<ReadSpoolOptions> = {}): Promise<SpooledBatch[]> {
  const batches: SpooledBatch[] = [];
  for await (const batch of readSpool({ dataDir: "/data", ...options }, fs)) batches.push(batch);
  return batches;
}

const texts = (batches: SpooledBatch[]) => batches.map(({ bytes }) => bytes.toString());

test("a reader beside the running service sees what is stored, over all workers, in the order of persisting", async () => {
  const fs = new MemoryFileSystem();
  const clock = new ManualClock();
  const a = await startSpool(fs, worker(0), clock);
  const b = await startSpool(fs, { ...worker(1), segmentBytes: 100 }, clock);
  const persistedAtMs = clock.now();
  for (let i = 0; i < 6; i++) {
    (i % 2 === 0 ? a : b).append(`batch ${i}`, { count: i + 1, partition: i - 1, topic: i < 4 ? "clicks" : "orders" });
    await settle();
    await clock.advance(10);
  }
  const all = await read(fs);
  assert.deepEqual(texts(all), ["batch 0", "batch 1", "batch 2", "batch 3", "batch 4", "batch 5"]);
  assert.deepEqual(all[0], {
    worker: 0,
    topic: "clicks",
    partition: UNASSIGNED_PARTITION,
    persistedAtMs,
    count: 1,
    bytes: Buffer.from("batch 0"),
  });
  assert.equal(all[1]!.worker, 1);
  assert.deepEqual(texts(await read(fs, { topic: "orders" })), ["batch 4", "batch 5"]);
});

test("a reader stops at a torn tail and passes over damage, and changes nothing", async () => {
  const fs = new MemoryFileSystem();
  const { append } = await startSpool(fs, worker(0));
  for (const text of ["one", "two", "three", "four"]) {
    append(text);
    await settle();
  }
  const path = "/data/spool/worker-0/0000000001.segment";
  fs.damage(path, (bytes) => {
    bytes[bytes.indexOf("two")] = 0;
    return bytes.subarray(0, bytes.length - 2);
  });
  const before = Buffer.from(fs.contents(path));
  assert.deepEqual(texts(await read(fs)), ["one", "three"]);
  assert.deepEqual(fs.contents(path), before);
});

test("without a spool there is nothing to read, and that is no error", async () => {
  assert.deepEqual(await read(new MemoryFileSystem()), []);
});

test("a follower sees what comes later, over new segments and new workers, until its signal", async () => {
  const fs = new MemoryFileSystem();
  const a = await startSpool(fs, { ...worker(0), segmentBytes: 100 });
  a.append("before");
  await settle();
  const ended = new AbortController();
  const seen: string[] = [];
  const following = (async () => {
    for await (const { bytes } of readSpool({ dataDir: "/data", follow: true, signal: ended.signal }, fs)) {
      seen.push(bytes.toString());
      if (seen.length === 7) ended.abort();
    }
  })();
  for (let i = 0; i < 5; i++) {
    a.append(`later ${i}`);
    await settle();
    // Trimmed under the reader's eyes.
    if (i === 1) forwardNext(a.spool);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  const b = await startSpool(fs, worker(1));
  b.append("new worker");
  await following;
  assert.deepEqual(seen, ["before", "later 0", "later 1", "later 2", "later 3", "later 4", "new worker"]);
});

test("the spool of a worker that is gone is adopted by exactly one of those that are left", async () => {
  const fs = new MemoryFileSystem();
  for (const index of [0, 1, 2, 5, 10]) await fs.makeDirectory(`/data/spool/worker-${index}`);
  await fs.makeDirectory("/data/dead-letters/worker-2");
  await fs.makeDirectory("/data/spool/worker-07");
  await fs.makeDirectory("/data/spool/other");
  const dirs = await Promise.all([0, 1].map((index) => spoolDirectories("/data", index, 2, fs)));
  assert.deepEqual(dirs, [
    {
      own: "/data/spool/worker-0",
      adopted: ["/data/spool/worker-2", "/data/spool/worker-10"],
      deadLetters: "/data/dead-letters/worker-0",
      adoptedDeadLetters: ["/data/dead-letters/worker-2"],
    },
    {
      own: "/data/spool/worker-1",
      adopted: ["/data/spool/worker-5"],
      deadLetters: "/data/dead-letters/worker-1",
      adoptedDeadLetters: [],
    },
  ]);
  assert.deepEqual((await spoolDirectories("/data", 3, 16, fs)).adopted, []);
  assert.deepEqual((await spoolDirectories("/nowhere", 0, 1, fs)).adopted, []);
});

test("a reader of the last segments alone leaves out what lies in earlier ones, and follows from there", async () => {
  const fs = new MemoryFileSystem();
  const a = await startSpool(fs, { ...worker(0), segmentBytes: 100 });
  for (let i = 0; i < 6; i++) {
    a.append(`batch ${i}`);
    await settle();
  }
  const all = texts(await read(fs));
  const last = texts(await read(fs, { fromLast: true }));
  assert.ok(last.length > 0 && last.length < all.length, last.join());
  assert.deepEqual(last, all.slice(-last.length));

  const ended = new AbortController();
  const seen: string[] = [];
  const options = { dataDir: "/data", follow: true, fromLast: true, signal: ended.signal };
  const following = (async () => {
    for await (const { bytes } of readSpool(options, fs)) {
      seen.push(bytes.toString());
      if (seen.length === last.length + 4) ended.abort();
    }
  })();
  for (let i = 0; i < 4; i++) {
    a.append(`later ${i}`);
    await settle();
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  await following;
  assert.deepEqual(seen, [...last, "later 0", "later 1", "later 2", "later 3"]);
});
