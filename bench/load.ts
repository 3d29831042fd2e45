// The load client: drives an EventIngest server with prebuilt requests and prints one line of JSON.
//
// A process of its own, so that its CPU is not the server's, with a client of its own (load/connection.ts), so that it can
// load a server on the cores beside it. It speaks to loopback only. The fields of its answer are those that any other load
// generator would have to print to take its place (`bench.ts --loadgen`).

import { type Caller, UnaryCaller, StreamCaller, PUBLISH, PUBLISH_STREAM, type Work } from "./load/callers.ts";
import { Connection } from "./load/connection.ts";
import { Meter } from "./load/meter.ts";
import { HELP, parseLoadOptions, type LoadOptions } from "./load/options.ts";
import { Pacer } from "./load/pacer.ts";
import { prebuild } from "./load/requests.ts";
import type { LoadResult } from "./load/result.ts";
import { measureTree, residentBytes } from "./process-tree.ts";

const SEED = 42;
const SAMPLE_MS = 500;
/** Connections that are opened at a time: a server's backlog is not what is measured. */
const CONNECTING_MAX = 50;
/** How long answers may take after the end of the load. */
const SETTLE_MS = 2000;

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function run(options: LoadOptions): Promise<LoadResult> {
  const connections = await connect(options);
  const pacer = new Pacer(options.rate);
  try {
    return await drive(options, connections, pacer);
  } finally {
    pacer.stop();
    for (const connection of connections) connection.close();
  }
}

async function drive(options: LoadOptions, connections: readonly Connection[], pacer: Pacer): Promise<LoadResult> {
  const meter = new Meter();
  const work: Work = { pool: prebuild(options, SEED, Date.now()), batch: options.batch, pacer, meter };
  const callers = Array.from({ length: options.callers }, (_, i): Caller => {
    const connection = connections[i % connections.length]!;
    return options.mode === "unary" ? new UnaryCaller(connection, work, i) : new StreamCaller(connection, work, i);
  });
  pacer.start();
  // A place of every stream's window before the second of any, for they take turns in this order.
  const senders = callers.map((caller) => caller.senders(options.window));
  for (let place = 0; place < options.window; place++) {
    for (const own of senders) if (place < own.length) pacer.free(own[place]!);
  }
  await sleep(options.warmMs);
  const result = await measure(options, callers, meter);
  pacer.stop();
  if (pacer.dropped > 0) console.error(`the server is far below --rate: ${pacer.dropped} requests were given up`);
  const patience = performance.now() + SETTLE_MS;
  while (callers.some((caller) => caller.busy) && performance.now() < patience) await sleep(10);
  for (const caller of callers) caller.end();
  await sleep(10);
  return result;
}

async function connect({ host, port, mode, callers, connections }: LoadOptions): Promise<Connection[]> {
  const path = mode === "unary" ? PUBLISH : PUBLISH_STREAM;
  const wanted = Math.min(connections, callers);
  const opened: Connection[] = [];
  try {
    while (opened.length < wanted) {
      const some = Array.from({ length: Math.min(CONNECTING_MAX, wanted - opened.length) }, () =>
        Connection.connect({ host, port, path, userAgent: "sluice-bench" }),
      );
      opened.push(...(await Promise.all(some)));
    }
    const perConnection = Math.ceil(callers / opened.length);
    const tooFew = opened.find((connection) => connection.concurrentMax < perConnection);
    if (tooFew === undefined) return opened;
    throw new Error(
      `the server takes ${tooFew.concurrentMax} calls at a time on a connection, not ${perConnection}: raise --connections`,
    );
  } catch (error) {
    for (const connection of opened) connection.close();
    throw error;
  }
}

async function measure(options: LoadOptions, callers: readonly Caller[], meter: Meter): Promise<LoadResult> {
  const server = options.pid === 0 ? undefined : measureTree(options.pid);
  if (server?.pids.length === 0) throw new Error(`--pid: there is no process ${options.pid}`);
  const own = process.cpuUsage();
  const startMs = performance.now();
  const endMs = startMs + options.measureMs;
  let rssBytes = 0;
  const answersBefore = callers.map((caller) => caller.answers);
  meter.start();
  for (let now = startMs; now < endMs; now = performance.now()) {
    await sleep(Math.min(SAMPLE_MS, endMs - now));
    if (server !== undefined) rssBytes = Math.max(rssBytes, residentBytes(server.pids));
  }
  meter.stop();
  const seconds = (performance.now() - startMs) / 1000;
  // Whoever got no answer at all is missing from the latencies, which would look the better for it.
  const starved = callers.filter((caller, i) => caller.answers === answersBefore[i]).length;
  if (starved > 0 && options.rate === 0) meter.error(`${starved} of ${callers.length} callers got no answer`);
  const { user, system } = process.cpuUsage(own);
  const serverSeconds = server === undefined ? 0 : measureTree(options.pid).cpuSeconds - server.cpuSeconds;
  const { requests, stored, failed, errors, firstError } = meter.counts;
  return {
    requests_per_s: Math.round(requests / seconds),
    events_per_s: Math.round(stored / seconds),
    mb_per_s: Math.round((stored * options.valueBytes) / seconds / 1e6),
    p50_ms: rounded(meter.percentile(0.5)),
    p99_ms: rounded(meter.percentile(0.99)),
    p999_ms: rounded(meter.percentile(0.999)),
    errors,
    failed,
    first_error: firstError ?? null,
    client_cores: rounded((user + system) / 1e6 / seconds),
    server_cores: rounded(serverSeconds / seconds),
    rss_mb: Math.round(rssBytes / 1e6),
    events_per_cpu_s: serverSeconds > 0 ? Math.round(stored / serverSeconds) : 0,
    requests_per_cpu_s: serverSeconds > 0 ? Math.round(requests / serverSeconds) : 0,
  };
}

function rounded(value: number): number {
  return Number(value.toFixed(3));
}

try {
  const options = parseLoadOptions(process.argv.slice(2));
  if (options === "help") console.log(HELP);
  else console.log(JSON.stringify(await run(options)));
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
