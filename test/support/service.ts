// Starts the real service as processes, on free ports and in a directory of its own, and ends it.
//
// The ready line is the contract: `serve` logs one JSON line with msg "ready" and the addresses it really listens on. The
// service counts as ended when the last of its processes is gone: they share its standard error, and `exited` waits for that
// to close. A service that a test forgot dies with the test process.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface ServiceOptions {
  /** Added to this process's environment; undefined takes a variable out. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Flags after `serve`. */
  readonly args?: readonly string[];
  /** How long it may take to be ready, in milliseconds. */
  readonly timeoutMs?: number;
  /** A module to run instead of `src/main.ts serve`. */
  readonly entry?: string;
  /** How many files each of its processes may open; undefined: as many as this one. */
  readonly openFilesMax?: number;
}

export interface ServiceExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface RunningService extends AsyncDisposable {
  /** For example `127.0.0.1:50123`. */
  readonly grpcAddress: string;
  /** For example `http://127.0.0.1:50124`. */
  readonly adminUrl: string;
  readonly pid: number;
  readonly dataDir: string;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Resolves when none of its processes is left. */
  readonly exited: Promise<ServiceExit>;
  /** Sends the signal (SIGTERM) and waits for the end; kills what has not ended after 30 s, and throws then. */
  stop(signal?: NodeJS.Signals): Promise<ServiceExit>;
}

const MAIN = join(import.meta.dirname, "../../src/main.ts");
const STOP_TIMEOUT_MS = 30_000;

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
// The test runner ends a test that takes too long so, and a signal alone tells no exit.
process.once("SIGTERM", () => process.exit(143));

export interface ServiceProcess {
  readonly child: ChildProcess;
  readonly dataDir: string;
  readonly exited: Promise<ServiceExit>;
  readonly stdout: () => string;
  readonly stderr: () => string;
}

/** Starts the processes and waits for nothing. */
export function spawnService({ env = {}, args = [], entry, openFilesMax }: ServiceOptions = {}): ServiceProcess {
  const dataDir = mkdtempSync(join(tmpdir(), "sluice-test-"));
  const node = [process.execPath, ...(entry === undefined ? [MAIN, "serve"] : [entry]), ...args];
  // The shell sets both limits, since Node.js raises the soft one to the hard one, and becomes the service.
  const limited = openFilesMax === undefined ? [] : ["/bin/sh", "-c", `ulimit -n ${openFilesMax}; exec "$0" "$@"`];
  const [command, ...rest] = [...limited, ...node];
  const child = spawn(command!, rest, {
    env: {
      ...process.env,
      NODE_TEST_CONTEXT: undefined,
      GRPC_LISTEN: "127.0.0.1:0",
      ADMIN_LISTEN: "127.0.0.1:0",
      WORKERS: "1",
      LOG_LEVEL: "info",
      KAFKA_BROKERS: undefined,
      DATA_DIR: dataDir,
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const exited = once(child, "close").then(([code, signal]): ServiceExit => {
    running.delete(child);
    rmSync(dataDir, { recursive: true, force: true });
    return { code: code as number | null, signal: signal as NodeJS.Signals | null };
  });
  return { child, dataDir, exited, stdout: () => stdout, stderr: () => stderr };
}

/** The log lines of a service that are JSON. */
export function logLines(stderr: string): Record<string, unknown>[] {
  return stderr
    .split("\n")
    .filter((line) => line.startsWith("{") && line.endsWith("}"))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

function readyLine(stderr: string): { readonly grpc: string; readonly admin: string } | undefined {
  const line = logLines(stderr).find(({ msg }) => msg === "ready");
  return line === undefined ? undefined : { grpc: String(line["grpc"]), admin: String(line["admin"]) };
}

/** Resolves as soon as `check` gives something; checked every 20 ms. */
export async function eventually<T>(
  what: string,
  check: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 20_000,
): Promise<T> {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const value = await check();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > endMs) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  }
}

/** Starts the service and resolves when it is ready; rejects with what it said if it ends or takes too long. */
export async function startService(options: ServiceOptions = {}): Promise<RunningService> {
  const { child, dataDir, exited, stdout, stderr } = spawnService(options);
  let exit: ServiceExit | undefined;
  void exited.then((how) => (exit = how));
  const stop = async (signal: NodeJS.Signals = "SIGTERM"): Promise<ServiceExit> => {
    if (exit === undefined) child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    const how = await exited;
    clearTimeout(timer);
    if (how.signal === "SIGKILL" && signal !== "SIGKILL")
      throw new Error(`the service did not end within ${STOP_TIMEOUT_MS} ms:\n${stderr()}`);
    return how;
  };
  try {
    const { grpc, admin } = await eventually(
      "the service is ready",
      () => {
        if (exit !== undefined) throw new Error(`the service ended with ${exit.code ?? exit.signal}`);
        return readyLine(stderr());
      },
      options.timeoutMs,
    );
    return {
      grpcAddress: grpc,
      adminUrl: `http://${admin}`,
      pid: child.pid!,
      dataDir,
      stdout,
      stderr,
      exited,
      stop,
      [Symbol.asyncDispose]: async () => {
        await stop();
      },
    };
  } catch (error) {
    child.kill("SIGKILL");
    await exited;
    throw new Error(`${error instanceof Error ? error.message : String(error)}; it said:\n${stdout()}${stderr()}`, {
      cause: error,
    });
  }
}

/** Runs the service until it ends by itself, for starts that must fail; kills it after the timeout. */
export async function runServiceToEnd(
  options: ServiceOptions = {},
): Promise<ServiceExit & { readonly stdout: string; readonly stderr: string }> {
  const { child, exited, stdout, stderr } = spawnService(options);
  const timer = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs ?? 20_000);
  const how = await exited;
  clearTimeout(timer);
  return { ...how, stdout: stdout(), stderr: stderr() };
}
