import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { encodeBatchHead, EntryType } from "../../src/spool/entries.ts";
import { SegmentLog } from "../../src/spool/segment-log.ts";
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES, SegmentKind } from "../../src/spool/segment.ts";
import type { SegmentState } from "../../src/spool/segment-state.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { createMetrics, type Metrics } from "../../src/telemetry/metrics.ts";
import { crc32c } from "../../src/wire/crc32c.ts";
import {
  DIR,
  forwardNext,
  seeded,
  settle,
  slowly,
  type SpoolFixture,
  startSpool,
  stopSpool,
} from "./support/fixtures.ts";
import { ManualClock } from "./support/manual-clock.ts";
import { MemoryFileSystem } from "./support/memory-file-system.ts";

const FIRST = `${DIR}/0000000001.segment`;

function faults(metrics: Metrics): Record<string, number> {
  const series = metrics.spoolErrors.snapshot().series.filter(([, value]) => value !== 0);
  return Object.fromEntries(series.map(([[kind], value]) => [kind!, value as number]));
}

/** Appends each text in a group of its own. @returns where each entry ends in its segment. */
async function appendEach(fixture: SpoolFixture, texts: readonly string[], path = FIRST): Promise<number[]> {
  const ends: number[] = [];
  for (const text of texts) {
    fixture.append(text);
    await settle(5);
    ends.push(fixture.fs.contents(path).length);
  }
  return ends;
}

test("a tail that is torn at any byte is cut, what lies before it is served, and the spool goes on", async () => {
  const original = await startSpool(new MemoryFileSystem());
  const texts = ["one", "two", "three", "four"];
  const ends = await appendEach(original, texts);
  const whole = Buffer.from(original.fs.contents(FIRST));
  for (let size = ends[1]!; size < whole.length; size++) {
    const fs = original.fs.kill();
    fs.damage(FIRST, () => Buffer.from(whole.subarray(0, size)));
    const torn = await startSpool(fs);
    const kept = texts.filter((_, i) => ends[i]! <= size);
    assert.deepEqual(torn.open(), kept, `cut at ${size}`);
    assert.equal(fs.contents(FIRST).length, ends[kept.length - 1]);
    assert.deepEqual(faults(torn.metrics), ends.includes(size) ? {} : { torn_tail: 1 }, `cut at ${size}`);
    torn.append("after");
    await settle(5);
    const again = await startSpool(fs.kill());
    assert.deepEqual(again.open(), [...kept, "after"]);
    assert.deepEqual(faults(again.metrics), {});
  }
});

test("a segment that is torn within its header or its first entry is no segment", async () => {
  const original = await startSpool(new MemoryFileSystem());
  const [end] = await appendEach(original, ["one"]);
  const whole = Buffer.from(original.fs.contents(FIRST));
  for (let size = 0; size < end!; size++) {
    const fs = original.fs.kill();
    fs.damage(FIRST, () => Buffer.from(whole.subarray(0, size)));
    const torn = await startSpool(fs);
    assert.deepEqual(torn.open(), []);
    torn.append("after");
    await settle(5);
    const again = await startSpool(fs.kill());
    assert.deepEqual(again.open(), ["after"]);
  }
});

test("garbage behind the last entry is cut like a torn tail, whatever it holds", async () => {
  const original = await startSpool(new MemoryFileSystem());
  await appendEach(original, ["one", "two"]);
  const whole = Buffer.from(original.fs.contents(FIRST));
  const copy = whole.subarray(SEGMENT_HEADER_BYTES);
  for (const garbage of [Buffer.alloc(5000), Buffer.from("x".repeat(333)), Buffer.alloc(23, 255), copy]) {
    const fs = original.fs.kill();
    fs.damage(FIRST, (bytes) => Buffer.concat([bytes, garbage]));
    const { open, metrics } = await startSpool(fs);
    assert.deepEqual(open(), ["one", "two"]);
    assert.deepEqual(faults(metrics), { torn_tail: 1 });
    assert.equal(fs.contents(FIRST).length, whole.length);
    fs.damage(FIRST, () => Buffer.from(whole));
  }
});

