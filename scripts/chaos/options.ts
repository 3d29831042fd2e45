// The command line of a run.

import { parseArgs } from "node:util";
import type { Fault } from "./fault.ts";
import { FAULTS } from "./faults.ts";

export const HELP = `Breaks a real cluster and the service in every way there is, under load, and compares what was
acknowledged with what is in Kafka.

Usage: npm run chaos -- [options]

  --minutes N    how long faults go on coming; the first round of all is completed in any case (6)
  --seed N       the order of faults, and the load (a random one)
  --faults A,B   only these (all)
  --rate N       events a second (2000)
  --hold N       how long faults last, as a factor of their usual time (1)
  --json         prints the result as JSON, and the log on standard error
  --keep         keeps the record and the service's log, also if nothing was found
  --help         this text

Faults:
${FAULTS.map(({ name, about }) => `  ${name.padEnd(17)}${about}`).join("\n")}

The exit code is 1 if an acknowledged event is missing, if there is a duplicate or a change of order that the guarantees
do not allow, or if the service's ledger does not balance. docs/chaos.md says how to read the table.`;

export interface CommandLine {
  readonly minutes: number;
  readonly seed: number;
  readonly faults: readonly Fault[];
  readonly rate: number;
  readonly hold: number;
  readonly json: boolean;
  readonly keep: boolean;
}

/** @throws TypeError with one line per mistake. */
export function parseChaosOptions(args: readonly string[], randomSeed: number): CommandLine | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: "string", default: "6" },
      seed: { type: "string", default: String(randomSeed) },
      faults: { type: "string" },
      rate: { type: "string", default: "2000" },
      hold: { type: "string", default: "1" },
      json: { type: "boolean", default: false },
      keep: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const mistakes: string[] = [];
  const number = (name: "minutes" | "seed" | "rate" | "hold", min: number, max: number): number => {
    const value = Number(values[name]);
    if (values[name] === "" || !(value >= min && value <= max))
      mistakes.push(`--${name}: give a number from ${min} to ${max}, not "${values[name]}"`);
    return value;
  };
  const faults = (values.faults?.split(",") ?? FAULTS.map(({ name }) => name)).flatMap((name) => {
    const fault = FAULTS.find((each) => each.name === name);
    if (fault === undefined) mistakes.push(`--faults: there is no fault "${name}"; --help lists them`);
    return fault ?? [];
  });
  const options = {
    minutes: number("minutes", 0, 24 * 60),
    seed: Math.floor(number("seed", 0, 2 ** 32)),
    faults,
    rate: number("rate", 10, 20_000),
    hold: number("hold", 0.05, 10),
    json: values.json,
    keep: values.keep,
  };
  if (mistakes.length > 0) throw new TypeError(mistakes.join("\n"));
  return options;
}
