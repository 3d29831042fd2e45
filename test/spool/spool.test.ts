import assert from "node:assert/strict";
import test from "node:test";
import { Code, IngestError, Reason } from "../../src/errors.ts";
import { UNASSIGNED_PARTITION } from "../../src/ingest/producer.ts";
import { Spool } from "../../src/spool/spool.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { createMetrics, type Metrics } from "../../src/telemetry/metrics.ts";
import { batchOf, DIR, forwardNext, type Outcomes, settle, startSpool, stopSpool } from "./support/fixtures.ts";
import { ManualClock } from "./support/manual-clock.ts";
import { MemoryFileSystem } from "./support/memory-file-system.ts";

function faults(metrics: Metrics): Record<string, number> {
  const series = metrics.spoolErrors.snapshot().series.filter(([, value]) => value !== 0);
  return Object.fromEntries(series.map(([[kind], value]) => [kind!, value as number]));
}

function errorOf(outcomes: Outcomes, text: string): IngestError {
  const outcome = outcomes.all.get(text);
  assert.ok(outcome instanceof IngestError, `${text} failed`);
  return outcome;
}

test("a batch is stored when it is synced, and not before", async () => {
  const fs = new MemoryFileSystem();
  const { spool, append, outcomes } = await startSpool(fs);
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  fs.before = (operation) => (operation === "sync" ? held : undefined);
  append("a");
  assert.equal(outcomes.all.size, 0);
  await settle();
  assert.equal(fs.count("write"), 1);
  assert.equal(outcomes.all.size, 0);
  assert.equal(spool.backlog("clicks", 0), 1);
  release();
  await settle();
  assert.deepEqual(outcomes.stored_, ["a"]);
});

test("a batch is sent when the spool takes it, so that what it waits for is the disk", async () => {
  const { spool, outcomes, clock } = await startSpool(new MemoryFileSystem());
  await clock.advance(250);
  const batch = batchOf("a");
  spool.append(batch, outcomes);
  assert.equal(batch.sentAtMs, clock.monotonic());
});

test("batches that come while the disk is at work share the next write and sync", async () => {
  const fs = new MemoryFileSystem();
  const { append, outcomes } = await startSpool(fs);
  const release: (() => void)[] = [];
  fs.before = (operation) => (operation === "sync" ? new Promise((resolve) => release.push(resolve)) : undefined);
  append("0");
  await settle();
  for (let i = 1; i <= 1000; i++) append(String(i));
  await settle();
  assert.equal(release.length, 1);
  release[0]!();
  await settle();
  assert.equal(outcomes.all.size, 1);
  release[1]!();
  await settle();
  assert.equal(outcomes.stored_.length, 1001);
  assert.deepEqual(
    outcomes.order,
    Array.from({ length: 1001 }, (_, i) => String(i)),
  );
  assert.equal(fs.count("write"), 2);
  assert.equal(fs.count("sync"), 2);
});

test("a new segment's name is synced before its first batch is stored", async () => {
  const fs = new MemoryFileSystem();
  const { append, outcomes } = await startSpool(fs);
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  fs.before = (operation) => (operation === "syncDirectory" ? held : undefined);
  append("a");
  await settle();
  assert.equal(outcomes.all.size, 0);
  release();
  await settle();
  assert.equal(outcomes.all.size, 1);
});

test("after a restart the batches that were not forwarded are there, and only those", async () => {
  const first = await startSpool(new MemoryFileSystem());
  for (const text of ["a", "b", "c", "d"]) first.append(text);
  first.append("u", { partition: UNASSIGNED_PARTITION, count: 5 });
  first.append("x", { topic: "orders", partition: 3, count: 2 });
  await settle();
  forwardNext(first.spool);
  forwardNext(first.spool);
  await stopSpool(first);

  const second = await startSpool(first.fs.kill());
  assert.deepEqual(second.open(), ["u", "c", "d", "x"]);
  assert.deepEqual(
    second.spool.recoveredEvents,
    new Map([
      ["clicks", 7],
      ["orders", 2],
    ]),
  );
  assert.equal(second.spool.backlog("clicks", 0), 3);
  assert.equal(second.spool.backlog("clicks", 1), 1);
  assert.equal(second.spool.backlog("orders", 3), 2 - 1);
  assert.equal(second.metrics.eventsSpooled.with("clicks").value, 7);
  second.append("e");
  await settle();
  await stopSpool(second);
  const third = await startSpool(second.fs.kill());
  assert.deepEqual(third.open(), ["u", "c", "d", "e", "x"]);
});

