// What a request costs a target with more and more connections, and with more and more streams.
//
// A server whose work per turn grows with what is open, rather than with what has something to do, shows here and nowhere
// else. An open loop at one rate is what makes the points comparable: in a closed loop, few connections bring many requests
// in one read and many bring one, and then the curve shows how well reads are shared, not what a connection costs. The
// closed loop is measured as well, for the connections, because it is what a saturated server sees.
//
// One target for all points, which are measured in turns; each round's point is set against the first point of that round.
// A round before the first warms the target up and counts for nothing. What the target takes without any load is taken off.

import { setTimeout as sleep } from "node:timers/promises";
import { runLoad, type Stage } from "./load-process.ts";
import type { LoadResult } from "./load/result.ts";
import { measureTree } from "./process-tree.ts";
import type { Load } from "./scenarios.ts";
import { median } from "./statistics.ts";
import { startTarget, type TargetName } from "./targets.ts";

/** Requests per second, unless --rate says otherwise: one every 200 µs, which a server has done with before the next comes. */
const RATE = 5_000;
const EVENT = { batch: 1, valueBytes: 200, topics: 1 };
/** Callers that take turns over the connections, at every point as many. */
const CALLERS = 1_000;
/** What may be without an answer over all streams. */
const UNANSWERED_MAX = 256;
const STREAM_CONNECTIONS_MAX = 100;

/** The points of one table. */
export interface Series {
  readonly title: string;
  readonly loads: readonly (Load & { readonly at: number })[];
}

export interface CurvePoint {
  /** How many connections or streams. */
  readonly at: number;
  /** CPU time of the target's tree a request, without what it takes at rest; the median of the rounds. */
  readonly micros: number;
  /** To the first point: the median of the rounds' pairs, and their range. */
  readonly ratio: { readonly median: number; readonly min: number; readonly max: number };
  readonly requests_per_s: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly rss_mb: number;
  readonly client_cores: number;
  readonly rounds: readonly LoadResult[];
}

/** The curve of one target. */
export interface Curve {
  readonly target: TargetName;
  /** What it takes of a core without any load. */
  readonly idle_cores: number;
  readonly series: readonly { readonly title: string; readonly rate: number; readonly points: readonly CurvePoint[] }[];
  readonly errors: number;
  readonly failed: number;
  readonly first_error: string | null;
}

/** @param rate requests per second of the open loops. */
export function curveSeries(rate: number): readonly Series[] {
  const connections = [4, 40, 200, 1_000];
  const unary = { ...EVENT, mode: "unary", callers: CALLERS, window: 1 } as const;
  const streams = [1, 10, 100, 1_000, 10_000].map((streams) => ({
    ...EVENT,
    at: streams,
    mode: "stream" as const,
    callers: streams,
    window: Math.max(1, Math.floor(UNANSWERED_MAX / streams)),
    connections: Math.min(streams, STREAM_CONNECTIONS_MAX),
    rate,
  }));
  return [
    { title: "connections", loads: connections.map((n) => ({ ...unary, at: n, connections: n, rate })) },
    { title: "streams", loads: streams },
    { title: "connections", loads: connections.map((n) => ({ ...unary, at: n, connections: n, rate: 0 })) },
  ];
}

export async function measureCurve(name: TargetName, stage: Stage): Promise<Curve> {
  const { bootstrap, signal } = stage;
  // `rate` of the options would be the closed loop's, too.
  const options = { ...stage.options, rate: 0 };
  const series = curveSeries(stage.options.rate > 0 ? stage.options.rate : RATE);
  await using target = await startTarget(name, bootstrap, 1, { ...options, signal });
  const drive = (load: Load) => runLoad(load, target, { ...stage, options });
  const warming = await drive(series[0]!.loads[0]!);
  await sleep(options.warm * 1000, undefined, { signal });
  const before = { cpu: measureTree(target.pid).cpuSeconds, ms: performance.now() };
  await sleep(options.seconds * 1000, undefined, { signal });
  const idleCores = (measureTree(target.pid).cpuSeconds - before.cpu) / ((performance.now() - before.ms) / 1000);

  const measured = series.map(({ title, loads }) => ({ title, loads, rounds: loads.map((): LoadResult[] => []) }));
  for (let round = 0; round < options.rounds; round++) {
    for (const { loads, rounds } of measured) {
      for (const [i, load] of loads.entries()) rounds[i]!.push(await drive(load));
    }
  }
  const all = [warming, ...measured.flatMap(({ rounds }) => rounds.flat())];
  return {
    target: name,
    idle_cores: idleCores,
    series: measured.map(({ title, loads, rounds }) => ({
      title,
      rate: loads[0]!.rate,
      points: loads.map(({ at }, i) => summarizePoint(at, rounds[i]!, rounds[0]!, idleCores)),
    })),
    errors: all.reduce((sum, { errors }) => sum + errors, 0),
    failed: all.reduce((sum, { failed }) => sum + failed, 0),
    first_error: all.find(({ first_error }) => first_error !== null)?.first_error ?? null,
  };
}

/** CPU microseconds of a request, without what the target takes at rest. */
export function microsOfRequest(result: LoadResult, idleCores: number): number {
  if (result.requests_per_cpu_s === 0 || result.requests_per_s === 0) return Number.NaN;
  return 1e6 / result.requests_per_cpu_s - (1e6 * idleCores) / result.requests_per_s;
}

/** @param first the first point's rounds. */
export function summarizePoint(
  at: number,
  rounds: readonly LoadResult[],
  first: readonly LoadResult[],
  idleCores: number,
): CurvePoint {
  const micros = rounds.map((result) => microsOfRequest(result, idleCores));
  const ratios = micros.map((value, i) => value / microsOfRequest(first[i]!, idleCores));
  const medianOf = (field: Exclude<keyof LoadResult, "first_error">) => median(rounds.map((round) => round[field]));
  return {
    at,
    micros: median(micros),
    ratio: { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) },
    requests_per_s: medianOf("requests_per_s"),
    p50_ms: medianOf("p50_ms"),
    p99_ms: medianOf("p99_ms"),
    rss_mb: Math.max(...rounds.map((round) => round.rss_mb)),
    client_cores: medianOf("client_cores"),
    rounds,
  };
}