test("any damaged byte in the middle costs the batch it lies in, and no other; it is kept aside and counted", async () => {
  const original = await startSpool(new MemoryFileSystem());
  const texts = ["one", "two", "three", "four"];
  const ends = await appendEach(original, texts);
  const whole = Buffer.from(original.fs.contents(FIRST));
  for (let at = ends[0]!; at < ends[2]!; at++) {
    const fs = original.fs.kill();
    fs.damage(FIRST, () => {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 0x40;
      return bytes;
    });
    const damaged = await startSpool(fs);
    const victim = at < ends[1]! ? 1 : 2;
    assert.deepEqual(
      damaged.open(),
      texts.filter((_, i) => i !== victim),
    );
    assert.deepEqual(faults(damaged.metrics), { corrupt: 1 }, `byte ${at}`);
    const copies = fs.paths().filter((path) => path.includes("/quarantine/"));
    assert.deepEqual(copies, [`${DIR}/quarantine/0000000001.segment-${ends[victim - 1]}-${ends[victim]}`]);
    assert.equal(fs.contents(copies[0]!).length, ends[victim]! - ends[victim - 1]!);
    assert.equal(fs.contents(copies[0]!)[at - ends[victim - 1]!], whole[at]! ^ 0x40);
    // The next start passes over the same place and does not tell it again.
    const again = await startSpool(fs.kill());
    assert.deepEqual(again.open(), damaged.open());
    assert.deepEqual(faults(again.metrics), {});
  }
});

test("damage over several entries, and a hole of zeros, cost just those entries", async () => {
  const original = await startSpool(new MemoryFileSystem());
  const texts = Array.from({ length: 10 }, (_, i) => `batch ${i} `.repeat(50));
  const ends = await appendEach(original, texts);
  original.fs.damage(FIRST, (bytes) => bytes.fill(0, ends[2]! - 10, ends[5]! + 10));
  const { open, metrics } = await startSpool(original.fs.kill());
  assert.deepEqual(open(), [...texts.slice(0, 2), ...texts.slice(7)]);
  assert.deepEqual(faults(metrics), { corrupt: 1 });
});

test("a damaged segment header costs nothing: the entries are read all the same", async () => {
  for (let at = 0; at < SEGMENT_HEADER_BYTES; at += 3) {
    const original = await startSpool(new MemoryFileSystem(), { segmentBytes: 100 });
    original.append("one");
    await settle(5);
    original.append("two");
    await settle(5);
    original.fs.damage(FIRST, (bytes) => {
      bytes[at]! ^= 0xff;
      return bytes;
    });
    const { open, metrics } = await startSpool(original.fs.kill());
    assert.deepEqual(open(), ["one", "two"]);
    assert.deepEqual(faults(metrics), { corrupt: 1 });
  }
});

test("the header of the only segment is damaged, and nothing else knows the spool's id", async () => {
  const original = await startSpool(new MemoryFileSystem());
  await appendEach(original, ["one", "two"]);
  original.fs.damage(FIRST, (bytes) => bytes.fill(0xaa, 0, SEGMENT_HEADER_BYTES));
  const second = await startSpool(original.fs.kill());
  assert.deepEqual(second.open(), ["one", "two"]);
  await appendEach(second, ["three"], `${DIR}/0000000002.segment`);
  const third = await startSpool(second.fs.kill());
  assert.deepEqual(third.open(), ["one", "two", "three"]);
});

test("an end that had been synced and is gone is told as a loss, not as a torn tail", async () => {
  const first = await startSpool(new MemoryFileSystem());
  const ends = await appendEach(first, ["one", "two", "three"]);
  await stopSpool(first);
  first.fs.damage(FIRST, (bytes) => bytes.subarray(0, ends[1]! + 7));
  const second = await startSpool(first.fs.kill());
  assert.deepEqual(second.open(), ["one", "two"]);
  assert.deepEqual(faults(second.metrics), { corrupt: 1, lost: 1 });
});

test("a segment that vanished is told as a loss, and the others are served", async () => {
  const first = await startSpool(new MemoryFileSystem(), { segmentBytes: 100 });
  for (const text of ["one", "two", "three"]) {
    first.append(text);
    await settle(5);
  }
  await stopSpool(first);
  const fs = first.fs.kill();
  await fs.remove(`${DIR}/0000000002.segment`);
  const second = await startSpool(fs);
  assert.deepEqual(second.open(), ["one", "three"]);
  assert.deepEqual(faults(second.metrics), { lost: 1 });
});

