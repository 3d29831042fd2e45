// The service under test: the real one, on ports that it keeps when it is started again.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Child } from "../child.ts";

export interface ServiceOptions {
  readonly grpcPort: number;
  readonly adminPort: number;
  readonly bootstrap: string;
  readonly dataDir: string;
  readonly logFile: string;
  /** More of its environment. */
  readonly env: Readonly<Record<string, string>>;
}

const ROOT = join(import.meta.dirname, "../..");
const READY_MS = 60_000;
/** DRAIN_TIMEOUT and the 2 s after which workers are killed, with room to spare. */
const DRAIN_MS = 40_000;
const POLL_MS = 50;

export class Service implements AsyncDisposable {
  readonly #options: ServiceOptions;
  #child: Child | undefined;

  constructor(options: ServiceOptions) {
    this.#options = options;
  }

  get address(): string {
    return `127.0.0.1:${this.#options.grpcPort}`;
  }

  get adminUrl(): string {
    return `http://127.0.0.1:${this.#options.adminPort}`;
  }

  get runs(): boolean {
    return this.#child?.runs ?? false;
  }

  /** Starts it, unless it runs, and resolves when it is ready. */
  async start(signal: AbortSignal): Promise<void> {
    if (this.runs) return;
    const { grpcPort, adminPort, bootstrap, dataDir, logFile, env } = this.#options;
    this.#child = new Child({
      name: "the service",
      command: process.execPath,
      args: [join(ROOT, "src/main.ts"), "serve"],
      cwd: ROOT,
      env: {
        GRPC_LISTEN: `127.0.0.1:${grpcPort}`,
        ADMIN_LISTEN: `127.0.0.1:${adminPort}`,
        WORKERS: "2",
        KAFKA_BROKERS: bootstrap,
        DATA_DIR: dataDir,
        ...env,
      },
      logFile,
    });
    await this.#child.ready(READY_MS, signal);
  }

  /** kill -9 of the supervisor and its workers. */
  async kill(): Promise<void> {
    await this.#child?.killed();
  }

  /** SIGTERM, and a new start when it has drained. @throws Error if that takes too long. */
  async restart(signal: AbortSignal): Promise<void> {
    const child = this.#child;
    if (child !== undefined) {
      process.kill(child.pid, "SIGTERM");
      const deadline = performance.now() + DRAIN_MS;
      while (child.runs) {
        if (performance.now() > deadline)
          throw new Error(`the service has not ended ${DRAIN_MS / 1000} s after SIGTERM`);
        await sleep(POLL_MS, undefined, { signal });
      }
    }
    await this.start(signal);
  }

  /** The process ids of its workers, as far as the system tells them: on Linux. */
  get workers(): readonly number[] {
    const { pid } = this.#child ?? { pid: 0 };
    try {
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
      return children.trim().split(" ").map(Number);
    } catch {
      return [];
    }
  }

  /** @throws Error with its last lines, if it has ended by itself. */
  assertRuns(): void {
    this.#child?.assertRuns();
  }

  /** Drains and ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child?.[Symbol.asyncDispose]();
  }
}
