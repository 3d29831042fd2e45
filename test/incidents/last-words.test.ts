import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { LastWords } from "../../src/incidents/last-words.ts";
import { leftBehind } from "../../src/incidents/past-run.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { eventually } from "../support/service.ts";

function directory(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "sluice-last-words-"));
  t.after(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}

const words = (lines: readonly string[], startedAtMs = 5) => ({ startedAtMs, lines, ledger: { clicks: {} } });

test("the next run reads what this one wrote last, and nobody else may", async (t) => {
  const dir = directory(t);
  const clock = new FakeClock();
  let lines = ["first"];
  const own = new LastWords(dir, clock, () => words(lines));
  own.begin();
  for (const line of ["second", "third"]) {
    lines = [...lines, line];
    clock.advance(10_000);
    await eventually(
      "it is written",
      async () => (await new LastWords(dir, clock, () => words([])).past())?.lines.length === lines.length,
    );
  }
  assert.deepEqual(readdirSync(dir), ["last-words.json"]);
  assert.equal(statSync(join(dir, "last-words.json")).mode & 0o777, 0o600);
  await own.end();
  assert.deepEqual(readdirSync(dir), []);
});

test("of a log that is too long there are the last lines", async (t) => {
  const dir = directory(t);
  const clock = new FakeClock();
  const lines = Array.from({ length: 300 }, (_, i) => `${i} ${"x".repeat(4_000)}`);
  const own = new LastWords(dir, clock, () => words(lines));
  own.begin();
  clock.advance(10_000);
  const past = await eventually("it is written", () => own.past());
  assert.ok(past.lines.length > 50);
  assert.deepEqual(past.lines, lines.slice(-past.lines.length));
  assert.ok(statSync(join(dir, "last-words.json")).size < 300_000);
  await own.end();
});

test("what is no whole file, and what another run wrote, is not taken for the words of the run that died", async (t) => {
  const dir = directory(t);
  const own = new LastWords(dir, new FakeClock(), () => words([]));
  assert.equal(await own.past(), undefined);
  for (const text of ["{", "[]", '{"lines":[1],"ledger":{},"startedAtMs":5}']) {
    writeFileSync(join(dir, "last-words.json"), text);
    assert.equal(await own.past(), undefined, text);
  }
  const run = { pid: 1, startedAtMs: 5, version: "1", lastSeenMs: 9, versions: { node: "24" }, config: { workers: 1 } };
  const names = (of: typeof run | undefined, said: ReturnType<typeof words> | undefined, atMs = 9) =>
    leftBehind(of, said, atMs).map(({ name }) => name);
  assert.deepEqual(names(run, words(["a line"])), ["log.ndjson", "ledger.json", "versions.json", "config.json"]);
  assert.deepEqual(names(run, words(["a line"], 4)), ["versions.json", "config.json"]);
  assert.deepEqual(names(run, words(["a line"]), 4), []);
  assert.deepEqual(names(undefined, words(["a line"])), []);
  // What a dying process left of its log is its own.
  assert.deepEqual(leftBehind(run, words(["a", "b"]), 9, ["b", "c"])[0], { name: "log.ndjson", content: "a\nb\nc\n" });
  assert.deepEqual(leftBehind(run, words(["a", "b"]), 4, ["c"]), [{ name: "log.ndjson", content: "c\n" }]);
});