test("a damaged checkpoint costs duplicates, not batches", async () => {
  const first = await startSpool(new MemoryFileSystem(), { segmentBytes: 100 });
  for (const text of ["one", "two", "three"]) {
    first.append(text);
    await settle(5);
  }
  forwardNext(first.spool);
  await first.clock.advance(1000);
  await stopSpool(first);
  first.fs.damage(`${DIR}/checkpoint`, (bytes) => bytes.fill(7, 20, 30));
  const second = await startSpool(first.fs.kill());
  assert.deepEqual(second.open(), ["two", "three"]);
  assert.equal(faults(second.metrics)["checkpoint"], 1);
  assert.equal(faults(second.metrics)["lost"], undefined);
});

test("a segment of another spool is moved aside, not mixed in", async () => {
  const other = await startSpool(new MemoryFileSystem());
  await appendEach(other, ["foreign"]);
  const bytes = Buffer.from(other.fs.contents(FIRST));
  const own = await startSpool(new MemoryFileSystem(), { segmentBytes: 100 });
  await appendEach(own, ["one"]);
  own.append("two");
  await settle(5);
  const fs = own.fs.kill();
  fs.damage(`${DIR}/0000000002.segment`, () => bytes);
  const second = await startSpool(fs);
  assert.deepEqual(second.open(), ["one"]);
  assert.equal(faults(second.metrics)["foreign"], 1);
  assert.deepEqual(fs.contents(`${DIR}/quarantine/0000000002.segment`), bytes);
});

test("a newer format stops the start and is not touched", async () => {
  const first = await startSpool(new MemoryFileSystem());
  await appendEach(first, ["one"]);
  first.fs.damage(FIRST, (bytes) => {
    bytes.writeUInt16BE(9, 8);
    bytes.writeUInt32BE(crc32c(bytes.subarray(0, 60)), 60);
    return bytes;
  });
  const before = Buffer.from(first.fs.contents(FIRST));
  const fs = first.fs.kill();
  await assert.rejects(startSpool(fs), /format 9.*reads 1.*Run the version that wrote it/);
  assert.deepEqual(fs.contents(FIRST), before);
  // The lock is free again.
  fs.damage(FIRST, () => Buffer.alloc(0));
  await startSpool(fs);
});

test("a block that the disk cannot read costs the batches in it, and no others", async () => {
  const first = await startSpool(new MemoryFileSystem());
  const texts = Array.from({ length: 40 }, (_, i) => `${i} `.repeat(200));
  await appendEach(first, texts);
  const fs = first.fs.kill();
  const open = fs.open.bind(fs);
  fs.open = async (path, mode) => {
    const file = await open(path, mode);
    const read = file.read.bind(file);
    file.read = async (buffer, position) => {
      if (path === FIRST && position < 12288 && position + buffer.length > 8192) {
        throw Object.assign(new Error("EIO"), { code: "EIO" });
      }
      return read(buffer, position);
    };
    return file;
  };
  const second = await startSpool(fs);
  const left = second.open();
  assert.ok(left.length > 20 && left.length < 40, `${left.length} are left`);
  assert.equal(faults(second.metrics)["corrupt"], 1);
});

test("a group that was written twice is there once, also when the second segment's header is damaged", async () => {
  const first = await startSpool(new MemoryFileSystem());
  await appendEach(first, ["one"]);
  first.fs.fail("sync", /0000000001/, "EIO");
  first.fs.fail("truncate", /0000000001/, "EIO");
  first.append("two");
  first.append("three");
  await settle();
  assert.deepEqual(first.outcomes.stored_, ["one", "two", "three"]);
  assert.ok(first.fs.contents(FIRST).includes("three"), "it is left in the first segment too");
  const left = Buffer.from(first.fs.contents(FIRST));
  const whole = await startSpool(first.fs.kill());
  assert.deepEqual(whole.open(), ["one", "two", "three"]);
  const fs = whole.fs.kill();
  fs.damage(FIRST, () => left);
  fs.damage(`${DIR}/0000000002.segment`, (bytes) => bytes.fill(0xaa, 0, SEGMENT_HEADER_BYTES));
  const damaged = await startSpool(fs);
  assert.deepEqual(damaged.open(), ["one", "two", "three"]);
});