test("a crash between forwarding and its marker sends a batch again, after the marker it does not", async () => {
  const first = await startSpool(new MemoryFileSystem());
  for (const text of ["a", "b", "c"]) first.append(text);
  await settle();
  forwardNext(first.spool);
  await first.clock.advance(1000);
  forwardNext(first.spool);
  const second = await startSpool(first.fs.kill());
  assert.deepEqual(second.open(), ["b", "c"]);
});

test("a marker that could not be written is written later", async () => {
  const first = await startSpool(new MemoryFileSystem());
  for (const text of ["a", "b"]) first.append(text);
  await settle();
  forwardNext(first.spool);
  first.fs.fail("write", /segment/, "EIO", 2);
  await first.clock.advance(500);
  assert.equal(first.fs.count("write"), 3);
  await first.clock.advance(500);
  const second = await startSpool(first.fs.kill());
  assert.deepEqual(second.open(), ["b"]);
});

test("markers go with the next group, and many share one entry", async () => {
  const { spool, append, fs } = await startSpool(new MemoryFileSystem());
  for (let i = 0; i < 500; i++) append(`batch ${i}`);
  await settle();
  for (let i = 0; i < 500; i++) forwardNext(spool);
  const before = fs.contents(`${DIR}/0000000001.segment`).length;
  append("next");
  await settle();
  assert.equal(fs.count("sync"), 2);
  const grown = fs.contents(`${DIR}/0000000001.segment`).length - before;
  assert.equal(grown, 24 + 18 + 6 + 4 + 24 + 500 * 8);
});

test("a spool that is drained and forwarded leaves no segment", async () => {
  const first = await startSpool(new MemoryFileSystem());
  for (const text of ["a", "b"]) first.append(text);
  await settle();
  forwardNext(first.spool);
  forwardNext(first.spool);
  await stopSpool(first);
  assert.deepEqual(first.fs.paths(), [`${DIR}/checkpoint`, `${DIR}/lock`]);
  assert.equal(first.metrics.spoolBytes.with().value, 0);
  const second = await startSpool(first.fs.kill());
  assert.deepEqual(second.open(), []);
  second.append("c");
  await settle();
  assert.deepEqual(second.outcomes.stored_, ["c"]);
  assert.ok(second.fs.paths().includes(`${DIR}/0000000002.segment`), "the ids of segments are never used twice");
});

test("a segment is deleted when all of it is forwarded, also one between others that are not", async () => {
  const first = await startSpool(new MemoryFileSystem(), { segmentBytes: 200 });
  first.append("stuck", { topic: "nowhere" });
  await settle();
  for (let i = 0; i < 20; i++) {
    first.append("x".repeat(150) + i);
    await settle();
  }
  const segments = () => first.fs.paths().filter((path) => path.endsWith(".segment")).length;
  assert.equal(segments(), 21 - 1);
  for (let i = 0; i < 20; i++) forwardNext(first.spool);
  await first.clock.advance(1000);
  assert.ok(segments() <= 3, `${segments()} segments are left`);
  // Markers of the first segment went with the segments that held them; the checkpoint knows.
  const second = await startSpool(first.fs.kill());
  assert.deepEqual(second.open(), ["stuck"]);
});

test("beyond SPOOL_BYTES_MAX a batch is refused, and what is forwarded makes room again", async () => {
  const { spool, append, outcomes, clock, metrics } = await startSpool(new MemoryFileSystem(), { bytesMax: 1000 });
  append("a".repeat(400));
  append("b".repeat(400));
  append("c".repeat(400));
  await settle();
  const refused = errorOf(outcomes, "c".repeat(400));
  assert.equal(refused.code, Code.RESOURCE_EXHAUSTED);
  assert.equal(refused.retryable, true);
  assert.equal(refused.reason, Reason.UNAVAILABLE);
  assert.match(refused.message, /SPOOL_BYTES_MAX/);
  assert.match(spool.health().problems.join(), /full/);
  assert.equal(spool.backlog("clicks", 0), 2);
  forwardNext(spool);
  forwardNext(spool);
  await clock.advance(1000);
  append("d".repeat(400));
  await settle();
  assert.equal(outcomes.all.get("d".repeat(400)), "stored");
  assert.deepEqual(spool.health().problems, []);
  assert.equal(metrics.spoolBytesLimit.with().value, 1000);
});

