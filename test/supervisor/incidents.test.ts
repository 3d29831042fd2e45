import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import pino from "pino";
import { systemClock } from "../../src/clock.ts";
import { loadConfig } from "../../src/config.ts";
import { createIncidentMetrics } from "../../src/supervisor/incident-metrics.ts";
import { ServiceIncidents } from "../../src/supervisor/incidents.ts";
import { fakeSources } from "../incidents/support.ts";
import { eventually } from "../support/service.ts";

function directory(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "sluice-incidents-"));
  t.after(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}

/** The incidents of a service without workers. */
function incidentsOf(t: TestContext, dataDir: string): ServiceIncidents {
  const loaded = loadConfig({ KAFKA_BROKERS: "127.0.0.1:1", TOPICS: "t", DATA_DIR: dataDir });
  assert.ok(loaded.ok);
  const incidents = new ServiceIncidents({
    config: loaded.config,
    slots: [],
    sources: fakeSources(),
    metrics: createIncidentMetrics(),
    version: "1",
    log: pino({ level: "silent" }),
    clock: systemClock,
  });
  t.after(async () => {
    await incidents.stop();
  });
  return incidents;
}

test("a directory that cannot be used at the start is told, and tried again at the next incident", async (t) => {
  const dataDir = directory(t);
  writeFileSync(join(dataDir, "incidents"), "in the way");
  const incidents = incidentsOf(t, dataDir);
  incidents.start();
  assert.equal(await incidents.forceIncident("first"), undefined);
  assert.match(incidents.problems.join(), /^incidents cannot be recorded: /);
  rmSync(join(dataDir, "incidents"));
  const begun = await Promise.all(["second", "third"].map((why) => incidents.forceIncident(why)));
  assert.deepEqual(
    begun.map((incident) => incident?.why),
    ["second", undefined],
  );
  assert.deepEqual(incidents.problems, []);
});

test("of two services with one directory the second records nothing, says so, and goes on", async (t) => {
  const dataDir = directory(t);
  const first = incidentsOf(t, dataDir);
  first.start();
  assert.ok(await first.forceIncident("first"));
  const second = incidentsOf(t, dataDir);
  second.start();
  assert.equal(await second.forceIncident("second"), undefined);
  assert.match(second.problems.join(), /another service records incidents/);
});

test("a run whose sign of life cannot be written records all the same", async (t) => {
  const dataDir = directory(t);
  mkdirSync(join(dataDir, "incidents", "run.json"), { recursive: true });
  const incidents = incidentsOf(t, dataDir);
  incidents.start();
  assert.ok(await incidents.forceIncident("why"));
  assert.deepEqual(incidents.problems, []);
});

test("the report of a stuck thread that an earlier run left is recorded and removed", async (t) => {
  const dataDir = directory(t);
  const path = join(dataDir, "profiles", "worker-0", "stuck-1.json");
  mkdirSync(join(dataDir, "profiles", "worker-0"), { recursive: true });
  const frame = { name: "spin", url: "x.js", line: 1, startLine: 1 };
  writeFileSync(path, JSON.stringify({ atMs: 1, stuckMs: 1, intervalMs: 1, stacks: [{ frames: [frame], count: 1 }] }));
  const incidents = incidentsOf(t, dataDir);
  incidents.start();
  await eventually("the report of the run before is recorded", () => incidents.incidents()[0]?.kind === "stuck_loop");
  await eventually("the report is removed", () => !existsSync(path));
});

test("what a worker said when it died of an exception is recorded at the next start, if nobody took it before", async (t) => {
  const dataDir = directory(t);
  const dir = join(dataDir, "profiles", "worker-3");
  const error = { type: "TypeError", message: "a bug", frames: ["at f (x.ts:1:1)"] };
  const report = { atMs: 5, error, lines: ['{"msg":"its last line"}'] };
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "crash-12.json"), JSON.stringify(report));
  // One that was cut short, and one of a worker of this run, which whoever sees its end takes.
  writeFileSync(join(dir, "crash-13.json"), '{"atMs":');
  writeFileSync(join(dir, "crash-14.json"), JSON.stringify({ ...report, atMs: Date.now() + 60_000 }));
  const incidents = incidentsOf(t, dataDir);
  incidents.start();
  const found = await eventually("it is recorded", () => {
    const [incident] = incidents.incidents();
    return incident?.state === "complete" && incident;
  });
  assert.deepEqual([found.kind, found.worker, found.atMs], ["crash", "3", 5]);
  assert.equal(found.why, "it ended in an earlier run, of TypeError: a bug");
  const read = (name: string) => readFileSync(incidents.incidentFile(found.id, name)!, "utf8");
  assert.equal(read("stack.txt"), "TypeError: a bug\n    at f (x.ts:1:1)\n");
  assert.equal(read("log.ndjson"), '{"msg":"its last line"}\n');
  await eventually("the report is removed", () => !existsSync(join(dir, "crash-12.json")));
  assert.equal(existsSync(join(dir, "crash-14.json")), true);
  assert.equal(incidents.incidents().length, 1);
});