test("a segment that was done and could not be deleted is deleted at the next start, and nothing of it comes back", async () => {
  const first = await startSpool(new MemoryFileSystem(), { segmentBytes: 100 });
  for (const text of ["one", "two"]) {
    first.append(text);
    await settle(5);
  }
  first.fs.fail("remove", /segment/, "EIO", Infinity);
  forwardNext(first.spool);
  await settle();
  assert.ok(first.fs.paths().includes(FIRST));
  const fs = first.fs.kill();
  const second = await startSpool(fs);
  assert.deepEqual(second.open(), ["two"]);
  assert.ok(!fs.paths().includes(FIRST));
});

test("what a start has taken over survives a power cut right after it, even if it was never synced before", async () => {
  const first = await startSpool(new MemoryFileSystem());
  first.fs.before = (operation) => (operation === "sync" ? new Promise<void>(() => {}) : undefined);
  first.append("a");
  await settle();
  assert.equal(first.outcomes.all.size, 0);
  const second = await startSpool(first.fs.kill());
  assert.deepEqual(second.open(), ["a"]);
  // Nothing of what was not synced is left.
  const third = await startSpool(second.fs.cutPower(() => 0));
  assert.deepEqual(third.open(), ["a"]);
});

test("what a client puts into its events is never taken for an entry", async () => {
  const first = await startSpool(new MemoryFileSystem());
  await appendEach(first, ["one", "two"]);
  // The whole segment as it lies on disk, inside of an event that is damaged at its beginning.
  const stolen = first.fs.contents(FIRST).toString("latin1");
  first.append("bait", { bytes: Buffer.from(stolen, "latin1") });
  const before = first.fs.contents(FIRST).length;
  await settle(5);
  await appendEach(first, ["three"]);
  first.fs.damage(FIRST, (bytes) => bytes.fill(0, before, before + 10));
  const second = await startSpool(first.fs.kill());
  assert.deepEqual(second.open(), ["one", "two", "three"]);
});

test("random damage anywhere never stops the start, and never changes what is served", async () => {
  const original = await startSpool(new MemoryFileSystem(), { segmentBytes: 1500 });
  const texts = Array.from({ length: 60 }, (_, i) => `batch ${i} `.repeat(1 + (i % 17)));
  for (const text of texts) {
    original.append(text);
    await settle(3);
  }
  for (let i = 0; i < 10; i++) forwardNext(original.spool);
  await original.clock.advance(1000);
  await stopSpool(original);
  const files = original.fs.paths().filter((path) => !path.endsWith("lock"));
  const bytes = new Map(files.map((path) => [path, Buffer.from(original.fs.contents(path))]));
  const damage = fc.record({ file: fc.nat(), at: fc.nat(), length: fc.nat(2000), value: fc.nat(255) });
  await fc.assert(
    fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 4 }), async (damages) => {
      const fs = original.fs.kill();
      for (const [path, whole] of bytes) {
        if (!fs.paths().includes(path)) await (await fs.open(path, "create")).close();
        fs.damage(path, () => Buffer.from(whole));
      }
      for (const path of fs.paths()) if (path.includes("quarantine")) await fs.remove(path);
      for (const path of fs.paths()) if (path.endsWith(".segment") && !bytes.has(path)) await fs.remove(path);
      for (const { file, at, length, value } of damages) {
        fs.damage(files[file % files.length]!, (whole) => {
          const from = at % whole.length;
          return whole.fill(value, from, Math.min(whole.length, from + length));
        });
      }
      const damaged = await startSpool(fs);
      const open = damaged.open();
      let last = -1;
      for (const text of open) {
        const i = texts.indexOf(text);
        assert.ok(i > last, "what is served was written, once, in order");
        last = i;
      }
      await stopSpool(damaged);
      const again = await startSpool(fs.kill());
      assert.deepEqual(again.open(), open);
      await again.spool.dispose();
    }),
    { numRuns: 150 },
  );
});

