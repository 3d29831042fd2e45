import assert from "node:assert/strict";
import test from "node:test";
import { Code, type IngestError, Reason } from "../../src/errors.ts";
import { listDeadLetters, readDeadLetters } from "../../src/spool/dead-letter-reader.ts";
import { DeadLetters, type DropRequest } from "../../src/spool/dead-letters.ts";
import type { DeadLetter } from "../../src/spool/letter.ts";
import { formatLetterId, parseLetterId } from "../../src/spool/letter-id.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { seeded, settle, slowly } from "./support/fixtures.ts";
import { ManualClock } from "./support/manual-clock.ts";
import { MemoryFileSystem } from "./support/memory-file-system.ts";

const dirOf = (worker: number) => `/data/dead-letters/worker-${worker}`;

function letterOf(text: string, options: Partial<DeadLetter> = {}): DeadLetter {
  return {
    atMs: 1_700_000_000_000,
    persistedAtMs: 1_600_000_000_000,
    spoolId: Buffer.alloc(16, 7),
    batch: 5,
    topic: "clicks",
    partition: 2,
    ranges: [{ first: 0, count: 3 }],
    events: 3,
    count: 3,
    reason: Reason.TOO_LARGE,
    message: "too large",
    bytes: Buffer.from(text),
    ...options,
  };
}

interface Fixture {
  readonly deadLetters: DeadLetters;
  readonly fs: MemoryFileSystem;
  readonly clock: ManualClock;
  readonly metrics: ReturnType<typeof createMetrics>;
}

async function start(
  fs = new MemoryFileSystem(),
  options: Partial<ConstructorParameters<typeof DeadLetters>[1]> = {},
  clock = new ManualClock(),
): Promise<Fixture> {
  const metrics = createMetrics();
  const deadLetters = new DeadLetters(
    { log: silentLogger(), metrics, clock, fs },
    { dir: dirOf(0), segmentBytes: 1e6, ...options },
  );
  await deadLetters.start();
  return { deadLetters, fs, clock, metrics };
}

async function stop({ deadLetters }: Fixture): Promise<void> {
  await deadLetters.drain();
  await deadLetters.dispose();
}

async function texts(fs: MemoryFileSystem, worker = 0): Promise<string[]> {
  const all: string[] = [];
  for await (const { bytes } of readDeadLetters(fs, dirOf(worker))) all.push(bytes.toString());
  return all;
}

async function requestFor(fs: MemoryFileSystem, letters: readonly string[], worker = 0): Promise<DropRequest> {
  const { logId } = await listDeadLetters(fs, dirOf(worker));
  return { letters, logs: { [worker]: logId.toString("hex") }, why: "dropped", by: "test" };
}

async function drop({ deadLetters, fs }: Fixture, ...letters: string[]) {
  return deadLetters.drop(await requestFor(fs, letters));
}

const segments = (fs: MemoryFileSystem) => fs.paths().filter((path) => path.endsWith(".segment"));

test("an id is read back as it was written, and nothing else is one", () => {
  for (const id of [
    { worker: 0, sequence: 1 },
    { worker: 511, sequence: 900_719_925_474_099 },
  ])
    assert.deepEqual(parseLetterId(formatLetterId(id)), id);
  for (const text of ["", "17", "0-0", "00-1", "0-01", "-1-1", "0-1 ", "0-1e3", "0-99999999999999999", "a-1"])
    assert.equal(parseLetterId(text), undefined, text);
});

test("a dropped letter is gone, for readers beside the service and for the next start, and the others stay", async () => {
  const first = await start();
  for (const text of ["a", "b", "c"]) await first.deadLetters.append(letterOf(text));
  assert.deepEqual(await drop(first, "0-2"), { dropped: ["0-2"], events: 3, missing: [] });
  assert.deepEqual(await texts(first.fs), ["a", "c"]);
  assert.deepEqual(await drop(first, "0-2", "0-77"), { dropped: [], events: 0, missing: ["0-2", "0-77"] });
  await stop(first);
  const second = await start(first.fs);
  assert.deepEqual(await texts(second.fs), ["a", "c"]);
  assert.deepEqual(await drop(second, "0-2", "0-3"), { dropped: ["0-3"], events: 3, missing: ["0-2"] });
  // Numbers are never given twice, so an id that somebody noted stays wrong.
  await second.deadLetters.append(letterOf("d"));
  assert.deepEqual(
    (await listDeadLetters(second.fs, dirOf(0))).letters.map(({ sequence, size }) => [sequence, size]),
    [
      [1, 1],
      [6, 1],
    ],
  );
});

