// `npm run fuzz`: the native server against bytes of clients that were cut and changed. test/http2/fuzz/ is what does it.

import { parseArgs } from "node:util";
import { BUGS } from "../test/http2/fuzz/bugs.ts";
import type { Fuzzer } from "../test/http2/fuzz/fuzz.ts";
import { describe, FrameSplitter, PREFACE } from "../test/http2/support/frames.ts";
import { mutate } from "../test/simulation/mutate.ts";

const HELP = `Runs the native server against bytes of clients that were cut and changed.

  node scripts/fuzz.ts [--cases N] [--seed SEED] [--case N] [--bug NAME]

  --cases N    How many cases (1,000,000).
  --seed SEED  What they come from; default: a random one.
  --case N     Only this one of the seed, and what it sends.
  --bug NAME   With this bug put into the server; ends at the first case that finds it:
               ${Object.keys(BUGS).join(", ")}
`;

const FAILURES_MAX = 20;
const REPORT_MS = 10_000;
/** A prime, so that it comes to every case. */
const STRIDE = 7_919;

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.name === "Violation" ? error.message : (error.stack ?? error.message);
}

/** @returns what is wrong with the case, or undefined. */
function run(fuzzer: Fuzzer, number: number): string | undefined {
  try {
    fuzzer.run(number);
    return undefined;
  } catch (error) {
    return textOf(error);
  }
}

function show(fuzzer: Fuzzer, number: number): number {
  const { what, chunks } = fuzzer.prepare(number);
  print(
    `seed ${fuzzer.seed}, case ${number}: ${what}, in pieces of ${chunks.map(({ length }) => length).join(", ")} bytes`,
  );
  const splitter = new FrameSplitter();
  for (const frame of splitter.push(Buffer.concat(chunks).subarray(PREFACE.length))) {
    print(`  ${describe(frame).padEnd(50)} ${frame.payload.toString("hex")}`);
  }
  if (splitter.rest.length > 0) print(`  and ${splitter.rest.length} bytes more: ${splitter.rest.toString("hex")}`);
  const failure = run(fuzzer, number);
  print(failure === undefined ? "passed" : `FAILED: ${failure}`);
  return failure === undefined ? 0 : 1;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      cases: { type: "string", default: "1000000" },
      seed: { type: "string" },
      case: { type: "string" },
      bug: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const { bug } = values;
  if (bug !== undefined && BUGS[bug] === undefined) {
    process.stderr.write(`fuzz: there is no bug ${bug}; see --help\n`);
    return 2;
  }
  if (bug !== undefined) mutate(BUGS[bug]!);
  // After that, for the server comes with it.
  const { Fuzzer } = await import("../test/http2/fuzz/fuzz.ts");
  const withBug = bug === undefined ? "" : ` --bug ${bug}`;
  const failuresMax = bug === undefined ? FAILURES_MAX : 1;
  const seed = values.seed === undefined ? Math.floor(Math.random() * 1e9) : Number(values.seed);
  const fuzzer = new Fuzzer(seed);
  if (values.case !== undefined) return show(fuzzer, Number(values.case));
  const cases = Number(values.cases);
  print(`seed ${seed}, ${cases} cases, ${fuzzer.honestCases} of which change nothing but the cuts`);
  let failed = 0;
  let reportAtMs = performance.now() + REPORT_MS;
  for (let i = 0; i < cases && failed < failuresMax; i++) {
    // A bug is found sooner if not all cases of one recording come first.
    const number = bug === undefined ? i : (i * STRIDE) % cases;
    const failure = run(fuzzer, number);
    if (failure !== undefined) {
      failed++;
      print(`\ncase ${number} FAILED: ${failure}\n  again: npm run fuzz -- --seed ${seed} --case ${number}${withBug}`);
    }
    if (performance.now() < reportAtMs) continue;
    reportAtMs += REPORT_MS;
    print(`${i + 1} of ${cases} cases, ${failed} failed`);
  }
  print(failed === 0 ? `${cases} passed` : `${failed} failed`);
  return failed > 0 ? 1 : 0;
}

if (import.meta.main) process.exitCode = await main();