test("a full spool says when to come back: when the segments in the way will be done, at the recent rate", async () => {
  const text = (i: number) => String(i).padEnd(39_000, "x");
  // A segment is a quarter of the cap: 100,000 bytes.
  const { spool, append, outcomes, clock } = await startSpool(new MemoryFileSystem(), { bytesMax: 400_000 });
  for (let i = 0; i < 10; i++) {
    append(text(i));
    await settle();
  }
  append(text(10));
  await settle();
  const delayOf = (i: number) => errorOf(outcomes, text(i)).retryDelayMs!;
  assert.ok(delayOf(10) >= 100 && delayOf(10) <= 150, "nothing is known of the rate yet");
  // Not as much as lets a segment go.
  for (let i = 0; i < 2; i++) {
    await clock.advance(1_000);
    forwardNext(spool);
  }
  append(text(11));
  await settle();
  const expected = 100_000 / 39;
  assert.ok(delayOf(11) > expected * 0.79 && delayOf(11) < expected * 1.21, `${delayOf(11)} ms`);
  assert.equal(spool.refusal(1), undefined);
  assert.equal(spool.refusal(39_000)?.code, Code.RESOURCE_EXHAUSTED);
  assert.equal(spool.refusal(400_001), undefined, "it would never fit in one piece");
  await clock.advance(20_000);
  append(text(12));
  await settle();
  assert.ok(delayOf(12) >= 15_000 && delayOf(12) <= 25_000, `${delayOf(12)} ms after 20 s without progress`);
});
for (const operation of ["remove", "rename"] as const) {
  test(`a full spool whose done segments could not be deleted (${operation} failed) gets free by itself`, async () => {
    const options = { bytesMax: 1100, segmentBytes: 400 };
    const { spool, append, outcomes, clock, fs } = await startSpool(new MemoryFileSystem(), options);
    append("a".repeat(400));
    await settle();
    append("b".repeat(400));
    await settle();
    fs.fail(operation, /segment$|checkpoint.tmp$/, "EIO", 4);
    forwardNext(spool);
    forwardNext(spool);
    await clock.advance(1000);
    append("c".repeat(400));
    await settle();
    assert.equal(errorOf(outcomes, "c".repeat(400)).code, Code.RESOURCE_EXHAUSTED);
    await clock.advance(10_000);
    append("d".repeat(400));
    await settle();
    assert.equal(outcomes.all.get("d".repeat(400)), "stored");
  });
}

test("a full disk refuses with RESOURCE_EXHAUSTED, and nothing of what it refused is ever stored", async () => {
  const first = await startSpool(new MemoryFileSystem());
  first.append("a");
  await settle();
  first.fs.capacity = first.fs.contents(`${DIR}/0000000001.segment`).length + 30;
  first.append("b".repeat(500));
  await settle();
  const refused = errorOf(first.outcomes, "b".repeat(500));
  assert.equal(refused.code, Code.RESOURCE_EXHAUSTED);
  assert.equal(refused.retryable, true);
  assert.match(first.spool.health().problems.join(), /full/);
  assert.equal(first.spool.backlog("clicks", 0), 1);
  // For a moment it is refused without a try.
  const writes = first.fs.count("write");
  first.append("c");
  await settle();
  assert.equal(errorOf(first.outcomes, "c").code, Code.RESOURCE_EXHAUSTED);
  assert.equal(first.fs.count("write"), writes);
  first.fs.capacity = Infinity;
  await first.clock.advance(1000);
  first.append("d");
  await settle();
  assert.equal(first.outcomes.all.get("d"), "stored");
  assert.deepEqual(first.spool.health().problems, []);
  const second = await startSpool(first.fs.kill());
  assert.deepEqual(second.open(), ["a", "d"]);
  assert.deepEqual(faults(second.metrics), {});
});

test("on a full disk what is forwarded still makes room", async () => {
  const { spool, append, fs, clock, outcomes } = await startSpool(new MemoryFileSystem(), { segmentBytes: 400 });
  for (let i = 0; i < 4; i++) {
    append("x".repeat(400) + i);
    await settle();
  }
  fs.capacity = fs.paths().reduce((sum, path) => sum + fs.contents(path).length, 0);
  append("no");
  await settle();
  assert.equal(errorOf(outcomes, "no").code, Code.RESOURCE_EXHAUSTED);
  for (let i = 0; i < 4; i++) forwardNext(spool);
  await clock.advance(2000);
  append("yes");
  await settle();
  assert.equal(outcomes.all.get("yes"), "stored");
});