test("what is dropped counts when it is synced: a kill right after the answer changes nothing", async () => {
  const fixture = await start();
  for (const text of ["a", "b"]) await fixture.deadLetters.append(letterOf(text));
  await drop(fixture, "0-1");
  const fs = fixture.fs.kill();
  assert.deepEqual(await texts(fs), ["b"]);
  const again = await start(fs);
  assert.deepEqual(await texts(fs), ["b"]);
  assert.equal(again.metrics.deadLetters.with("clicks").value, 3);
});

test("a drop that cannot be written fails, and its letters stay", async () => {
  const fixture = await start();
  await fixture.deadLetters.append(letterOf("a"));
  fixture.fs.fail("sync", /dead-letters/, "EIO", 4);
  await assert.rejects(
    drop(fixture, "0-1"),
    (error: IngestError) => error.code === Code.UNAVAILABLE && error.retryable,
  );
  assert.equal(fixture.metrics.deadLetters.with("clicks").value, 3);
  fixture.fs.heal();
  assert.deepEqual((await drop(fixture, "0-1")).dropped, ["0-1"]);
  assert.deepEqual(await texts(fixture.fs), []);
});

test("two that drop the same letters at the same time drop each of them once", async () => {
  const fixture = await start();
  for (const text of ["a", "b", "c"]) await fixture.deadLetters.append(letterOf(text));
  const [one, two] = await Promise.all([drop(fixture, "0-1", "0-2"), drop(fixture, "0-2", "0-3", "0-3")]);
  assert.deepEqual(one, { dropped: ["0-1", "0-2"], events: 6, missing: [] });
  assert.deepEqual(two, { dropped: ["0-3"], events: 3, missing: ["0-2"] });
  assert.equal(fixture.metrics.deadLettersDropped.with("clicks").value, 9);
});

test("segments whose letters are all dropped are deleted, the one that is written included", async () => {
  const fixture = await start(new MemoryFileSystem(), { segmentBytes: 400 });
  for (let i = 0; i < 12; i++) await fixture.deadLetters.append(letterOf(`letter ${i}`));
  const before = segments(fixture.fs).length;
  assert.ok(before >= 3, String(before));
  const { letters } = await listDeadLetters(fixture.fs, dirOf(0));
  const ids = letters.map(({ sequence }) => `0-${sequence}`);
  await drop(fixture, ...ids.slice(0, -1));
  await settle(50);
  // The letter's own, and the one that the marker went to.
  assert.ok(segments(fixture.fs).length <= 2, segments(fixture.fs).join());
  assert.deepEqual(await texts(fixture.fs), ["letter 11"]);
  await drop(fixture, ids.at(-1)!);
  await settle(50);
  assert.deepEqual(segments(fixture.fs), []);
  assert.deepEqual(await texts(fixture.fs), []);
  await fixture.deadLetters.append(letterOf("after"));
  assert.deepEqual(await texts(fixture.fs), ["after"]);
  await stop(fixture);
});

test("the log of a worker that is gone is adopted, and its letters can be dropped", async () => {
  const gone = await start(new MemoryFileSystem(), { dir: dirOf(3) });
  for (const text of ["a", "b"]) await gone.deadLetters.append(letterOf(text));
  await stop(gone);
  const { fs } = gone;
  const fixture = await start(fs, { adopt: [dirOf(3)] });
  await fixture.deadLetters.append(letterOf("own"));
  assert.equal(fixture.metrics.deadLetters.with("clicks").value, 9);
  const outcome = await fixture.deadLetters.drop(await requestFor(fs, ["3-1"], 3));
  assert.deepEqual(outcome, { dropped: ["3-1"], events: 3, missing: [] });
  assert.deepEqual(await texts(fs, 3), ["b"]);
  assert.deepEqual(await texts(fs), ["own"]);
});

test("a log that somebody else holds is adopted once it is free", async () => {
  const holder = await start(new MemoryFileSystem(), { dir: dirOf(1) });
  await holder.deadLetters.append(letterOf("a"));
  const { fs } = holder;
  const fixture = await start(fs, { adopt: [dirOf(1)] });
  assert.match(fixture.deadLetters.health().problems.join(), /worker-1.* is in use by another process/);
  await assert.rejects(fixture.deadLetters.drop(await requestFor(fs, ["1-1"], 1)), /worker 1 is not open here/);
  await stop(holder);
  await fixture.clock.advance(6000);
  assert.deepEqual((await fixture.deadLetters.drop(await requestFor(fs, ["1-1"], 1))).dropped, ["1-1"]);
  assert.deepEqual(fixture.deadLetters.health().problems, []);
});

test("a worker that starts while letters are dropped without a service waits for its log; a second owner is refused", async () => {
  const holder = await start();
  await holder.deadLetters.append(letterOf("a"));
  const clock = new ManualClock();
  const starting = start(holder.fs, { lockWaitMs: 5000 }, clock);
  await settle();
  await clock.advance(1000);
  await assert.rejects(start(holder.fs), (error: IngestError) => error.code === Code.FAILED_PRECONDITION);
  await stop(holder);
  await clock.advance(100);
  const waiting = await starting;
  assert.equal(waiting.metrics.deadLetters.with("clicks").value, 3);
});

