// The load client as a process: drives one target for a while and gives what it printed.

import { join } from "node:path";
import { Child } from "../scripts/child.ts";
import { topicNames } from "./brokers.ts";
import { parseLoadResult, type LoadResult } from "./load/result.ts";
import type { BenchOptions } from "./options.ts";
import type { Load } from "./scenarios.ts";
import { ROOT, type Target } from "./targets.ts";
import type { Turns } from "./turns.ts";

/** The load client connects, and settles what is on its way, outside of the time that it is told to take. */
const LOAD_OVERHEAD_MS = 30_000;

/** Where a row is measured. */
export interface Stage {
  /** For the report. */
  readonly broker: string;
  /** undefined: no brokers. */
  readonly bootstrap: string | undefined;
  /** Empties the scenario's topics, while nothing runs that uses them. They are empty to begin with. */
  readonly freshTopics: () => Promise<void>;
  readonly options: BenchOptions;
  readonly signal: AbortSignal;
  /** Load clients that run at the same time take turns; undefined: there is one at a time. */
  readonly turns?: Turns;
}

/** @param durability as the contract numbers it; 0: unspecified. */
export async function runLoad(
  load: Load,
  target: Target,
  { options, signal, turns }: Stage,
  durability = 0,
): Promise<LoadResult> {
  const withinMs = (options.warm + options.seconds) * 1000 + LOAD_OVERHEAD_MS;
  await using child = new Child({
    name: "the load client",
    cwd: ROOT,
    env: {},
    ...loadCommand(load, target, options, durability),
  });
  turns?.join(child, target.pid);
  try {
    const result = parseLoadResult(await child.output(withinMs, signal));
    if (result.requests_per_s > 0 || result.errors > 0) return result;
    // A closed loop that hangs has neither answers nor errors, and would pass for a slow round.
    throw new Error(
      `${target.name} answered nothing in ${options.seconds} s: does the broker still run, has its disk (TMPDIR) room?`,
    );
  } catch (error) {
    target.assertRuns(); // a target that is gone says more than the client that misses it
    throw error;
  }
}

/** The load client's command line, or that of another load generator. */
function loadCommand(load: Load, target: Target, options: BenchOptions, durability: number) {
  const { mode, callers, window, batch, valueBytes } = load;
  const topics = topicNames(load.topics);
  const { warm, seconds, headers, loadgen } = options;
  const connections = load.connections ?? options.connections;
  const rate = load.rate > 0 ? load.rate : options.rate;
  if (loadgen === undefined) {
    // prettier-ignore
    const flags = {
      addr: target.grpc, pid: target.pid, topic: topics.join(","), mode, callers, window, batch, "value-bytes": valueBytes, headers,
      connections, rate, warm, seconds, durability,
    };
    const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    return { command: process.execPath, args: [join(ROOT, "bench/load.ts"), ...args] };
  }
  if (topics.length > 1) throw new Error("--loadgen: another load generator cannot be told several topics; use --only");
  if (durability !== 0) throw new Error("--loadgen: another load generator cannot be told a durability; use --only");
  // prettier-ignore
  const flags = {
    addr: target.grpc, pid: target.pid, topic: topics[0]!, target: mode === "stream" ? "sluice-stream" : "sluice", c: callers,
    window, batch, size: valueBytes, headers, conns: connections, rate, warm: `${warm}s`, d: `${seconds}s`,
  };
  return { command: loadgen, args: Object.entries(flags).map(([name, value]) => `-${name}=${value}`) };
}
