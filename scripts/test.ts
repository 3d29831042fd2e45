// `npm test`: every test file of the repository, with one real Kafka broker for those that need it.
//
// Several processes run at a time, since much of what is tested waits for something to happen, and unit tests share processes
// (test/sharing.ts). Those that load the real broker run alone, so that their time limits mean the same on a small machine.
// Judges (programs of others) are fetched and built before their tests begin.
// What ends is told at once: a line per file that passes, everything about one that fails. The last line is
// `N passed, N failed`, with `, N skipped` if there are any, and the exit code is 1 if anything failed.

import { globSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";

import { missingForBrowser } from "./chromium.ts";
import { judge, JUDGES, missingJudges } from "./judges.ts";
import { type KafkaCluster, missingForKafka, SHARED_KAFKA, startKafka } from "./kafka.ts";
import { groupsOf } from "./test/sharing.ts";
import { type FileResult, runTestFiles } from "./test/test-process.ts";

const HELP = `Runs the tests.

  node scripts/test.ts [--unit] [PATH]...

  --unit   Only those that need no broker, no process of the service, no program of others and no browser.
  PATH     Only files under this path, or whose path holds this text.
`;

const ROOT = join(import.meta.dirname, "..");
/** One more than small machines have cores: some wait. */
const UNIT = { concurrency: 3, timeoutMs: 120_000 } as const;
const SERVICE = { concurrency: 2, timeoutMs: 300_000 } as const;
/** What Node.js has compiled, with the types stripped, for the next process that loads it. */
const COMPILED = join(ROOT, ".cache", "compiled");
const KAFKA = { concurrency: 1, timeoutMs: 300_000 } as const;

interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function select(filters: readonly string[], unitOnly: boolean) {
  const all = globSync("test/**/*.test.ts", { cwd: ROOT }).sort();
  const chosen = filters.length === 0 ? all : all.filter((file) => filters.some((filter) => matches(file, filter)));
  const kafka = chosen.filter((file) => file.endsWith(".kafka.test.ts"));
  const service = chosen.filter((file) => file.endsWith(".service.test.ts"));
  const judged = chosen.filter((file) => file.endsWith(".judge.test.ts"));
  const browser = chosen.filter((file) => file.endsWith(".browser.test.ts"));
  const unit = chosen.filter((file) => ![...kafka, ...service, ...judged, ...browser].includes(file));
  return unitOnly
    ? { unit, service: [], judged: [], browser: [], kafka: [] }
    : { unit, service, judged, browser, kafka };
}

function matches(file: string, filter: string): boolean {
  const path = relative(ROOT, resolve(filter));
  return file === path || file.startsWith(`${path}/`) || file.includes(filter);
}

async function runAll(
  groups: readonly (readonly string[])[],
  options: { readonly concurrency: number; readonly timeoutMs: number },
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
  totals: Totals,
): Promise<void> {
  const queue = [...groups];
  const worker = async (): Promise<void> => {
    for (let group = queue.shift(); group !== undefined && !signal.aborted; group = queue.shift()) {
      const files = group.map((file) => join(ROOT, file));
      for (const result of await runTestFiles(files, { root: ROOT, timeoutMs: options.timeoutMs, env, signal })) {
        totals.passed += result.passed;
        totals.failed += result.failures.length;
        totals.skipped += result.skipped;
        print(describe(result));
      }
    }
  };
  await Promise.all(Array.from({ length: options.concurrency }, worker));
}

function each(files: readonly string[]): string[][] {
  return files.map((file) => [file]);
}

function describe({ file, passed, skipped, durationMs, failures, output }: FileResult): string {
  const counts = [`${passed} passed`];
  if (failures.length > 0) counts.push(`${failures.length} failed`);
  if (skipped > 0) counts.push(`${skipped} skipped`);
  const line = `${failures.length > 0 ? "FAIL" : "ok  "} ${file}  (${counts.join(", ")}, ${(durationMs / 1000).toFixed(1)} s)`;
  if (failures.length === 0) return line;
  const printed = output.trim() === "" ? [] : ["  it printed:", indent(output.trimEnd(), "  | ")];
  return [line, ...failures.map((failure) => indent(failure, "    ").replace("    ", "  ✖ ")), ...printed].join("\n");
}

function indent(text: string, by: string): string {
  return text.replaceAll(/^/gm, by);
}

async function main(): Promise<number> {
  const options = { unit: { type: "boolean", default: false }, help: { type: "boolean", default: false } } as const;
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const { unit, service, judged, browser, kafka } = select(positionals, values.unit);
  if (unit.length + service.length + judged.length + browser.length + kafka.length === 0) {
    process.stderr.write(`test: no test file matches ${positionals.join(" ")}\n`);
    return 1;
  }
  const interrupted = new AbortController();
  const interrupt = (): void => {
    interrupted.abort();
  };
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt);

  const totals: Totals = { passed: 0, failed: 0, skipped: 0 };
  const env = { ...process.env };
  delete env[SHARED_KAFKA];
  const { signal } = interrupted;
  const missing = kafka.length === 0 ? undefined : await missingForKafka();
  const isFailure = (process.env["CI"] ?? "") === "true";
  const how = isFailure ? "FAILED" : "SKIPPED";
  const missingBrowser = browser.length === 0 ? undefined : await missingForBrowser();
  const unrun = (files: readonly string[], need: string, why: string): string =>
    `${how}: ${files.length} test files that need ${need} did not run (${files.join(", ")}), because ${why}`;
  const loud: string[] = [];
  if (missing !== undefined) loud.push(unrun(kafka, "real Kafka", missing));
  if (missingBrowser !== undefined) loud.push(unrun(browser, "a browser", missingBrowser));
  if (judged.length > 0) loud.push(...(await missingJudges()).map((line) => `${how}: nothing is judged by ${line}`));
  for (const line of loud) print(`!!! ${line}`);

  await runAll(groupsOf(unit, ROOT), UNIT, { ...env, NODE_COMPILE_CACHE: COMPILED }, signal, totals);
  await runAll(each(service), SERVICE, env, signal, totals);
  if (judged.length > 0 && !signal.aborted) {
    await prepareJudges();
    await runAll(each(judged), SERVICE, env, signal, totals);
  }
  const notRun = [...(missing === undefined ? [] : kafka), ...(missingBrowser === undefined ? [] : browser)];
  if (isFailure) totals.failed += notRun.length;
  else totals.skipped += notRun.length;
  if (missingBrowser === undefined) await runAll(each(browser), SERVICE, env, signal, totals);
  if (missing === undefined && kafka.length > 0 && !signal.aborted) {
    await withBroker(totals, async (cluster) => {
      await runAll(each(kafka), KAFKA, { ...env, [SHARED_KAFKA]: cluster.bootstrap }, signal, totals);
    });
  }

  if (signal.aborted) print("Interrupted.");
  for (const line of loud) print(`\n!!! ${line}`);
  if (isFailure && totals.skipped > 0) {
    print(`\n!!! FAILED: ${totals.skipped} tests were skipped; install what they miss (see above)`);
    totals.failed += totals.skipped;
    totals.skipped = 0;
  }
  const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : "";
  print(`\n${totals.passed} passed, ${totals.failed} failed${skipped}`);
  return totals.failed > 0 || signal.aborted ? 1 : 0;
}

/** What cannot be fetched or built fails the tests that need it. */
async function prepareJudges(): Promise<void> {
  for (const name of JUDGES) {
    await judge(name).catch((error: unknown) => {
      print(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    });
  }
}

async function withBroker(totals: Totals, body: (cluster: KafkaCluster) => Promise<void>): Promise<void> {
  let cluster: KafkaCluster;
  try {
    cluster = await startKafka();
  } catch (error) {
    totals.failed += 1;
    print(`FAIL the shared Kafka broker\n${indent(error instanceof Error ? error.message : String(error), "    ")}`);
    return;
  }
  try {
    await body(cluster);
  } finally {
    await cluster.stop();
  }
}

if (import.meta.main) process.exitCode = await main();