test("a request that was made from another service's log drops nothing", async () => {
  const fixture = await start();
  await fixture.deadLetters.append(letterOf("a"));
  const request = await requestFor(fixture.fs, ["0-1"]);
  for (const logs of [{}, { 0: "00" }, { ...request.logs, 1: "00" }])
    await assert.rejects(
      fixture.deadLetters.drop({ ...request, logs }),
      (error: IngestError) => error.code === Code.FAILED_PRECONDITION,
    );
  await assert.rejects(fixture.deadLetters.drop({ ...request, letters: ["0-1", "x"] }), /"x" is not the id/);
  assert.deepEqual(await texts(fixture.fs), ["a"]);
});

test("the gauges tell what lies there now, by topic, and the totals what became of the rest", async () => {
  const fixture = await start();
  const { deadLetters, metrics, clock } = fixture;
  const value = (topic: string) =>
    [metrics.deadLetters, metrics.deadLetterBytes].map((family) => family.with(topic).value);
  await deadLetters.append(letterOf("a", { atMs: clock.now() }));
  await clock.advance(5000);
  await deadLetters.append(letterOf("b", { topic: "orders", events: 1, atMs: clock.now() }));
  await clock.advance(5000);
  assert.equal(metrics.deadLetterOldest.with().value, 10);
  assert.equal(value("clicks")[0], 3);
  assert.ok(value("clicks")[1]! > 80);
  assert.equal(value("orders")[0], 1);
  assert.match(
    deadLetters.health().problems.join(),
    /^4 events lie in the dead-letter log: `sluice dead-letters list`/,
  );
  await deadLetters.drop({ ...(await requestFor(fixture.fs, ["0-1"])), why: "retried" });
  await clock.advance(1000);
  assert.equal(metrics.deadLetterOldest.with().value, 6);
  assert.deepEqual(value("clicks"), [0, 0]);
  assert.equal(metrics.deadLettersRetried.with("clicks").value, 3);
  assert.equal(metrics.deadLettersDropped.with("clicks").value, 0);
  await stop(fixture);
  const again = await start(fixture.fs);
  assert.deepEqual(
    [again.metrics.deadLetters.with("clicks").value, again.metrics.deadLetters.with("orders").value],
    [0, 1],
  );
});

test("through power cuts at any moment: what was answered as dropped stays so, and nothing else is lost", async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = seeded(seed);
    let fs = new MemoryFileSystem();
    const synced = new Set<string>();
    const asked = new Set<string>();
    const answered = new Set<string>();
    for (let life = 0; life < 4; life++) {
      fs.before = slowly(random);
      const fixture = await start(fs, { segmentBytes: 300 });
      const pending: Promise<unknown>[] = [];
      for (let step = 0; step < 12; step++) {
        if (random() < 0.6) {
          const text = `${life}.${step}`;
          pending.push(fixture.deadLetters.append(letterOf(text)).then(() => synced.add(text)));
        } else {
          const { letters, logId } = await listDeadLetters(fs, dirOf(0));
          const chosen = letters.filter(() => random() < 0.4);
          const ids = chosen.map(({ sequence }) => `0-${sequence}`);
          const those = await textsOf(fs, new Set(chosen.map(({ sequence }) => sequence)));
          for (const text of those) asked.add(text);
          if (ids.length > 0)
            pending.push(
              fixture.deadLetters
                .drop({ letters: ids, logs: { 0: logId.toString("hex") }, why: "dropped", by: "test" })
                .then(() => those.forEach((text) => answered.add(text))),
            );
        }
        if (random() < 0.3) await settle(5);
      }
      void Promise.allSettled(pending);
      fs = random() < 0.5 ? fs.cutPower(random) : fs.kill();
      const there = new Set(await texts(fs));
      // A letter that was never synced may be there; one that was answered as dropped must not be.
      for (const text of answered) assert.ok(!there.has(text), `seed ${seed}: ${text} is back`);
      for (const text of synced) assert.ok(there.has(text) || asked.has(text), `seed ${seed}: ${text} is lost`);
    }
    const last = await start(fs);
    const events = [...(await texts(fs))].length * 3;
    assert.equal(last.metrics.deadLetters.with("clicks").value, events, `seed ${seed}`);
  }
});

async function textsOf(fs: MemoryFileSystem, wanted: ReadonlySet<number>): Promise<string[]> {
  const found: string[] = [];
  for await (const { sequence, bytes } of readDeadLetters(fs, dirOf(0)))
    if (wanted.has(sequence)) found.push(bytes.toString());
  return found;
}
