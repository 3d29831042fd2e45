// Measures one scenario and gives its row of the report.
//
// All targets of a row run at the same time and are loaded in turns, A B B A, within one run: what a shared machine does
// to one round it does to its pair, so the ratio of a pair holds where the absolute numbers do not. A target that is not
// loaded waits on its sockets and costs next to nothing, and only its own process tree is counted for it. Where hundredths
// matter, turns are a part of a second instead of a round (turns.ts).
//
// Two processes of the same code differ by some hundredths for as long as they live, which no number of rounds evens out. So a
// load's targets can be started several times, and all pairs of all starts count; a pair is always of one start.
//
// What PERSISTED costs is counted until its events are in Kafka: a round is over when the spool is empty, and the CPU of the
// whole round, warming up included, is set against all events that were stored in it.

import { setTimeout as sleep } from "node:timers/promises";
import { type Curve, measureCurve } from "./curve.ts";
import { runLoad, type Stage } from "./load-process.ts";
import type { LoadResult } from "./load/result.ts";
import { measureTree } from "./process-tree.ts";
import type { DurabilityScenario, LoadScenario, Scenario } from "./scenarios.ts";
import { type Interval, median, medianInterval } from "./statistics.ts";
import { isService, startTarget, type Target, type TargetName } from "./targets.ts";
import { Turns } from "./turns.ts";

const IDLE_SETTLE_MS = 3000;
const IDLE_MS = 20_000;
const REST_WORKERS = 2;
/** What a scrape shows is no older than this. */
const METRICS_AGE_MS = 1_500;
const SPOOL_EMPTY_MS = 60_000;

/** The medians of a target's rounds, and the rounds. */
export interface TargetLoad extends Omit<LoadResult, "first_error"> {
  readonly target: TargetName | DurabilityName;
  readonly first_error: string | null;
  /** Resident megabytes of the service's worker after each round; empty for what has no workers. */
  readonly worker_rss_mb: readonly number[];
  /** Start by start, of each as many. */
  readonly rounds: readonly LoadResult[];
}

/** How much more events a CPU-second of one target brings in: the median of the rounds' pairs, how sure it is, and their range. */
export interface Ratio {
  readonly of: TargetName | DurabilityName;
  readonly to: TargetName | DurabilityName;
  readonly median: number;
  /** undefined: too few starts, or rounds of the only one. */
  readonly interval: Interval | undefined;
  readonly min: number;
  readonly max: number;
  /** The same of requests a second: the median of the pairs. */
  readonly requestsPerSecond: number;
}

/** A service without load. */
export interface Idle {
  readonly target: TargetName;
  readonly cpu_percent: number;
  /** Resident megabytes of each worker at the end. */
  readonly worker_rss_mb: readonly number[];
}

/** As the contract numbers them. */
const DURABILITIES = { persisted: 2, replicated: 1 } as const;
type DurabilityName = keyof typeof DURABILITIES;

export type Row = { readonly scenario: string; readonly broker: string } & (
  | {
      readonly kind: "load";
      /** Requests per second of an open loop; 0: closed. */
      readonly rate: number;
      /** How often the targets were started. */
      readonly starts: number;
      /** Milliseconds of a target's turns within a round; 0: each has a round of its own. */
      readonly turnMs: number;
      readonly targets: readonly TargetLoad[];
      readonly ratios: readonly Ratio[];
    }
  | {
      readonly kind: "idle";
      readonly targets: readonly Idle[];
    }
  | { readonly kind: "ready"; readonly targets: readonly { readonly target: TargetName; readonly ready_ms: number }[] }
  | { readonly kind: "curve"; readonly targets: readonly Curve[] }
);

/** @returns undefined if the scenario has none of the chosen targets. */
export async function measureRow(scenario: Scenario, stage: Stage): Promise<Row | undefined> {
  // Without brokers there is nothing to compare.
  if (scenario.kind === "durability" && (stage.bootstrap === undefined || !stage.options.targets.includes("service")))
    return undefined;
  const names = stage.options.targets.filter((name) => takes(scenario, name));
  if (names.length === 0) return undefined;
  const row = { scenario: scenario.name, broker: stage.broker };
  switch (scenario.kind) {
    case "load": {
      const rate = scenario.rate > 0 ? scenario.rate : stage.options.rate;
      const { starts, turnMs } = stage.options;
      return { ...row, kind: "load", rate, starts, turnMs, ...(await measureLoad(scenario, names, stage)) };
    }
    case "durability":
      return {
        ...row,
        kind: "load",
        rate: stage.options.rate,
        starts: 1,
        turnMs: 0,
        ...(await measureDurabilities(scenario, stage)),
      };
    case "idle":
      return { ...row, kind: "idle", targets: await inTurn(names, (name) => measureIdle(name, stage)) };
    case "ready":
      return { ...row, kind: "ready", targets: await inTurn(names, (name) => measureReady(name, stage)) };
    case "curve":
      return { ...row, kind: "curve", targets: await inTurn(names, (name) => measureCurve(name, stage)) };
    default:
      return scenario satisfies never;
  }
}

