// `npm run simulate`: the service in a world of virtual time, by seeds. docs/simulation.md says what it does.
//
// The seeds are shared out to child processes, because a run keeps one core busy. A failing seed prints what was wrong, the end
// of its trace, and the command that runs it again, which does the same to the last bit.

import { fork } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { mutate } from "../test/simulation/mutate.ts";
import { MUTATIONS } from "../test/simulation/mutations.ts";
import type { RunResult } from "../test/simulation/world.ts";

const HELP = `Runs the service against simulated brokers, disks and networks that fail by a seed.

  node scripts/simulate.ts [--seeds N] [--first SEED] [--seed SEED] [--trace] [--jobs N] [--mutation NAME]

  --seeds N        How many seeds (100).
  --first SEED     The first of them; default: a random one.
  --seed SEED      Only this one.
  --trace          Prints everything that happens; with --seed.
  --jobs N         Processes (the cores available, at most 4).
  --mutation NAME  With this fault put into the product; ends at the first seed that finds it:
                   ${Object.keys(MUTATIONS).join(", ")}
`;

const TAIL_LINES = 60;
const FAILURES_SHOWN = 5;

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

/** Runs seeds as they come from the parent, one at a time. */
async function child(mutation: string | undefined): Promise<void> {
  if (mutation !== undefined) mutate(MUTATIONS[mutation]!);
  const { simulate } = await import("../test/simulation/world.ts");
  process.on("message", (seed: number) => {
    void simulate(seed).then((result) => process.send!(result));
  });
  process.send!("ready");
}

export interface Totals {
  runs: number;
  failed: number[];
  events: number;
  virtualMs: number;
  readonly counts: Map<string, number>;
}

interface Job {
  readonly seeds: Iterator<number>;
  readonly mutation: string | undefined;
  readonly onResult: (result: RunResult) => void;
  readonly stop: () => boolean;
}

/** One child process, until there are no more seeds. */
async function work({ seeds, mutation, onResult, stop }: Job): Promise<void> {
  const args = ["--child", ...(mutation === undefined ? [] : ["--mutation", mutation])];
  const worker = fork(import.meta.filename, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const exited = once(worker, "exit");
  let current = -1;
  worker.on("message", (message: RunResult | "ready") => {
    if (message !== "ready") onResult(message);
    const next = stop() ? undefined : seeds.next();
    if (next === undefined || next.done === true) {
      current = -1;
      worker.kill();
    } else {
      current = next.value;
      worker.send(current);
    }
  });
  await exited;
  if (current >= 0) throw new Error(`the process that ran seed ${current} has ended`);
}

function tell(result: RunResult): void {
  print(`\nseed ${result.seed} FAILED after ${Math.round(result.virtualMs)} ms of virtual time:`);
  for (const violation of result.violations) print(`  ✖ ${violation}`);
  print("  the end of its trace:");
  for (const line of result.tail.slice(-TAIL_LINES)) print(`  | ${line.slice(0, 240)}`);
  print(`  again: npm run simulate -- --seed ${result.seed} --trace`);
}

/** @returns the totals over all seeds, or up to the first failure of a mutated product. */
export async function simulateAll(
  first: number,
  count: number,
  jobs: number,
  mutation?: string,
  report: (result: RunResult, totals: Totals) => void = () => undefined,
): Promise<Totals> {
  const totals: Totals = { runs: 0, failed: [], events: 0, virtualMs: 0, counts: new Map() };
  const seeds = (function* () {
    for (let seed = first; seed < first + count; seed++) yield seed;
  })();
  const onResult = (result: RunResult): void => {
    totals.runs++;
    totals.events += result.events;
    totals.virtualMs += result.virtualMs;
    for (const [what, times] of Object.entries(result.counts)) {
      totals.counts.set(what, (totals.counts.get(what) ?? 0) + times);
    }
    if (result.violations.length > 0) totals.failed.push(result.seed);
    report(result, totals);
  };
  const stop = (): boolean => mutation !== undefined && totals.failed.length > 0;
  await Promise.all(Array.from({ length: Math.min(jobs, count) }, () => work({ seeds, mutation, onResult, stop })));
  return totals;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "100" },
      first: { type: "string" },
      seed: { type: "string" },
      trace: { type: "boolean", default: false },
      jobs: { type: "string" },
      mutation: { type: "string" },
      child: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const { mutation } = values;
  if (mutation !== undefined && MUTATIONS[mutation] === undefined) {
    process.stderr.write(`simulate: there is no mutation ${mutation}; see --help\n`);
    return 2;
  }
  if (values.child) {
    await child(mutation);
    return 0;
  }
  if (values.seed !== undefined) {
    if (mutation !== undefined) mutate(MUTATIONS[mutation]!);
    const { simulate } = await import("../test/simulation/world.ts");
    const result = await simulate(Number(values.seed), values.trace ? { print } : {});
    if (result.violations.length > 0) tell(result);
    else print(`seed ${result.seed} passed: ${result.events} events, ${result.steps} steps, trace ${result.hash}`);
    return result.violations.length > 0 ? 1 : 0;
  }
  const first = values.first === undefined ? Math.floor(Math.random() * 1e9) : Number(values.first);
  const count = Number(values.seeds);
  const jobs = values.jobs === undefined ? Math.min(4, availableParallelism()) : Number(values.jobs);
  print(`seeds ${first} to ${first + count - 1}, ${jobs} at a time`);
  const began = performance.now();
  const totals = await simulateAll(first, count, jobs, mutation, (result, { runs, failed }) => {
    if (result.violations.length > 0 && failed.length <= FAILURES_SHOWN) tell(result);
    if (runs % 100 === 0) print(`${runs} of ${count} seeds, ${failed.length} failed`);
  });
  const seconds = (performance.now() - began) / 1000;
  const counts = [...totals.counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([what, times]) => `${what} ${times}`);
  print(`\nwhat went wrong in them: ${counts.join(", ")}`);
  print(
    `${totals.runs - totals.failed.length} passed, ${totals.failed.length} failed: ${totals.events} events and ` +
      `${Math.round(totals.virtualMs / 3_600_000)} hours of virtual time in ${seconds.toFixed(1)} s (${(totals.runs / seconds).toFixed(1)} seeds/s)`,
  );
  if (totals.failed.length > 0) print(`failed seeds: ${totals.failed.join(" ")}`);
  return totals.failed.length > 0 ? 1 : 0;
}

if (import.meta.main) process.exitCode = await main();
