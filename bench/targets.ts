// What the bench measures, each as its own process tree with a free port on loopback: the service, the service of another
// checkout or with another environment, the service on grpc-js, the naive assembly, and sinks that only answer.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Child } from "../scripts/child.ts";
import type { SinkServer } from "./sinks/sink.ts";

export const ROOT = fileURLToPath(new URL("..", import.meta.url));
const READY_MS = 30_000;

const SINKS = {
  "sink-native": "native",
  "sink-grpc-js": "grpc-js",
  "sink-http2": "http2",
} as const satisfies Record<string, SinkServer>;
const SERVICES = ["service", "baseline", "grpc-js"] as const;

export type TargetName = (typeof SERVICES)[number] | "naive" | keyof typeof SINKS;
/** In the order of the report: the ratios are the first one's to each of the others. */
export const TARGETS: readonly TargetName[] = [...SERVICES, "naive", ...(Object.keys(SINKS) as (keyof typeof SINKS)[])];

/** True for the targets that are the whole service: they have a spool, workers and an admin port. */
export function isService(name: TargetName): name is (typeof SERVICES)[number] {
  return (SERVICES as readonly TargetName[]).includes(name);
}

/** A target that is ready for load. */
export interface Target extends AsyncDisposable {
  readonly name: TargetName;
  readonly pid: number;
  /** host:port of its gRPC server. */
  readonly grpc: string;
  /** host:port of its admin port; empty if it has none. */
  readonly admin: string;
  /** From its spawn to its ready line, in milliseconds. */
  readonly readyMs: number;
  /** @throws Error with its last lines, if it has ended by itself. */
  assertRuns(): void;
}

export interface TargetOptions {
  /** The checkout of the target `baseline`. */
  readonly baselineDir: string | undefined;
  /** More environment variables of the targets `service` and `grpc-js`. */
  readonly serviceEnv: Readonly<Record<string, string>>;
  /** The same of the target `baseline`. */
  readonly baselineEnv: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/**
 * Starts a target. All of them run on this process's Node, so that only their code differs.
 * @param bootstrap the brokers; undefined: the service stores on its spool.
 */
export async function startTarget(
  name: TargetName,
  bootstrap: string | undefined,
  workers: number,
  { baselineDir, serviceEnv, baselineEnv, signal }: TargetOptions,
): Promise<Target> {
  const brokers: Record<string, string> = bootstrap === undefined ? {} : { KAFKA_BROKERS: bootstrap };
  const env = { ...brokers, GRPC_LISTEN: "127.0.0.1:0" };
  if (!isService(name)) {
    const script = name === "naive" ? ["bench/naive/main.ts"] : ["bench/sinks/main.ts", `--server=${SINKS[name]}`];
    const spec = { command: process.execPath, args: script, cwd: ROOT, env };
    return await start(name, spec, signal, async () => {});
  }
  const cwd = name === "baseline" ? baselineDir : ROOT;
  if (cwd === undefined) throw new Error("the target baseline needs --baseline-dir or --baseline-env");
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-bench-"));
  const spec = {
    command: process.execPath,
    args: [join(cwd, "src/main.ts"), "serve"],
    cwd,
    env: {
      ...env,
      ADMIN_LISTEN: "127.0.0.1:0",
      WORKERS: String(workers),
      DATA_DIR: dataDir,
      ...(name === "baseline" ? baselineEnv : serviceEnv),
      ...(name === "grpc-js" && { GRPC_SERVER: "grpc-js" }),
    },
  };
  return await start(name, spec, signal, () => rm(dataDir, { recursive: true, force: true }));
}

async function start(
  name: TargetName,
  spec: Omit<ConstructorParameters<typeof Child>[0], "name">,
  signal: AbortSignal,
  cleanUp: () => Promise<void>,
): Promise<Target> {
  await using stack = new AsyncDisposableStack();
  stack.defer(cleanUp);
  const child = stack.use(new Child({ name: `the target ${name}`, ...spec }));
  const { grpc, admin } = await child.ready(READY_MS, signal);
  if (typeof grpc !== "string") throw new Error(`the ready line of ${name} has no "grpc":"host:port"`);
  const owned = stack.move();
  return {
    name,
    pid: child.pid,
    grpc,
    admin: typeof admin === "string" ? admin : "",
    readyMs: child.readyMs,
    assertRuns: () => child.assertRuns(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
