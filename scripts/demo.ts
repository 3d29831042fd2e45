// `npm run demo`: the real service on this machine, without Kafka, and real data on its way through it.
//
// Everything is the product's own: `sluice serve` with its workers and its spool, `sluice send` over gRPC, /metrics, `sluice
// tail`. This script starts them, checks that the ledger agrees with what was sent, and says what to try next. The data is
// that of the npm package vega-datasets; it is counted here independently of the command that sends it.
//
// The service is a process group of its own: a terminal's Ctrl-C goes to everything in the foreground, and a second signal
// would end the service at once instead of letting it settle what it has.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join, relative, resolve } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Ledger, ledgerMistakes, readLedger } from "../src/cli/ledger.ts";
import { formatCount, formatMs, plural, table } from "../src/cli/table.ts";
import { type Address, formatAddress, loadConfig } from "../src/config.ts";
import { nodeFileSystem } from "../src/spool/file-system.ts";

const HELP = `Starts the service, streams real data into it, shows the ledger, and stays up until Ctrl-C.

Usage: npm run demo [-- --exit]

  --exit  End when everything was shown.

GRPC_LISTEN, ADMIN_LISTEN, WORKERS and the other options of \`npx sluice serve --help\` may be set in the environment;
the data goes into a new directory in DATA_DIR, which is removed at the end.
`;

const ROOT = join(import.meta.dirname, "..");
const MAIN = join(ROOT, "src/main.ts");
const READY_TIMEOUT_MS = 30_000;
const LEDGER_TIMEOUT_MS = 20_000;
/** Signals that come closer together are one: npm passes on what the terminal has sent to everybody already. */
const SAME_SIGNAL_MS = 1_000;

/** Ends the demo with one line. */
class DemoError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

interface DataSet {
  readonly topic: string;
  readonly file: string;
  readonly flags: readonly string[];
}

const DATA_SETS: readonly DataSet[] = [
  { topic: "flights", file: "flights-20k.json", flags: ["--key", "origin", "--timestamp", "date"] },
  { topic: "delays", file: "flights-200k.json", flags: [] },
];

const say = (...lines: string[]) => process.stdout.write(`${lines.join("\n")}\n`);

/** A path as the user would type it here. */
function shortPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short === "" || short.startsWith("..") ? path : short;
}

function pathOf({ file }: DataSet): string {
  return join(ROOT, "node_modules/vega-datasets/data", file);
}

/** How many events a data set has, by counting them another way than `sluice send` does. */
function countOf(dataSet: DataSet): number {
  return (JSON.parse(readFileSync(pathOf(dataSet), "utf8")) as unknown[]).length;
}

async function makeDataDirectory(): Promise<string> {
  const parent = resolve(process.env["DATA_DIR"] || "data");
  try {
    await nodeFileSystem.makeDirectory(parent);
    return mkdtempSync(join(parent, "demo-"));
  } catch (error) {
    const { code = "unknown error" } = error as NodeJS.ErrnoException;
    throw new DemoError(`cannot write to ${parent} (${code}); set DATA_DIR to a directory that you may write to`);
  }
}

/** Throws if somebody else listens there. The service would say so, too; this says it before anything is started. */
async function requireFree(option: string, { host, port }: Address): Promise<void> {
  const server = createServer();
  const error = await new Promise<NodeJS.ErrnoException | undefined>((done) => {
    server.once("error", done).listen({ host, port }, () => {
      server.close(() => {
        done(undefined);
      });
    });
  });
  if (error === undefined) return;
  const address = formatAddress({ host, port });
  throw new DemoError(
    error.code === "EADDRINUSE"
      ? `${address} is in use; end what listens there, or choose another port: ${option}=${formatAddress({ host, port: 0 })} takes any free one`
      : `cannot listen on ${address} (${error.code}); set ${option} to an address of this machine`,
  );
}

/** An address to connect to, of one that is listened on. */
function reachable(listened: string): string {
  return listened.replace(/^0\.0\.0\.0:/, "127.0.0.1:").replace(/^\[::\]:/, "[::1]:");
}

interface Service {
  readonly grpc: string;
  readonly adminUrl: string;
  readonly readyMs: number;
  /** Resolves when the process has ended. */
  readonly exited: Promise<number | NodeJS.Signals>;
  readonly child: ChildProcess;
}

