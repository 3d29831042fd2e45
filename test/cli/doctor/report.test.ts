import assert from "node:assert/strict";
import test from "node:test";
import { report } from "../../../src/cli/doctor/report.ts";

test("no part of a finding moves the cursor of the terminal that it is printed on, whatever others have chosen as names", () => {
  const name = "x\u001B[2J\u009B1mx";
  const finding = { check: "c", level: "warning", subject: name, message: name, why: name, remedy: name } as const;
  const lines = report([finding]);
  assert.equal(lines.filter((line) => line.includes("x [2J 1mx")).length, 3);
  // oxlint-disable-next-line no-control-regex
  assert.doesNotMatch(lines.join(""), /[\u0000-\u001f\u007f-\u009f]/);
});