/** The naive assembly and the sinks have neither spool nor workers, and the former cannot hold the curve's rate. */
function takes(scenario: Scenario, target: TargetName): boolean {
  if (scenario.kind === "curve") return target !== "naive";
  return isService(target) || (scenario.kind === "load" && !scenario.persisted);
}

async function measureLoad(scenario: LoadScenario, names: readonly TargetName[], stage: Stage) {
  const { options } = stage;
  // By target, and of each by start.
  const rounds = names.map(() => Array.from({ length: options.starts }, (): LoadResult[] => []));
  const workers = names.map((): number[] => []);
  for (let start = 0; start < options.starts; start++) {
    // A start writes some ten gigabytes when it settles: all of them together fill a disk.
    if (start > 0) await stage.freshTopics();
    await loadOnce(scenario, thereAndBack([...names.entries()], start), stage, (i, target, result) => {
      rounds[i]![start]!.push(result);
      if (isService(target.name)) workers[i]!.push(...workersMegabytes(target));
    });
  }
  return {
    targets: names.map((target, i) => summarize(target, rounds[i]!.flat(), workers[i])),
    ratios: names.slice(1).map((to, i) => ratio(names[0]!, to, rounds[0]!, rounds[i + 1]!)),
  };
}

/** With its place in the row. */
type Numbered<T> = readonly [number, T];
type Measured = (i: number, target: Target, result: LoadResult) => void;

/** Starts targets in this order, loads them for all rounds and ends them. */
async function loadOnce(
  scenario: LoadScenario,
  names: readonly Numbered<TargetName>[],
  stage: Stage,
  measured: Measured,
): Promise<void> {
  const { options, bootstrap, signal } = stage;
  await using stack = new AsyncDisposableStack();
  const targets: Numbered<Target>[] = [];
  for (const [i, name] of names) {
    targets.push([i, stack.use(await startTarget(name, bootstrap, 1, { ...options, signal }))]);
  }
  const load = options.turnMs > 0 ? loadTogether : loadOneByOne;
  if (options.settle > 0) {
    const settling = { ...stage, options: { ...options, warm: 0, seconds: options.settle } };
    await load(scenario, targets, settling, () => {});
  }
  for (let round = 0; round < options.rounds; round++) {
    await load(scenario, thereAndBack(targets, round), stage, measured);
  }
}

/** Loads each target for a round. */
async function loadOneByOne(
  scenario: LoadScenario,
  targets: readonly Numbered<Target>[],
  stage: Stage,
  measured: Measured,
): Promise<void> {
  for (const [i, target] of targets) measured(i, target, await runLoad(scenario, target, stage));
}

/** Loads all targets for a round in turns, as long as each would have been loaded by itself. */
async function loadTogether(
  scenario: LoadScenario,
  targets: readonly Numbered<Target>[],
  stage: Stage,
  measured: Measured,
): Promise<void> {
  const { length } = targets;
  const { warm, seconds, turnMs } = stage.options;
  await using turns = new Turns(turnMs);
  // All of it is measured: the turns' CPU is that of all turns.
  const ownSeconds = warm + seconds;
  const together = { ...stage, turns, options: { ...stage.options, warm: 0, seconds: ownSeconds * length } };
  const loads = targets.map(async ([, target]) => {
    const result = await runLoad(scenario, target, together);
    return ofItsTurns(result, length, turns.cpuSeconds(target.pid) / ownSeconds);
  });
  // Each client is waited for, even if another one fails.
  await Promise.allSettled(loads);
  const results = await Promise.all(loads);
  for (const [at, [i, target]] of targets.entries()) measured(i, target, results[at]!);
}

/** The client's rates are of the whole time, of which it had one turn of so many. @param serverCores in its turns. */
function ofItsTurns(result: LoadResult, of: number, serverCores: number): LoadResult {
  const requestsPerSecond = result.requests_per_s * of;
  const eventsPerSecond = result.events_per_s * of;
  return {
    ...result,
    requests_per_s: requestsPerSecond,
    events_per_s: eventsPerSecond,
    mb_per_s: result.mb_per_s * of,
    client_cores: result.client_cores * of,
    server_cores: serverCores,
    events_per_cpu_s: Math.round(eventsPerSecond / serverCores),
    requests_per_cpu_s: Math.round(requestsPerSecond / serverCores),
  };
}

/** Whoever comes first in a round meets a machine that has rested, and who starts first an empty one: each is first in turn. */
function thereAndBack<T>(items: readonly T[], turn: number): readonly T[] {
  return turn % 2 === 0 ? items : items.toReversed();
}

