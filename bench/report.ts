// Prints what was measured: where, then a block per row.

import { execFileSync } from "node:child_process";
import { availableParallelism, cpus, loadavg, release } from "node:os";
import { formatCurve } from "./curve-report.ts";
import type { Overall } from "./overall.ts";
import type { Ratio, Row, TargetLoad } from "./rows.ts";
import { describe, SCENARIOS } from "./scenarios.ts";
import { median, SAMPLE_MIN } from "./statistics.ts";
import { ROOT } from "./targets.ts";

/** Where a run was made: numbers of two environments must not be compared. */
export interface Environment {
  readonly commit: string;
  /** True: files differ from the commit. */
  readonly dirty: boolean;
  readonly node: string;
  readonly cores: number;
  readonly cpu: string;
  readonly kernel: string;
  /** The load of the last minute, before the run. */
  readonly load_average: number;
  readonly started: string;
}

export function environment(): Environment {
  return {
    commit: git("rev-parse", "HEAD") ?? "unknown",
    dirty: (git("status", "--porcelain") ?? "") !== "",
    node: process.version,
    cores: availableParallelism(),
    cpu: cpus()[0]?.model ?? "unknown",
    kernel: release(),
    load_average: loadavg()[0] ?? 0,
    started: new Date().toISOString(),
  };
}

export function formatEnvironment({ commit, dirty, node, cores, cpu, load_average }: Environment): string {
  const state = dirty ? " with changes" : "";
  return `commit ${commit.slice(0, 12)}${state}, Node ${node}, ${cores} cores (${cpu}), load average ${load_average.toFixed(2)}`;
}

export function formatRow(row: Row): string {
  const scenario = SCENARIOS.find(({ name }) => name === row.scenario);
  const title = `${row.scenario} (${row.broker}): ${scenario === undefined ? "" : describe(scenario)}`;
  switch (row.kind) {
    case "load":
      return [
        title,
        ...loadTable(row.targets),
        ...(row.turnMs > 0 ? [`  in turns of ${row.turnMs} ms: latencies hold the pauses`] : []),
        ...row.ratios.map((ratio) => formatRatio(ratio, row.starts)),
        ...formatWorkers(row.targets),
        ...(row.rate > 0 ? formatLatencies(row.targets) : []),
        ...problems(row.targets),
      ].join("\n");
    case "idle":
      return [
        title,
        ...row.targets.map((t) => `  ${t.target.padEnd(NAME_WIDTH)}${t.cpu_percent.toFixed(2)} % of a core`),
        ...formatWorkers(row.targets),
      ].join("\n");
    case "ready":
      return [title, ...row.targets.map((t) => `  ${t.target.padEnd(NAME_WIDTH)}${t.ready_ms.toFixed(0)} ms`)].join(
        "\n",
      );
    case "curve":
      return [title, ...row.targets.flatMap(formatCurve), ...problems(row.targets)].join("\n");
    default:
      return row satisfies never;
  }
}

interface Column {
  readonly title: string;
  readonly width: number;
  readonly text: (load: TargetLoad) => string;
}

const LATENCY_ALLOWANCE_MS = 5;
const NAME_WIDTH = 13;

const whole = (value: number) => Math.round(value).toLocaleString("en-US");

const COLUMNS: readonly Column[] = [
  { title: "events/CPU-s", width: 14, text: (load) => whole(load.events_per_cpu_s) },
  { title: "events/s", width: 12, text: (load) => whole(load.events_per_s) },
  { title: "requests/s", width: 12, text: (load) => whole(load.requests_per_s) },
  { title: "cores", width: 8, text: (load) => load.server_cores.toFixed(2) },
  { title: "p50 ms", width: 10, text: (load) => load.p50_ms.toFixed(2) },
  { title: "p99 ms", width: 10, text: (load) => load.p99_ms.toFixed(2) },
  { title: "RSS MB", width: 8, text: (load) => whole(load.rss_mb) },
  { title: "client", width: 8, text: (load) => load.client_cores.toFixed(2) },
];