async function startService(dataDir: string, signal: AbortSignal): Promise<Service> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, [MAIN, "serve"], {
    env: { ...process.env, DATA_DIR: dataDir, KAFKA_BROKERS: "" },
    stdio: ["ignore", "ignore", "pipe"],
    detached: true,
  });
  process.once("exit", () => child.kill("SIGKILL"));
  const exited = once(child, "exit").then(([code, killed]) => (code ?? killed) as number | NodeJS.Signals);
  const log = createWriteStream(join(dataDir, "service.log"));
  let lastLine = "it said nothing";
  const ready = new Promise<{ grpc: string; admin: string }>((done) => {
    createInterface({ input: child.stderr }).on("line", (line) => {
      log.write(`${line}\n`);
      if (!line.startsWith("{")) lastLine = line;
      else {
        const { msg, grpc, admin } = JSON.parse(line) as { msg?: string; grpc?: string; admin?: string };
        if (msg === "ready" && grpc !== undefined && admin !== undefined) done({ grpc, admin });
      }
    });
  });
  const timeout = pause(READY_TIMEOUT_MS, undefined, { signal, ref: false }).catch(() => undefined);
  const first = await Promise.race([ready, exited, timeout]);
  if (typeof first === "object")
    return {
      grpc: reachable(first.grpc),
      adminUrl: `http://${reachable(first.admin)}`,
      readyMs: performance.now() - startedAt,
      exited,
      child,
    };
  child.kill("SIGKILL");
  await exited;
  if (signal.aborted) throw new DemoError("interrupted", 130);
  throw new DemoError(
    first === undefined
      ? `the service was not ready within ${READY_TIMEOUT_MS / 1000} s: ${lastLine}`
      : `the service did not start: ${lastLine.replace(/^sluice serve: /, "")}`,
  );
}

/** Ends the service as its users do, and waits. */
async function stopService({ child, exited }: Service): Promise<void> {
  child.kill("SIGTERM");
  const code = await exited;
  if (code !== 0) throw new DemoError(`the service ended with ${code} instead of 0`);
}

/** Runs `sluice ...` before the user's eyes. */
async function sluice(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<void> {
  const shown = [...Object.entries(env).map(([name, value]) => `${name}=${value}`), "npx sluice", ...args];
  say("", `$ ${shown.join(" ")}`);
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, KAFKA_BROKERS: "", ...env },
    stdio: ["ignore", "inherit", "inherit"],
  });
  const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  if (code !== 0) throw new DemoError(`sluice ${args[0]} ended with ${code ?? signal}`);
}

/** What is wrong with the ledger of a topic that was sent this many events. */
function mistakesOf(topic: string, sent: number, ledger: Ledger): string[] {
  const mistakes = ledgerMistakes(ledger);
  if (ledger.stored !== sent) mistakes.push(`stored ${ledger.stored} is not the ${sent} that were sent`);
  if (ledger.inFlight !== 0) mistakes.push(`${ledger.inFlight} are still in flight`);
  return mistakes.map((mistake) => `topic ${topic}: ${mistake}`);
}

/** Workers push their metrics every second, so the last events show up a moment later. */
async function settledLedgers(adminUrl: string, sent: ReadonlyMap<string, number>, signal: AbortSignal) {
  const endMs = performance.now() + LEDGER_TIMEOUT_MS;
  for (;;) {
    const response = await fetch(`${adminUrl}/metrics`, { signal });
    const metrics = await response.text();
    const ledgers = [...sent].map(([topic, count]) => ({ topic, count, ledger: readLedger(metrics, topic) }));
    const mistakes = ledgers.flatMap(({ topic, count, ledger }) => mistakesOf(topic, count, ledger));
    if (mistakes.length === 0 || performance.now() > endMs) return { ledgers, mistakes };
    await pause(200, undefined, { signal });
  }
}

async function showLedger(adminUrl: string, sent: ReadonlyMap<string, number>, signal: AbortSignal): Promise<void> {
  say("", `The ledger, from ${adminUrl}/metrics`);
  const { ledgers, mistakes } = await settledLedgers(adminUrl, sent, signal);
  const columns = [
    "sent",
    "received",
    "stored",
    "failed",
    "in flight",
    "persisted",
    "forwarded",
    "dead-lettered",
    "spooled",
  ];
  const rows = ledgers.map(({ topic, count, ledger: l }) => {
    const values = [
      count,
      l.received,
      l.stored,
      l.failed,
      l.inFlight,
      l.persisted,
      l.forwarded,
      l.deadLettered,
      l.spooled,
    ];
    return [topic, ...values.map(formatCount)];
  });
  say(...table([["topic", ...columns], ...rows], "  ", 1));
  if (mistakes.length > 0) throw new DemoError(`the ledger does not agree: ${mistakes.join("; ")}`);
  say(
    "  agrees: received = stored + failed + in flight, persisted = forwarded + dead-lettered + spooled, stored = sent",
  );
}