async function measureDurabilities(scenario: DurabilityScenario, stage: Stage) {
  const { options, bootstrap, signal } = stage;
  await using target = await startTarget("service", bootstrap, 1, { ...options, signal });
  const names = ["persisted", "replicated"] as const;
  const rounds = { persisted: [] as LoadResult[], replicated: [] as LoadResult[] };
  for (let round = 0; round < options.rounds; round++) {
    for (const name of names) {
      const before = { cpu: measureTree(target.pid).cpuSeconds, stored: await storedEvents(target) };
      const result = await runLoad(scenario, target, stage, DURABILITIES[name]);
      await spoolEmpty(target, signal);
      const cpu = measureTree(target.pid).cpuSeconds - before.cpu;
      const stored = (await storedEvents(target)) - before.stored;
      rounds[name].push({ ...result, events_per_cpu_s: Math.round(stored / cpu) });
    }
  }
  return {
    targets: names.map((name) => summarize(name, rounds[name])),
    ratios: [ratio("persisted", "replicated", [rounds.persisted], [rounds.replicated])],
  };
}

async function metricSum(target: Target, metric: string): Promise<number> {
  const response = await fetch(`http://${target.admin}/metrics`);
  const lines = (await response.text()).split("\n").filter((line) => line.startsWith(`${metric}{`));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

async function storedEvents(target: Target): Promise<number> {
  // Workers push their metrics once a second.
  await sleep(METRICS_AGE_MS);
  return await metricSum(target, "sluice_events_stored_total");
}

async function spoolEmpty(target: Target, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + SPOOL_EMPTY_MS;
  do {
    await sleep(METRICS_AGE_MS, undefined, { signal });
    target.assertRuns();
    if (performance.now() > deadline) throw new Error(`the spool is not empty after ${SPOOL_EMPTY_MS} ms`);
  } while ((await metricSum(target, "sluice_events_spooled")) > 0);
}

function workersMegabytes({ pid }: Target): number[] {
  return measureTree(pid).childrenRssBytes.map((bytes) => bytes / 1e6);
}

function summarize(
  target: TargetName | DurabilityName,
  rounds: readonly LoadResult[],
  workerMegabytes: readonly number[] = [],
): TargetLoad {
  const medianOf = (field: keyof Omit<LoadResult, "first_error">) => median(rounds.map((round) => round[field]));
  const sumOf = (field: "errors" | "failed") => rounds.reduce((sum, round) => sum + round[field], 0);
  return {
    target,
    requests_per_s: medianOf("requests_per_s"),
    events_per_s: medianOf("events_per_s"),
    mb_per_s: medianOf("mb_per_s"),
    p50_ms: medianOf("p50_ms"),
    p99_ms: medianOf("p99_ms"),
    p999_ms: medianOf("p999_ms"),
    errors: sumOf("errors"),
    failed: sumOf("failed"),
    first_error: rounds.find((round) => round.first_error !== null)?.first_error ?? null,
    client_cores: medianOf("client_cores"),
    server_cores: medianOf("server_cores"),
    rss_mb: Math.max(...rounds.map((round) => round.rss_mb)),
    worker_rss_mb: workerMegabytes,
    events_per_cpu_s: medianOf("events_per_cpu_s"),
    requests_per_cpu_s: medianOf("requests_per_cpu_s"),
    rounds,
  };
}

type Efficiency = Pick<LoadResult, "events_per_cpu_s" | "requests_per_s">;

/** @param ours the rounds of each start. */
export function ratio(
  of: TargetName | DurabilityName,
  to: TargetName | DurabilityName,
  ours: readonly (readonly Efficiency[])[],
  theirs: readonly (readonly Efficiency[])[],
): Ratio {
  const pairsOf = (field: "events_per_cpu_s" | "requests_per_s") =>
    ours.map((rounds, start) => rounds.map((our, round) => our[field] / theirs[start]![round]![field]));
  const starts = pairsOf("events_per_cpu_s");
  const pairs = starts.flat();
  return {
    of,
    to,
    median: median(pairs),
    interval: medianInterval(starts),
    min: Math.min(...pairs),
    max: Math.max(...pairs),
    requestsPerSecond: median(pairsOf("requests_per_s").flat()),
  };
}

async function measureIdle(target: TargetName, { options, bootstrap, signal }: Stage): Promise<Idle> {
  await using started = await startTarget(target, bootstrap, REST_WORKERS, { ...options, signal });
  await sleep(IDLE_SETTLE_MS, undefined, { signal });
  const startMs = performance.now();
  const before = measureTree(started.pid).cpuSeconds;
  await sleep(IDLE_MS, undefined, { signal });
  const used = measureTree(started.pid).cpuSeconds - before;
  const cpu_percent = (100_000 * used) / (performance.now() - startMs);
  return { target, cpu_percent, worker_rss_mb: workersMegabytes(started) };
}

async function measureReady(target: TargetName, { options, bootstrap, signal }: Stage) {
  const times: number[] = [];
  for (let round = 0; round < options.rounds; round++) {
    await using started = await startTarget(target, bootstrap, REST_WORKERS, { ...options, signal });
    times.push(started.readyMs);
  }
  return { target, ready_ms: median(times) };
}

async function inTurn<T>(names: readonly TargetName[], measure: (name: TargetName) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (const name of names) results.push(await measure(name));
  return results;
}