test("after a failed sync the group goes to a new segment; the sync is not tried again", async () => {
  const first = await startSpool(new MemoryFileSystem());
  first.append("a");
  await settle();
  first.fs.fail("sync", /0000000001/, "EIO", Infinity);
  first.append("b");
  first.append("c");
  await settle();
  assert.deepEqual(first.outcomes.stored_, ["a", "b", "c"]);
  assert.equal(first.fs.count("sync"), 3, "once for a, once in vain, once for the new segment");
  assert.ok(faults(first.metrics)["sync"]! >= 1);
  first.append("d");
  await settle();
  const second = await startSpool(first.fs.kill());
  assert.deepEqual(second.open(), ["a", "b", "c", "d"]);
});

test("when two segments in a row fail to sync, nobody knows: UNAVAILABLE", async () => {
  const first = await startSpool(new MemoryFileSystem());
  first.append("a");
  await settle();
  first.fs.fail("sync", /segment/, "EIO", Infinity);
  first.append("b");
  await settle();
  assert.equal(errorOf(first.outcomes, "b").code, Code.UNAVAILABLE);
  assert.equal(errorOf(first.outcomes, "b").retryable, true);
  assert.match(errorOf(first.outcomes, "b").message, /stored or not/);
  assert.equal(first.spool.backlog("clicks", 0), 1);
  assert.match(first.spool.health().problems.join(), /EIO/);
  first.fs.heal();
  first.append("c");
  await settle();
  const second = await startSpool(first.fs.kill());
  assert.deepEqual(second.open(), ["a", "c"]);
});

test("a segment that can be neither cut nor removed after a failure does not bring back what was not stored", async () => {
  const first = await startSpool(new MemoryFileSystem());
  first.append("a");
  await settle();
  first.fs.fail("sync", /segment/, "EIO", 2);
  first.fs.fail("truncate", /segment/, "EIO", Infinity);
  first.fs.fail("remove", /segment/, "EIO", Infinity);
  first.append("b");
  await settle();
  assert.equal(errorOf(first.outcomes, "b").code, Code.UNAVAILABLE);
  first.fs.heal();
  first.append("c");
  await settle();
  assert.deepEqual(first.outcomes.stored_, ["a", "c"]);
  const second = await startSpool(first.fs.kill());
  assert.deepEqual(second.open(), ["a", "c"]);
});

test("what is left of a segment that could not be written is no loss of what was done before it", async () => {
  const first = await startSpool(new MemoryFileSystem(), { segmentBytes: 100 });
  first.append("a");
  await settle();
  forwardNext(first.spool);
  await first.clock.advance(2000);
  first.fs.fail("write", /0000000002|0000000003/, "EIO", 2);
  first.fs.fail("remove", /0000000002|0000000003/, "EIO", 2);
  first.append("b");
  await settle();
  first.append("c");
  await settle();
  const second = await startSpool(first.fs.kill());
  assert.deepEqual(second.open(), first.outcomes.stored_.slice(1));
  assert.equal(faults(second.metrics)["lost"], undefined);
});

test("a spool whose directories were created by a process that died before they were synced survives a power cut", async () => {
  const born = new MemoryFileSystem();
  born.before = (operation) => (operation === "syncDirectory" ? new Promise(() => {}) : undefined);
  void startSpool(born);
  await settle();
  const first = await startSpool(born.kill());
  first.append("a");
  await settle();
  assert.equal(first.outcomes.all.get("a"), "stored");
  const second = await startSpool(first.fs.cutPower(() => 0.9));
  assert.deepEqual(second.open(), ["a"]);
});

