import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import test from "node:test";
import { LINES_KEPT, LogRing, mergeLines, RingSink } from "../../src/telemetry/log-ring.ts";

const line = (level: string, time: string, msg: string) => JSON.stringify({ level, time, msg });

test("the ring keeps the last lines, and forgets the oldest", () => {
  const ring = new LogRing(3);
  for (const text of ["a", "b", "c", "d"]) ring.push(text);
  assert.deepEqual(ring.lines, ["b", "c", "d"]);
});

test("long lines are cut, and very many long lines are fewer", () => {
  const ring = new LogRing();
  for (let i = 0; i < 2 * LINES_KEPT; i++) ring.push("x".repeat(1_000_000));
  assert.ok(ring.lines.length < LINES_KEPT);
  assert.ok(ring.lines.length > 100);
  assert.ok(ring.lines.join("").length <= 512 * 1024);
});

test("each line is taken once, those below info by nobody, and of too many the last", () => {
  const ring = new LogRing(5);
  ring.push(line("info", "1", "a"));
  ring.push(line("debug", "2", "b"));
  ring.push(line("error", "3", "c"));
  assert.deepEqual(ring.take(10), [line("info", "1", "a"), line("error", "3", "c")]);
  assert.deepEqual(ring.take(10), []);
  for (let i = 0; i < 8; i++) ring.push(line("warn", "4", String(i)));
  assert.deepEqual(ring.take(2), [line("warn", "4", "6"), line("warn", "4", "7")]);
});

test("lines of several processes are put in the order of their time", () => {
  const [a, b] = [new LogRing(), new LogRing()];
  a.push(line("info", "2026-01-01T00:00:01.000Z", "first"));
  a.push(line("info", "2026-01-01T00:00:03.000Z", "third"));
  b.push(line("info", "2026-01-01T00:00:02.000Z", "second"));
  const messages = mergeLines([a, b]).map((text) => (JSON.parse(text) as { msg: string }).msg);
  assert.deepEqual(messages, ["first", "second", "third"]);
  assert.equal(mergeLines([a, b], 2).length, 2);
});

test("what goes to the log is the same with a ring and without, and is in it as it was written", () => {
  const logTs = join(import.meta.dirname, "../../src/telemetry/log.ts");
  const ringTs = join(import.meta.dirname, "../../src/telemetry/log-ring.ts");
  const script = `
    const { createLogger } = await import(${JSON.stringify(logTs)});
    const { LogRing } = await import(${JSON.stringify(ringTs)});
    const ring = new LogRing();
    const log = createLogger({ level: "info", name: "test", ring });
    log.debug("not let through");
    log.info({ n: 1 }, "one");
    log.fatal("the last");
    process.stdout.write(ring.lines.map((line) => line + "\\n").join(""));
  `;
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  assert.equal(stdout, stderr);
  assert.equal(stdout.trim().split("\n").length, 2);
});

test("a sink without flushSync is no reason to fail", () => {
  const written: string[] = [];
  const ring = new LogRing();
  const sink = new RingSink({ write: (text) => written.push(text) }, ring);
  sink.write("a\n");
  sink.flushSync();
  assert.deepEqual(written, ["a\n"]);
  assert.deepEqual(ring.lines, ["a"]);
});
