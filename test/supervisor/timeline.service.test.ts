// The history and the triggers of real processes.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { historyDirectory } from "../../src/supervisor/timeline.ts";
import { readHistory } from "../../src/telemetry/history-file.ts";
import { eventually, logLines, type RunningService } from "../support/service.ts";
import { command, startFixture } from "./fixture/client.ts";

/** The triggers' log lines. */
const fired = (service: RunningService) => logLines(service.stderr()).filter(({ kind }) => kind !== undefined);

test(
  "a handler that spins is seen within seconds, and so is a worker that says nothing at all",
  { timeout: 90_000 },
  async () => {
    await using service = await startFixture({
      WORKERS: "2",
      INCIDENT_TRIGGERS: "cpu=off,event_loop=abs:0.4;hold:2s;cooldown:1h",
    });
    // The first seconds of a process fire nothing.
    const [first] = await eventually(
      "the trigger fires",
      async () => {
        // Half a second at a time, of whichever worker takes it.
        await command(service, "busy 500");
        const lines = fired(service);
        return lines.length > 0 && lines;
      },
      45_000,
    );
    assert.equal(first!["kind"], "event_loop");
    assert.ok(Number(first!["value"]) >= 0.4);
    assert.match(
      String(first!["msg"]),
      /^worker \d: the longest turn of the event loop is [\d.]+ s for \d s \(at least 0\.4 s\)/,
    );

    const other = await eventually("the other worker takes a command", async () => {
      const taker = await command(service, "count 0");
      return taker !== undefined && String(taker.index) !== first!["worker"] && taker;
    });
    process.kill(other.pid, "SIGSTOP");
    try {
      const silent = await eventually("the silence is seen", () =>
        fired(service).find(({ worker }) => worker === String(other.index)),
      );
      assert.equal(silent["kind"], "event_loop");
      assert.ok(Number(silent["value"]) < 6, "it is told while it lasts");
    } finally {
      process.kill(other.pid, "SIGCONT");
    }
  },
);

test(
  "the history of a service that was killed is on disk, up to ten seconds before its end",
  { timeout: 60_000 },
  async () => {
    let service: RunningService | undefined;
    const dataDir = mkdtempSync(join(tmpdir(), "sluice-test-"));
    try {
      service = await startFixture({ DATA_DIR: dataDir });
      await command(service, "count 5");
      const history = await eventually(
        "the first seconds are written",
        async () => {
          const range = await readHistory(historyDirectory(dataDir));
          return (range.workers["0"]?.t.length ?? 0) > 5 && range;
        },
        30_000,
      );
      await service.stop("SIGKILL");
      const after = await readHistory(historyDirectory(dataDir));
      assert.deepEqual(after.workers["0"]!.t.slice(0, 5), history.workers["0"]!.t.slice(0, 5));
      const { t, series } = after.workers["0"]!;
      assert.ok(t.every((ms, i) => i === 0 || ms > t[i - 1]!));
      assert.ok(series.rssBytes!.every((bytes) => bytes! > 1e7));
      assert.ok(series.eventsPerSecond!.some((events) => events! > 0));
      assert.ok(after.workers["supervisor"]!.t.length > 5);
    } finally {
      await service?.stop("SIGKILL");
      rmSync(dataDir, { recursive: true, force: true });
    }
  },
);
