// promtool, Prometheus' own: it reads the configuration and the rules, and runs the tests of every alert.

import assert from "node:assert/strict";
import { join } from "node:path";
import { judgeTest } from "../judges/support/judge.ts";
import { PROMETHEUS, ROOT, ruleFiles } from "./support/rules.ts";

judgeTest("promtool", "promtool takes the configuration with all rule files", async (promtool) => {
  const { stdout } = await promtool.passes(["check", "config", "--lint-fatal", join(PROMETHEUS, "prometheus.yml")]);
  assert.match(stdout, new RegExp(`${ruleFiles("rules").length} rule files found`));
});

for (const file of ruleFiles("tests")) {
  judgeTest("promtool", `alerts fire when they have to, and are silent otherwise: ${file}`, async (promtool) => {
    await promtool.passes(["test", "rules", join(ROOT, file)]);
  });
}