test("a second spool on the same directory is refused, and the first goes on", async () => {
  const first = await startSpool(new MemoryFileSystem());
  const dependencies = { log: silentLogger(), metrics: createMetrics(), clock: new ManualClock(), fs: first.fs };
  const second = new Spool(dependencies, { dir: DIR, bytesMax: 1e9, segmentBytes: 1e6 });
  await assert.rejects(second.start(), (error: unknown) => {
    assert.ok(error instanceof IngestError);
    assert.equal(error.code, Code.FAILED_PRECONDITION);
    assert.match(error.message, /\/data\/spool\/worker-0/);
    assert.match(error.message, /stop the other|DATA_DIR/);
    return true;
  });
  await second.dispose();
  first.append("a");
  await settle();
  assert.deepEqual(first.outcomes.stored_, ["a"]);
  await stopSpool(first);
  const third = await startSpool(first.fs);
  assert.deepEqual(third.open(), ["a"]);
});

test("a directory that cannot be created is one clear error", async () => {
  const fs = new MemoryFileSystem();
  fs.fail("makeDirectory", /./, "EACCES");
  await assert.rejects(startSpool(fs), /cannot work in \/data\/spool\/worker-0: EACCES.*DATA_DIR/);
});

test("whoever waits for a partition is told when its last batch is forwarded, and when those without a partition are", async () => {
  const { spool, append } = await startSpool(new MemoryFileSystem());
  const caughtUp: string[] = [];
  spool.onDone((topic, partition) => {
    if (spool.backlogs.topic(topic).lane(partition).backlog === 0) caughtUp.push(`${topic} ${partition}`);
  });
  append("u", { partition: UNASSIGNED_PARTITION });
  append("a");
  append("b");
  append("c", { partition: 1 });
  await settle();
  assert.equal(spool.backlog("clicks", 0), 3);
  assert.equal(spool.backlog("clicks", 7), 1);
  assert.equal(spool.backlog("orders", 0), 0);
  forwardNext(spool, "clicks", UNASSIGNED_PARTITION);
  assert.deepEqual(caughtUp, ["clicks -1"]);
  forwardNext(spool);
  assert.deepEqual(caughtUp, ["clicks -1"]);
  forwardNext(spool);
  forwardNext(spool, "clicks", 1);
  assert.deepEqual(caughtUp, ["clicks -1", "clicks 0", "clicks 1"]);
  assert.equal(spool.backlog("clicks", 0), 0);
  append("d");
  append("v", { partition: UNASSIGNED_PARTITION });
  await settle();
  forwardNext(spool);
  assert.equal(spool.isDone("clicks", 0, 0), false, "batches without a partition are still in the way");
  forwardNext(spool, "clicks", UNASSIGNED_PARTITION);
  assert.equal(spool.isDone("clicks", 0, 0), true);
  assert.deepEqual(caughtUp.slice(3), ["clicks 0", "clicks -1"]);
});

test("a batch that fails to be stored leaves the backlog, and whoever waits is told", async () => {
  const { spool, append, fs } = await startSpool(new MemoryFileSystem());
  const caughtUp: number[] = [];
  spool.onDone((_, partition) => caughtUp.push(partition));
  fs.fail("write", /segment/, "EIO", 2);
  append("a");
  assert.equal(spool.backlog("clicks", 0), 1);
  await settle();
  assert.equal(spool.backlog("clicks", 0), 0);
  assert.deepEqual(caughtUp, [0]);
});

test("the ledger balances at every step: persisted + recovered = forwarded + dead-lettered + spooled", async () => {
  const first = await startSpool(new MemoryFileSystem());
  const balanced = (fixture: typeof first, persisted: number) => {
    const { metrics, spool } = fixture;
    const done = metrics.eventsForwarded.with("clicks").value + metrics.eventsDeadLettered.with("clicks").value;
    const recovered = spool.recoveredEvents.get("clicks") ?? 0;
    assert.equal(persisted + recovered, done + metrics.eventsSpooled.with("clicks").value);
  };
  for (const count of [3, 5, 7]) first.append(`${count}`, { count });
  balanced(first, 0);
  await settle();
  balanced(first, 15);
  forwardNext(first.spool);
  balanced(first, 15);
  const lane = first.spool.backlogs.topic("clicks").lane(0);
  const entry = lane.peek()!;
  first.spool.deadLettered(lane, lane.take(), entry, 2);
  balanced(first, 15);
  assert.equal(first.metrics.eventsForwarded.with("clicks").value, 6);
  assert.equal(first.metrics.eventsDeadLettered.with("clicks").value, 2);
  await stopSpool(first);
  const second = await startSpool(first.fs.kill());
  balanced(second, 0);
  assert.equal(second.spool.recoveredEvents.get("clicks"), 7);
});