test("under which producer ids batches were sent is there after a restart, for those that are not done", async () => {
  const fs = new MemoryFileSystem();
  const log = () => {
    const dependencies = { log: silentLogger(), metrics: createMetrics(), clock: new ManualClock(), fs };
    return new SegmentLog(dependencies, { dir: DIR, kind: SegmentKind.SPOOL, segmentBytes: 100 });
  };
  const first = log();
  await first.open(() => {});
  const states = new Map<number, SegmentState>();
  const listener = {
    synced: (sequence: number, segment: SegmentState) => void states.set(sequence, segment),
    failed: (error: Error) => assert.fail(error),
  };
  for (let i = 0; i < 2; i++)
    first.append(EntryType.BATCH, encodeBatchHead(1, Buffer.from("t"), 0, 1), undefined, listener);
  await settle(5);
  const stamp = { partition: 0, partitions: 0, producerEpoch: 3, producerId: 99n };
  for (const [batch, baseSequence] of [
    [1, 10],
    [2, 11],
    [2, 12],
  ] as const) {
    let kept = false;
    first.appendStamp({ ...stamp, batch, baseSequence }, () => (kept = true));
    assert.equal(kept, false);
    await settle(5);
    assert.ok(kept);
  }
  first.markForwarded(states.get(1)!, 1);
  await first.flush();
  await first.close();
  // The segments that held nothing but markers are gone; the checkpoint repeats what they said.
  for (let restart = 0; restart < 2; restart++) {
    const next = log();
    const open: number[] = [];
    await next.open((entry, segment) => {
      if (!segment.isDone(entry.sequence)) open.push(entry.sequence);
    });
    assert.deepEqual(open, [2]);
    assert.deepEqual([...next.stamps], [[2, [{ ...stamp, batch: 2, baseSequence: 12 }]]]);
    await next.close();
  }
});

test("after a power cut at any moment everything acknowledged is there, whatever of the rest is", async () => {
  for (let seed = 1; seed <= 150; seed++) {
    const random = seeded(seed);
    let fs = new MemoryFileSystem();
    const acknowledged: string[] = [];
    const forwarded = new Set<string>();
    const sent: string[] = [];
    for (let life = 0; life < 3; life++) {
      const fixture = await startSpool(fs, { segmentBytes: 300 });
      fs.before = slowly(random);
      const open = fixture.open();
      const missing = acknowledged.filter((text) => !forwarded.has(text) && !open.includes(text));
      assert.deepEqual(missing, [], `seed ${seed}, life ${life}`);
      assert.deepEqual(
        open,
        sent.filter((text) => open.includes(text)),
        `order, seed ${seed}, life ${life}`,
      );
      assert.equal(new Set(open).size, open.length);
      for (const kind of ["lost", "corrupt", "checkpoint"]) {
        assert.equal(faults(fixture.metrics)[kind], undefined, `${kind}, seed ${seed}, life ${life}`);
      }
      const steps = 5 + Math.floor(random() * 30);
      const cutAfter = Math.floor(random() * 6);
      for (let step = 0; step < steps; step++) {
        if (random() < 0.7) {
          const text = `${seed}/${life}/${step} ${"x".repeat(Math.floor(random() * 80))}`;
          sent.push(text);
          fixture.append(text);
        } else if (fixture.spool.backlogs.topic("clicks").lane(0).waiting > 0) {
          forwarded.add(fixture.open()[0]!);
          forwardNext(fixture.spool);
        }
        if (random() < 0.5) await settle(1 + Math.floor(random() * 4));
        if (random() < 0.1) await fixture.clock.advance(600);
      }
      await settle(cutAfter);
      fs.before = undefined;
      acknowledged.push(...fixture.outcomes.stored_);
      fs = random() < 0.5 ? fs.cutPower(random) : fs.kill();
    }
  }
});

test("an empty segment file and one with a header alone are no trouble", async () => {
  const fs = new MemoryFileSystem();
  const first = await startSpool(fs);
  await appendEach(first, ["one"]);
  const next = fs.kill();
  await next.open(`${DIR}/0000000002.segment`, "create");
  const file = await next.open(`${DIR}/0000000003.segment`, "create");
  const spoolId = next.contents(FIRST).subarray(20, 36);
  await file.write([encodeSegmentHeader({ kind: 1, segmentId: 3, spoolId, createdAtMs: 1, syncedThrough: 1 })], 0);
  const second = await startSpool(next);
  assert.deepEqual(second.open(), ["one"]);
  assert.deepEqual(faults(second.metrics), {});
  await appendEach(second, ["two"], `${DIR}/0000000004.segment`);
});