function showNext({ grpc, adminUrl }: Service, dataDir: string): void {
  const address = grpc === "127.0.0.1:50051" ? "" : ` --address ${grpc}`;
  say(
    "",
    `gRPC     ${grpc}`,
    `metrics  ${adminUrl}/metrics`,
    `profile  ${adminUrl}/debug/pprof/profile?seconds=5`,
    `health   ${adminUrl}/readyz`,
    "",
    "Try next, from another terminal:",
    `  echo '{"hello":"world"}' | npx sluice send --topic hello${address}`,
    `  DATA_DIR=${shortPath(dataDir)} npx sluice tail --topic hello --follow`,
    `  grpcurl -plaintext ${grpc} describe sluice.v1.EventIngest`,
    `  grpcurl -plaintext -d '{"topic":"hello","events":[{"value":"aGVsbG8="}]}' ${grpc} sluice.v1.EventIngest/Publish`,
    `  curl -s ${adminUrl}/metrics | grep ^sluice_events`,
    `  go tool pprof -top '${adminUrl}/debug/pprof/profile?seconds=5'`,
    `  go tool pprof -top ${adminUrl}/debug/pprof/heap`,
    "",
  );
}

async function demo(exitByItself: boolean, signal: AbortSignal): Promise<void> {
  const loaded = loadConfig({ ...process.env, KAFKA_BROKERS: "" });
  if (!loaded.ok) throw new DemoError(loaded.errors.join("\ndemo: "), 2);
  const { grpcListen, adminListen, workers } = loaded.config;
  await requireFree("GRPC_LISTEN", grpcListen);
  await requireFree("ADMIN_LISTEN", adminListen);
  const dataDir = await makeDataDirectory();
  let service: Service | undefined;
  try {
    say("sluice demo: the real service, without Kafka; events are kept in its spool on disk.", "");
    service = await startService(dataDir, signal);
    say(
      ...table(
        [
          ["service", `${plural(workers, "worker")}, ready in ${formatMs(service.readyMs)}`],
          ["data", shortPath(dataDir)],
        ],
        "  ",
      ),
    );
    const sent = new Map<string, number>();
    for (const dataSet of DATA_SETS) {
      const address = service.grpc === "127.0.0.1:50051" ? [] : ["--address", service.grpc];
      await sluice(["send", "--topic", dataSet.topic, ...dataSet.flags, ...address, shortPath(pathOf(dataSet))]);
      sent.set(dataSet.topic, countOf(dataSet));
    }
    await showLedger(service.adminUrl, sent, signal);
    await sluice(["tail", "--topic", "flights", "--limit", "3", "--json-values"], { DATA_DIR: shortPath(dataDir) });
    showNext(service, dataDir);
    if (!exitByItself) await stayUp(service, signal);
    await stopService(service);
    say("The service has settled everything and ended.");
  } catch (error) {
    // A child that was interrupted with us failed for that reason alone.
    if (signal.aborted) throw new DemoError("interrupted", 130);
    throw error;
  } finally {
    if (service?.child.exitCode === null && service.child.signalCode === null) {
      service.child.kill("SIGTERM");
      await service.exited;
    }
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** Until Ctrl-C, or the service's end, which is then a failure. */
async function stayUp({ exited }: Service, signal: AbortSignal): Promise<void> {
  say("It stays up until Ctrl-C.");
  const interrupted = once(signal, "abort").then(() => undefined);
  const code = await Promise.race([exited, interrupted]);
  if (code !== undefined) throw new DemoError(`the service ended by itself, with ${code}`);
  say("", "Draining.");
}

/** Aborted by the first signal; a later one ends everything at once. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  let firstMs: number | undefined;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => {
      const nowMs = performance.now();
      firstMs ??= nowMs;
      if (nowMs - firstMs > SAME_SIGNAL_MS) process.exit(130);
      controller.abort();
    });
  return controller.signal;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { exit: { type: "boolean", default: false }, help: { type: "boolean", short: "h", default: false } },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  await demo(values.exit, interruption());
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  const usage = (error as NodeJS.ErrnoException).code?.startsWith("ERR_PARSE_ARGS") === true;
  if (!(error instanceof DemoError) && !usage) throw error;
  process.stderr.write(`demo: ${(error as Error).message}\n`);
  process.exitCode = error instanceof DemoError ? error.exitCode : 2;
}
process.exit();
