// The real disk, through the same interface as the simulated one.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { makeDurableDirectory, nodeFileSystem as fs } from "../../src/spool/file-system.ts";
import { readSpool } from "../../src/spool/reader.ts";
import { Spool } from "../../src/spool/spool.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { batchOf, Outcomes } from "./support/fixtures.ts";

function temporary(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "sluice-spool-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

test("a gathering write of more buffers than one system call takes is whole", async (t) => {
  const path = join(temporary(t), "file");
  const file = await fs.open(path, "create");
  const buffers = Array.from({ length: 5000 }, (_, i) => Buffer.from(`${i},`));
  await file.write(buffers, 0);
  await file.write([Buffer.from("end")], await file.size());
  await file.sync();
  const all = Buffer.alloc(await file.size());
  assert.equal(await file.read(all, 0), all.length);
  assert.equal(all.toString(), `${Buffer.concat(buffers).toString()}end`);
  assert.equal(await file.read(Buffer.alloc(10), all.length - 3), 3);
  await file.truncate(4);
  assert.equal(await file.size(), 4);
  await file.close();
  await assert.rejects(fs.open(path, "create"), { code: "EEXIST" });
  await assert.rejects(fs.open(`${path}x`, "read"), { code: "ENOENT" });
});

test("a lock is exclusive until it is released, and knows when its file was removed", async (t) => {
  const dir = temporary(t);
  const path = join(dir, "lock");
  const lock = await fs.lock(path);
  assert.ok(lock);
  assert.equal(await fs.lock(path), undefined);
  assert.equal(await lock.linked(), true);
  rmSync(path);
  assert.equal(await lock.linked(), false);
  await lock.release();
  const next = await fs.lock(path);
  assert.ok(next);
  await next.release();
});

test("a directory is created with its parents", async (t) => {
  const dir = join(temporary(t), "a", "b", "c");
  await makeDurableDirectory(fs, dir);
  assert.ok(statSync(dir).isDirectory());
  await makeDurableDirectory(fs, dir);
});

test("a directory tells the first one that it made, and nothing where all were there", async (t) => {
  const dir = temporary(t);
  const [first, second] = await Promise.all([
    fs.makeDirectory(join(dir, "a", "b", "c")),
    fs.makeDirectory(join(dir, "a", "b", "c")),
  ]);
  assert.ok([first, second].includes(join(dir, "a")));
  assert.ok(statSync(join(dir, "a", "b", "c")).isDirectory());
  assert.equal(await fs.makeDirectory(join(dir, "a", "b", "c")), undefined);
  assert.equal(await fs.makeDirectory(join(dir, "a", "d")), join(dir, "a", "d"));
});

test("a directory that cannot be made tells what the system said", async (t) => {
  const dir = temporary(t);
  writeFileSync(join(dir, "file"), "");
  symlinkSync("nowhere", join(dir, "link"));
  await assert.rejects(fs.makeDirectory(join(dir, "file")), { code: "EEXIST" });
  await assert.rejects(fs.makeDirectory(join(dir, "file", "a", "b")), { code: "ENOTDIR" });
  await assert.rejects(fs.makeDirectory(join(dir, "link", "a")), { code: "EEXIST" });
  // /proc takes no directories and says ENOENT, which looks as if a parent were missing.
  if (process.platform === "linux") await assert.rejects(fs.makeDirectory("/proc/sluice/a"), { code: "ENOENT" });
});

test("a spool on a real disk: stored, read beside it, refused to a second one, there after a restart, gone when forwarded", async (t) => {
  const dataDir = temporary(t);
  const dir = join(dataDir, "spool", "worker-0");
  const make = () =>
    new Spool(
      { log: silentLogger(), metrics: createMetrics(), clock: systemClock, fs },
      { dir, bytesMax: 1e9, segmentBytes: 20_000 },
    );
  const first = make();
  await first.start();
  const outcomes = new Outcomes();
  const texts = Array.from({ length: 300 }, (_, i) => `${i} ${"x".repeat(i * 7)}`);
  for (const text of texts) {
    first.append(batchOf(text), outcomes);
    if (Math.random() < 0.1) await new Promise((resolve) => setImmediate(resolve));
  }
  const second = make();
  await assert.rejects(second.start(), /in use by another process/);
  await second.dispose();
  await first.drain(Date.now() + 60_000);
  assert.equal(outcomes.stored_.length, 300);
  const read: string[] = [];
  for await (const { bytes } of readSpool({ dataDir })) read.push(bytes.toString());
  assert.deepEqual(read, texts);
  await first.dispose();

  const third = make();
  await third.start();
  const lane = third.backlogs.topic("clicks").lane(0);
  assert.equal(lane.backlog, 300);
  for (let entry = lane.peek(); entry !== undefined; entry = lane.peek()) third.forwarded(lane, lane.take(), entry);
  await third.drain(Date.now() + 60_000);
  await third.dispose();
  assert.deepEqual(readdirSync(dir).sort(), ["checkpoint", "lock"]);
  assert.ok(!existsSync(join(dir, "quarantine")));
});
