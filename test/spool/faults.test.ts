import assert from "node:assert/strict";
import test from "node:test";
import { FaultKind, Faults } from "../../src/spool/faults.ts";
import type { Logger } from "../../src/telemetry/log.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { systemError } from "./support/memory-file-system.ts";

function setUp() {
  const lines: (Record<string, unknown> & { readonly message: string })[] = [];
  const note = (line: object, message: string): void => void lines.push({ ...line, message });
  const log = { error: note, warn: note } as unknown as Logger;
  const metrics = createMetrics();
  const clock = new FakeClock();
  return { lines, metrics, clock, faults: new Faults({ log, metrics, clock }) };
}

test("a fault that keeps coming is counted each time and a line once in a while, with how often it was none", () => {
  const { lines, metrics, clock, faults } = setUp();
  const error = systemError("ENOSPC", "write", "/spool");
  for (let i = 0; i < 25; i++) {
    faults.tell(FaultKind.FULL, "the disk is full", { error });
    clock.advance(1_000);
  }
  assert.equal(metrics.spoolErrors.with("full").value, 25);
  assert.deepEqual(lines, [
    { message: "the disk is full", reason: "ENOSPC: write '/spool'" },
    { message: "the disk is full", reason: "ENOSPC: write '/spool'", untold: 9 },
    { message: "the disk is full", reason: "ENOSPC: write '/spool'", untold: 9 },
  ]);
});

test("what may be a loss is a line each time, and what is no system error has its stack", () => {
  const { lines, faults } = setUp();
  const error = new RangeError("a bug");
  faults.tell(FaultKind.CORRUPT, "one", { error });
  faults.tell(FaultKind.CORRUPT, "two", { bytes: 3 });
  assert.deepEqual(lines, [
    { message: "one", err: error },
    { message: "two", bytes: 3 },
  ]);
});
