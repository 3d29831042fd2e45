// The bench's command line.

import { statSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import type { BrokerName } from "./brokers.ts";
import { SCENARIOS, selectScenarios, type Scenario } from "./scenarios.ts";
import { ROOT, TARGETS, type TargetName } from "./targets.ts";

export interface BenchOptions {
  readonly scenarios: readonly Scenario[];
  /** undefined: each scenario's own. */
  readonly brokers: readonly BrokerName[] | undefined;
  readonly targets: readonly TargetName[];
  readonly baselineDir: string | undefined;
  readonly serviceEnv: Readonly<Record<string, string>>;
  readonly baselineEnv: Readonly<Record<string, string>>;
  readonly seconds: number;
  readonly warm: number;
  readonly settle: number;
  readonly rounds: number;
  /** How often the targets of a load are started, each time for all rounds. */
  readonly starts: number;
  /** Milliseconds of a target's turns within a round; 0: each has a round of its own. */
  readonly turnMs: number;
  /** Requests per second; 0: closed loop. */
  readonly rate: number;
  readonly headers: number;
  readonly connections: number;
  /** The binary of another load generator. */
  readonly loadgen: string | undefined;
  readonly json: string | undefined;
}

/** What --target may name; the baseline comes with --baseline-dir or --baseline-env. */
const CHOICES = TARGETS.filter((name) => name !== "baseline");
const BROKERS: Readonly<Record<string, readonly BrokerName[]>> = {
  kafka: ["kafka"],
  standin: ["standin"],
  both: ["kafka", "standin"],
};

export const HELP = `Usage: npm run bench -- [options]

Drives the service and the naive assembly of grpc-js, proto-loader and kafkajs with the same load, in turns, and prints
events per CPU-second of each one's whole process tree. Read docs/benchmarks.md before quoting a number.

  --broker WHICH        kafka (a real one), standin (only acknowledges) or both (kafka; of the curve standin)
  --target NAMES        some of ${CHOICES.join(", ")}, with commas between them;
                        both: service and naive (both)
  --only NAME           this scenario; may be repeated: ${SCENARIOS.map((scenario) => scenario.name).join(", ")}
  --seconds N           what is measured of each round (6)
  --warm N              load before it, in seconds (3)
  --rounds N            rounds; each drives every target once (3)
  --starts N            start the targets anew this many times, each time for --rounds rounds (1); from 5 on, ratios have
                        an interval that knows how processes differ. Not for durability, idle, ready and curve
  --settle N            load of each target before the first round of a start, in seconds: what is young is still being
                        optimised (0)
  --turns MS            load the targets of a round together, in turns of so many milliseconds, rather than one by one (0);
                        where hundredths matter. Latencies hold the pauses then
  --rate N              open loop: requests per second, latency from when each was due; 0: as fast as answers come (0).
                        The curve's rate, too; open-2000 keeps its own
  --headers N           headers of an event (0)
  --connections N       connections of the load client (4); the curve has its own
  --baseline-dir DIR    another checkout, with its node_modules: one more target, "baseline"
  --baseline-env N=V    an environment variable of the baseline, which is this checkout if no other is given; may be repeated
  --service-env N=V     an environment variable of service and grpc-js, not of the baseline; may be repeated
  --loadgen FILE        another load generator with the same JSON fields, instead of bench/load.ts
  --json FILE           write everything that was measured
  --help                this text`;

/** @throws Error with one line per mistake. */
export function parseBenchOptions(args: readonly string[]): BenchOptions | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      broker: { type: "string" },
      target: { type: "string", default: "both" },
      only: { type: "string", multiple: true, default: [] },
      seconds: { type: "string", default: "6" },
      warm: { type: "string", default: "3" },
      settle: { type: "string", default: "0" },
      rounds: { type: "string", default: "3" },
      starts: { type: "string", default: "1" },
      turns: { type: "string", default: "0" },
      rate: { type: "string", default: "0" },
      headers: { type: "string", default: "0" },
      connections: { type: "string", default: "4" },
      "baseline-dir": { type: "string" },
      "baseline-env": { type: "string", multiple: true, default: [] },
      "service-env": { type: "string", multiple: true, default: [] },
      loadgen: { type: "string" },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const errors: string[] = [];
  const number = (
    name: "seconds" | "warm" | "settle" | "rounds" | "starts" | "turns" | "rate" | "headers" | "connections",
    min: number,
    max: number,
  ) => {
    const value = Number(values[name]);
    if (values[name] !== "" && value >= min && value <= max) return value;
    errors.push(`--${name}: give a number from ${min} to ${max}, not "${values[name]}"`);
    return min;
  };
  const baseline = values["baseline-dir"] ?? (values["baseline-env"].length > 0 ? ROOT : undefined);
  const baselineDir = baseline === undefined ? undefined : resolve(baseline);
  if (baselineDir !== undefined && !statSync(`${baselineDir}/src/main.ts`, { throwIfNoEntry: false })?.isFile()) {
    errors.push(`--baseline-dir: ${baselineDir} has no src/main.ts; give a checkout of this repository`);
  }
  const brokers = values.broker === undefined ? undefined : BROKERS[values.broker];
  if (values.broker !== undefined && brokers === undefined) {
    errors.push(`--broker: give ${Object.keys(BROKERS).join(", ")}, not "${values.broker}"`);
  }
  const targets = attempt(errors, () => parseTargets(values.target), []);
  const options: BenchOptions = {
    scenarios: attempt(errors, () => selectScenarios(values.only), []),
    brokers,
    targets: TARGETS.filter((name) => targets.includes(name) || (name === "baseline" && baselineDir !== undefined)),
    baselineDir,
    serviceEnv: attempt(errors, () => parseEnvironment("--service-env", values["service-env"]), {}),
    baselineEnv: attempt(errors, () => parseEnvironment("--baseline-env", values["baseline-env"]), {}),
    seconds: number("seconds", 0.5, 3600),
    warm: number("warm", 0, 3600),
    settle: number("settle", 0, 3600),
    rounds: Math.floor(number("rounds", 1, 1000)),
    starts: Math.floor(number("starts", 1, 1000)),
    turnMs: number("turns", 0, 60_000),
    rate: number("rate", 0, 1e7),
    headers: Math.floor(number("headers", 0, 1000)),
    connections: Math.floor(number("connections", 1, 10_000)),
    loadgen: values.loadgen === undefined ? undefined : resolve(values.loadgen),
    json: values.json === undefined ? undefined : resolve(values.json),
  };
  const paced = options.scenarios.find((scenario) => "rate" in scenario && scenario.rate > 0);
  if (options.turnMs > 0 && (options.rate > 0 || paced !== undefined)) {
    const what = options.rate > 0 ? "--rate" : `the scenario ${paced!.name}`;
    errors.push(`--turns: ${what} is an open loop, which a pause would put behind; use --only, without --rate`);
  }
  if (errors.length > 0) throw new Error(errors.join("\n"));
  return options;
}

function attempt<T>(errors: string[], read: () => T, otherwise: T): T {
  try {
    return read();
  } catch (error) {
    errors.push(error instanceof Error ? error.message : String(error));
    return otherwise;
  }
}

function parseTargets(text: string): TargetName[] {
  return text.split(",").flatMap((name): TargetName[] => {
    if (name === "both") return ["service", "naive"];
    const target = CHOICES.find((choice) => choice === name);
    if (target !== undefined) return [target];
    throw new Error(`--target: give both or some of ${CHOICES.join(",")}, not "${name}"`);
  });
}

function parseEnvironment(flag: string, assignments: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    assignments.map((assignment) => {
      const at = assignment.indexOf("=");
      if (at < 1) throw new Error(`${flag}: give NAME=VALUE, not "${assignment}"`);
      return [assignment.slice(0, at), assignment.slice(at + 1)];
    }),
  );
}
