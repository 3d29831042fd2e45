import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { systemClock } from "../../src/clock.ts";
import type { Cause } from "../../src/incidents/incident.ts";
import { isStuckReport } from "../../src/profiling/stuck-report.ts";
import { Silence, type SilenceOptions } from "../../src/supervisor/silence.ts";

const FRAME = { name: "spin", url: "file:///app/spin.js", line: 3, startLine: 1 };
const REPORT = { atMs: 1, stuckMs: 1, intervalMs: 1, stacks: [{ frames: [FRAME], count: 2 }] };

interface Setup {
  readonly silence: Silence;
  readonly begun: Cause[];
  readonly failures: string[];
  file(worker: string, content: unknown): string;
}

/** Two workers that have been silent for 3 s. */
function setup(t: TestContext, changes: Partial<SilenceOptions> = {}): Setup {
  const dir = mkdtempSync(join(tmpdir(), "sluice-silence-"));
  t.after(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  const begun: Cause[] = [];
  const failures: string[] = [];
  const silence = new Silence({
    slots: ["0", "1"].map((name) => ({ name, silentMs: 3_000 })),
    dir,
    watchdogTimeoutMs: 2_000,
    clock: systemClock,
    begin: async (cause) => begun.push(cause),
    failed: (error, worker) => failures.push(`${worker}: ${String(error)}`),
    ...changes,
  });
  const file = (worker: string, content: unknown) => {
    mkdirSync(join(dir, `worker-${worker}`), { recursive: true });
    const path = join(dir, `worker-${worker}`, "stuck-1.json");
    writeFileSync(path, JSON.stringify(content));
    return path;
  };
  return { silence, begun, failures, file };
}

async function look({ silence }: Setup): Promise<void> {
  silence.look();
  await silence.idle();
}

test("a stuck report whose stacks are not whole is none: it is removed, and the next worker's is recorded", async (t) => {
  const all = setup(t);
  const paths = [all.file("0", { ...REPORT, stacks: [{}] }), all.file("1", REPORT)];
  await look(all);
  assert.deepEqual(
    all.begun.map(({ kind, worker }) => [kind, worker]),
    [["stuck_loop", "1"]],
  );
  assert.deepEqual(all.failures, []);
  assert.deepEqual(paths.map(existsSync), [false, false]);
});

test("a frame of a file that is no path on this system is told as it is", async (t) => {
  const all = setup(t);
  all.file("0", { ...REPORT, stacks: [{ frames: [{ ...FRAME, url: "file://host/x%2Fy.js" }], count: 1 }] });
  await look(all);
  assert.equal(all.begun.length, 1);
});

test("what fails with one worker is told, and the next one is looked at", async (t) => {
  const begun: Cause[] = [];
  const begin = async (cause: Cause) => {
    if (cause.worker === "0") throw new Error("no");
    begun.push(cause);
  };
  const all = setup(t, { begin });
  for (const worker of ["0", "1"]) all.file(worker, REPORT);
  await look(all);
  assert.deepEqual(all.failures, ["0: Error: no"]);
  assert.equal(begun.length, 1);
});

test("what is no report of a stuck thread is told from one", () => {
  assert.equal(isStuckReport(REPORT), true);
  assert.equal(isStuckReport({ ...REPORT, stacks: [] }), true);
  const stacks = (frame: unknown, count: unknown = 1) => ({ ...REPORT, stacks: [{ frames: [frame], count }] });
  for (const no of [
    undefined,
    { ...REPORT, atMs: Infinity },
    { ...REPORT, stacks: [undefined] },
    { ...REPORT, stacks: [{ frames: {}, count: 1 }] },
    stacks(FRAME, "1"),
    stacks(undefined),
    stacks({ ...FRAME, url: 1 }),
    stacks({ ...FRAME, line: -1 }),
  ])
    assert.equal(isStuckReport(no), false, JSON.stringify(no));
});

test("a report that is in no bundle stays on disk, and is begun with once", async (t) => {
  let begun = 0;
  const all = setup(t, { begin: async () => void begun++ });
  const path = all.file("0", REPORT);
  await look(all);
  await look(all);
  assert.equal(begun, 1);
  assert.ok(existsSync(path));
});
