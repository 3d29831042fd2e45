// `npm run bench`: how much the service gets out of a CPU-second, beside the usual assembly of the same packages.
//
// It starts a broker, the targets and the load client as processes of their own, and ends each of them, also when something
// fails or on Ctrl-C. Nothing here judges the numbers; it exits 1 if a target did not store what it answered.

import { writeFile } from "node:fs/promises";
import { type BrokerName, startBroker } from "./brokers.ts";
import { killAll } from "../scripts/child.ts";
import { HELP, parseBenchOptions, type BenchOptions } from "./options.ts";
import { overall } from "./overall.ts";
import { environment, formatEnvironment, formatOverall, formatRow, sound } from "./report.ts";
import type { Stage } from "./load-process.ts";
import { measureRow, type Row } from "./rows.ts";
import type { Scenario } from "./scenarios.ts";

const BROKERS: readonly BrokerName[] = ["kafka", "standin"];

function brokersOf(scenario: Scenario, { brokers }: BenchOptions): readonly BrokerName[] {
  // A broker on the same cores would be most of what a slight load costs.
  if (scenario.kind === "curve") return brokers ?? ["standin"];
  const chosen = brokers ?? ["kafka"];
  // How the service starts and rests does not depend on the broker behind it: once is enough.
  return scenario.kind === "idle" || scenario.kind === "ready" ? chosen.slice(0, 1) : chosen;
}

async function run(options: BenchOptions, signal: AbortSignal): Promise<void> {
  const where = environment();
  console.log(formatEnvironment(where));
  const rows: Row[] = [];
  const measure = async (scenario: Scenario, stage: Stage) => {
    const row = await measureRow(scenario, stage);
    if (row === undefined) return;
    rows.push(row);
    console.log(`\n${formatRow(row)}`);
  };
  const withBroker = options.scenarios.filter((scenario) => scenario.kind !== "load" || !scenario.persisted);
  for (const name of BROKERS) {
    const scenarios = withBroker.filter((scenario) => brokersOf(scenario, options).includes(name));
    if (scenarios.length === 0) continue;
    await using broker = await startBroker(name, signal);
    for (const scenario of scenarios) {
      const freshTopics = () => broker.freshTopics(scenario.kind === "load" ? scenario.topics : 1);
      await freshTopics();
      await measure(scenario, { broker: name, bootstrap: broker.bootstrap, freshTopics, options, signal });
    }
  }
  for (const scenario of options.scenarios) {
    if (withBroker.includes(scenario)) continue;
    await measure(scenario, { broker: "none", bootstrap: undefined, freshTopics: async () => {}, options, signal });
  }
  for (const each of overall(rows)) console.log(`\n${formatOverall(each)}`);
  if (options.json !== undefined) {
    await writeFile(options.json, `${JSON.stringify({ environment: where, options, rows }, null, 2)}\n`);
  }
  if (!sound(rows)) process.exitCode = 1;
}

const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (interrupted.signal.aborted) killAll();
    else interrupted.abort(new Error("interrupted; ending what was started"));
  });
}
try {
  const options = parseBenchOptions(process.argv.slice(2));
  if (options === "help") console.log(HELP);
  else await run(options, interrupted.signal);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = interrupted.signal.aborted ? 130 : 1;
}