function loadTable(loads: readonly TargetLoad[]): string[] {
  const head = `  ${"".padEnd(NAME_WIDTH)}${COLUMNS.map(({ title, width }) => title.padStart(width)).join("")}`;
  const lines = loads.map((load) => {
    const cells = COLUMNS.map(({ width, text }) => text(load).padStart(width));
    return `  ${load.target.padEnd(NAME_WIDTH)}${cells.join("")}`;
  });
  return [head, ...lines];
}

/** How one compares with the other, and how sure that is: of one start, it is only of the processes that were measured. */
export function formatRatio(
  { of, to, median, interval, min, max }: Omit<Ratio, "requestsPerSecond">,
  starts: number,
): string {
  // Two of nearly the same efficiency are compared because hundredths matter.
  const digits = median < 2 ? 3 : 2;
  const text = (ratio: number) => `${ratio.toFixed(digits)}x`;
  const sure =
    interval === undefined
      ? `not sure: fewer than ${SAMPLE_MIN} ${starts === 1 ? "rounds" : "starts"}`
      : `95 % sure${starts === 1 ? " for this start" : ""}: ${text(interval.low)} to ${text(interval.high)}`;
  return `  ${of} / ${to}: ${text(median)} events per CPU-second (${sure}; rounds ${text(min)} to ${text(max)})`;
}

export function formatOverall({ of, to, broker, rows, eventsPerCpuSecond, requestsPerSecond }: Overall): string {
  const figures = `${eventsPerCpuSecond.toFixed(3)}x events per CPU-second, ${requestsPerSecond.toFixed(3)}x requests a second`;
  return `all ${rows} rows (${broker}), geometric mean: ${of} / ${to}: ${figures}`;
}

/** What a worker of the service takes, and how much more than one of each other service. */
export function formatWorkers(targets: readonly Pick<TargetLoad, "target" | "worker_rss_mb">[]): string[] {
  const measured = targets
    .filter(({ worker_rss_mb }) => worker_rss_mb.length > 0)
    .map(({ target, worker_rss_mb }) => ({ target, megabytes: median(worker_rss_mb) }));
  const [first, ...others] = measured;
  if (first === undefined) return [];
  const all = measured.map(({ target, megabytes }) => `${target} ${megabytes.toFixed(1)} MB`);
  const more = others.map(({ target, megabytes }) => {
    const difference = first.megabytes - megabytes;
    return `; ${first.target} - ${target}: ${difference < 0 ? "" : "+"}${difference.toFixed(1)} MB`;
  });
  return [`  resident, a worker: ${all.join(", ")}${more.join("")}`];
}

/** How much later than half of the naive assembly's answers the last hundredth of the service's comes. */
export function formatLatencies(loads: readonly Pick<TargetLoad, "target" | "p50_ms" | "p99_ms">[]): string[] {
  const of = (name: TargetLoad["target"]) => loads.find(({ target }) => target === name);
  const [service, naive] = [of("service"), of("naive")];
  if (service === undefined || naive === undefined) return [];
  const limit = naive.p50_ms + LATENCY_ALLOWANCE_MS;
  const side = service.p99_ms <= limit ? "within" : "above";
  return [
    `  p99 of service ${service.p99_ms.toFixed(2)} ms: ${side} p50 of naive + ${LATENCY_ALLOWANCE_MS} ms = ${limit.toFixed(2)} ms`,
  ];
}

/** What makes a row worthless: a server that answers without storing is fast. */
function problems(loads: readonly Pick<TargetLoad, "target" | "errors" | "failed" | "first_error">[]): string[] {
  return loads
    .filter((load) => load.errors > 0 || load.failed > 0)
    .map((load) => {
      const first = load.first_error === null ? "" : `; the first: ${load.first_error}`;
      return `  WRONG: ${load.target} had ${load.errors} errors and ${load.failed} failed events${first}`;
    });
}

/** True if every request of every target was answered as stored. */
export function sound(rows: readonly Row[]): boolean {
  return rows.every((row) => row.kind === "idle" || row.kind === "ready" || problems(row.targets).length === 0);
}

function git(...args: string[]): string | undefined {
  try {
    return execFileSync("git", args, { cwd: ROOT, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return undefined; // not a checkout, or no git: the run goes on
  }
}
