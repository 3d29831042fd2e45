import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { HistoryFile, readHistory } from "../../src/telemetry/history-file.ts";
import {
  History,
  HISTORY_SECONDS,
  type HistoryValues,
  joinRanges,
  SERIES,
  UNKNOWN,
} from "../../src/telemetry/history.ts";
import { silentLogger } from "../../src/telemetry/log.ts";

const START = 1_700_000_000_000;
const values = (known: Partial<HistoryValues>): HistoryValues => ({ ...UNKNOWN, ...known });

/** Wall time and the time that has passed are different things. */
const at = (sinceMs: number) => ({ atMs: START + sinceMs, monotonicMs: sinceMs });

function filled(seconds: number): History {
  const history = new History(["0", "1"]);
  for (let i = 1; i <= seconds; i++) history.record("0", at(i * 1000), values({ cpu: i, rssBytes: 1e9 + i }));
  return history;
}

test("a range has what ended after its beginning and not after its end, oldest first", () => {
  const { names, workers } = filled(20).range(START + 5_000, START + 8_000);
  assert.deepEqual(names, SERIES);
  assert.deepEqual(workers["0"]!.t, [START + 6_000, START + 7_000, START + 8_000]);
  assert.deepEqual(workers["0"]!.series.cpu, [6, 7, 8]);
  assert.deepEqual(workers["1"]!.t, []);
});

test("what is not known is null, not zero, and survives JSON", () => {
  const { workers } = filled(1).range(0, Infinity);
  assert.deepEqual(workers["0"]!.series.acknowledgedP99, [null]);
  assert.deepEqual(JSON.parse(JSON.stringify(workers)), workers);
});

test("after fifteen minutes each second takes the place of the oldest one", () => {
  const { workers } = filled(HISTORY_SECONDS + 30).range(0, Infinity);
  assert.equal(workers["0"]!.t.length, HISTORY_SECONDS);
  assert.equal(workers["0"]!.t[0], START + 31_000);
  assert.equal(workers["0"]!.series.cpu!.at(-1), HISTORY_SECONDS + 30);
});

test("the mean is of what is known in the range", () => {
  const history = filled(10);
  history.record("0", at(11_000), UNKNOWN);
  assert.deepEqual(history.mean("0", "cpu", 7_000, 11_000), { mean: 9, count: 3 });
  assert.deepEqual(history.mean("0", "streams", 0, Infinity), { mean: Number.NaN, count: 0 });
  assert.equal(history.mean("2", "cpu", 0, Infinity).count, 0);
});

test("a process of which nothing was ever recorded, and one that is not known, cost and break nothing", () => {
  const history = new History(["0"], 5);
  history.record("7", at(0), UNKNOWN);
  assert.deepEqual(Object.keys(history.range(0, Infinity).workers), ["0"]);
});

test("the memory of a history is there from the beginning and does not grow", () => {
  const history = new History(["0"]);
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 5 * HISTORY_SECONDS; i++) history.record("0", at(i), UNKNOWN);
  assert.ok(process.memoryUsage().arrayBuffers - before < 16 * 1024);
});

test("parts that follow each other are joined, and a series that a part lacks is not known there", () => {
  const old = { names: SERIES, workers: { "0": { t: [1], series: { cpu: [0.5] } } } };
  const { workers } = joinRanges([old, filled(1).range(0, Infinity)]);
  assert.deepEqual(workers["0"]!.t, [1, START + 1_000]);
  assert.deepEqual(workers["0"]!.series.cpu, [0.5, 1]);
  assert.deepEqual(workers["0"]!.series.rssBytes, [null, 1e9]);
});

function directory() {
  const path = mkdtempSync(join(tmpdir(), "sluice-test-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

test("what is written is read back by whoever comes next, without a line that was cut short", async () => {
  using dir = directory();
  const file = new HistoryFile(silentLogger(), filled(25), dir.path, START);
  await file.write(START + 10_000);
  await file.write(START + 20_000);
  const [name] = readdirSync(dir.path);
  appendFileSync(join(dir.path, name!), '{"names":["cpu"],"workers":{"0":{"t":[17');
  const all = await readHistory(dir.path);
  assert.deepEqual(
    all.workers["0"]!.series.cpu,
    Array.from({ length: 20 }, (_, i) => i + 1),
  );
  const part = await readHistory(dir.path, START + 8_000, START + 12_000);
  assert.deepEqual(part.workers["0"]!.series.cpu, [9, 10, 11, 12]);
});

test("a write that failed half way costs no second, and what is taken again is bounded", async () => {
  for (const [failures, seconds] of [
    [1, 30],
    [20, 300],
  ] as const) {
    using dir = directory();
    const file = new HistoryFile(silentLogger(), filled(seconds), dir.path, START);
    await file.write(START + 10_000);
    const path = join(dir.path, readdirSync(dir.path)[0]!);
    renameSync(path, `${path}.aside`);
    mkdirSync(path);
    for (let i = 1; i <= failures; i++) await file.write(START + 10_000 + i * 10_000);
    rmdirSync(path);
    renameSync(`${path}.aside`, path);
    appendFileSync(path, '{"names":["cpu"],"workers":{"0":{"t":[17');
    await file.write(START + seconds * 1_000);
    const { t } = (await readHistory(dir.path)).workers["0"]!;
    assert.equal(t.length, 10 + Math.min(seconds - 10, 120));
    assert.equal(t.at(-1), START + seconds * 1_000);
    assert.equal(readdirSync(dir.path).length, 1);
  }
});

test("files of earlier runs are kept, a few of them", async () => {
  using dir = directory();
  for (let run = 0; run < 9; run++) {
    const file = new HistoryFile(silentLogger(), filled(5), dir.path, START);
    await file.write(START + 5_000 + run);
  }
  const names = readdirSync(dir.path);
  assert.equal(names.length, 6);
  assert.ok(names.includes(`${START + 5_008}.ndjson`));
});

test("a directory that is not there has no history, and one that cannot be written ends nothing", async () => {
  using dir = directory();
  assert.deepEqual((await readHistory(join(dir.path, "none"))).workers, {});
  writeFileSync(join(dir.path, "a-file"), "");
  const file = new HistoryFile(silentLogger(), filled(5), join(dir.path, "a-file"), START);
  await file.write(START + 5_000);
});

test("nobody but its user may read the history", async () => {
  using dir = directory();
  const at = join(dir.path, "history");
  const file = new HistoryFile(silentLogger(), filled(5), at, START);
  await file.write(START + 5_000);
  const modes = [at, ...readdirSync(at).map((name) => join(at, name))].map((path) => statSync(path).mode & 0o777);
  assert.deepEqual(modes, [0o700, 0o600]);
});
