// What the bench measures: the service, the service of another checkout, and the naive assembly, each as its own process
// tree with a free port on loopback.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Child } from "../scripts/child.ts";

export const ROOT = fileURLToPath(new URL("..", import.meta.url));
const READY_MS = 30_000;

export const TARGETS = ["service", "baseline", "naive"] as const;
export type TargetName = (typeof TARGETS)[number];

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
  /** More environment variables of the target `service`. */
  readonly serviceEnv: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/**
 * Starts a target. The service and its baseline run on this process's Node, so that only their code differs.
 * @param bootstrap the brokers; undefined: the service stores on its spool.
 */
export async function startTarget(
  name: TargetName,
  bootstrap: string | undefined,
  workers: number,
  { baselineDir, serviceEnv, signal }: TargetOptions,
): Promise<Target> {
  const brokers: Record<string, string> = bootstrap === undefined ? {} : { KAFKA_BROKERS: bootstrap };
  const env = { ...brokers, GRPC_LISTEN: "127.0.0.1:0" };
  if (name === "naive") {
    const args = [join(ROOT, "bench/naive/main.ts")];
    return await start(name, { command: process.execPath, args, cwd: ROOT, env }, signal, async () => {});
  }
  const cwd = name === "baseline" ? baselineDir : ROOT;
  if (cwd === undefined) throw new Error("the target baseline needs --baseline-dir");
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
      ...(name === "service" && serviceEnv),
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
