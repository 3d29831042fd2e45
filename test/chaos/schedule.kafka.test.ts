// A short schedule of `npm run chaos`: the same world and the same judge, with faults that take little time.

import assert from "node:assert/strict";
import test from "node:test";
import { FAULTS } from "../../scripts/chaos/faults.ts";
import { report } from "../../scripts/chaos/report.ts";
import { runChaos } from "../../scripts/chaos/run.ts";
import { missingForKafka } from "../../scripts/kafka.ts";

const NAMES = ["leader-kill", "topic-recreate", "service-kill", "disk-full"];

void test(
  "nothing that was acknowledged is missing after a leader, the service, a topic and the disk were lost",
  { timeout: 280_000 },
  async (context) => {
    const missing = await missingForKafka();
    if (missing !== undefined) {
      context.skip(missing);
      return;
    }
    const lines: string[] = [];
    const result = await runChaos({
      faults: FAULTS.filter(({ name }) => NAMES.includes(name)),
      durationMs: 0,
      seed: 11,
      rate: 600,
      holdFactor: 0.25,
      signal: context.signal,
      log: (line) => lines.push(line),
    });
    const said = `${lines.join("\n")}\n${report(result)}`;
    assert.deepEqual(result.failures, [], said);
    assert.equal(result.faults.length, NAMES.length);
    for (const { topic, acknowledged } of result.topics) assert.ok(acknowledged > 0, `${topic}\n${said}`);
    assert.ok(result.ledgerLooks > 0);
  },
);