test("the age of the oldest batch is what the metric shows", async () => {
  const { spool, append, clock, metrics } = await startSpool(new MemoryFileSystem());
  append("a");
  await settle();
  await clock.advance(10_000);
  append("b");
  await settle();
  await clock.advance(5000);
  assert.ok(Math.abs(metrics.spoolOldest.with().value - 15) <= 1);
  forwardNext(spool);
  await clock.advance(1000);
  assert.ok(Math.abs(metrics.spoolOldest.with().value - 6) <= 1);
  forwardNext(spool);
  await clock.advance(1000);
  assert.equal(metrics.spoolOldest.with().value, 0);
});

test("what is appended before the start or after the drain is refused, retryable", async () => {
  const fixture = await startSpool(new MemoryFileSystem());
  await stopSpool(fixture);
  fixture.append("late");
  await settle();
  assert.equal(errorOf(fixture.outcomes, "late").code, Code.UNAVAILABLE);
  assert.equal(errorOf(fixture.outcomes, "late").retryable, true);
  const dependencies = { log: silentLogger(), metrics: createMetrics(), clock: new ManualClock(), fs: fixture.fs };
  const early = new Spool(dependencies, { dir: "/other", bytesMax: 1e9, segmentBytes: 1e6 });
  early.append(batchOf("early"), fixture.outcomes);
  await settle();
  assert.equal(errorOf(fixture.outcomes, "early").code, Code.UNAVAILABLE);
  await early.drain(0);
  await early.dispose();
});

test("drain waits for the group under way, but not beyond its deadline; dispose settles every batch", async () => {
  const { spool, append, fs, clock, outcomes } = await startSpool(new MemoryFileSystem());
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  fs.before = (operation) => (operation === "sync" ? held : undefined);
  append("a");
  await settle();
  append("b");
  let drained = false;
  const draining = spool.drain(clock.now() + 5000).then(() => (drained = true));
  await settle();
  assert.equal(drained, false);
  await clock.advance(5000);
  await draining;
  const disposing = spool.dispose();
  release();
  await disposing;
  assert.equal(outcomes.all.get("a"), "stored");
  assert.equal(errorOf(outcomes, "b").code, Code.UNAVAILABLE);
});

test("a directory that is removed under the service stops it from acknowledging", async () => {
  const { spool, append, fs, clock, outcomes, metrics } = await startSpool(new MemoryFileSystem());
  append("a");
  await settle();
  for (const path of fs.paths()) await fs.remove(path);
  await clock.advance(1000);
  append("b");
  await settle();
  assert.equal(errorOf(outcomes, "b").code, Code.UNAVAILABLE);
  assert.match(spool.health().problems.join(), /removed/);
  assert.equal(faults(metrics)["directory"], 1);
});

test("spools of workers that are gone are drained with the own one, and come first", async () => {
  const orphan = "/data/spool/worker-3";
  const first = await startSpool(new MemoryFileSystem(), { dir: orphan });
  first.append("old 1");
  first.append("old 2");
  await settle();
  const second = await startSpool(first.fs.kill());
  second.append("own");
  await settle();
  const third = await startSpool(second.fs.kill(), { adopt: [orphan] });
  assert.deepEqual(third.open().sort(), ["old 1", "old 2", "own"]);
  assert.equal(third.spool.recoveredEvents.get("clicks"), 3);
  for (let i = 0; i < 3; i++) forwardNext(third.spool);
  await stopSpool(third);
  assert.deepEqual(
    third.fs.paths().filter((path) => path.endsWith(".segment")),
    [],
  );
});

test("a spool that another process still holds is adopted when it lets go", async () => {
  const orphan = "/data/spool/worker-1";
  const fs = new MemoryFileSystem();
  const old = await startSpool(fs, { dir: orphan });
  old.append("old");
  await settle();
  const own = await startSpool(fs, { adopt: [orphan] });
  assert.match(own.spool.health().problems.join(), /worker-1/);
  const readable: string[] = [];
  own.spool.onReadable((lane) => readable.push(lane.topic));
  await stopSpool(old);
  await own.clock.advance(10_000);
  assert.deepEqual(own.spool.health().problems, []);
  assert.deepEqual(own.open(), ["old"]);
  assert.deepEqual(readable, ["clicks"]);
  assert.equal(own.metrics.eventsRecovered.with("clicks").value, 1, "nobody else counts what comes after the start");
});
