// The service under test: the real one, on ports that it keeps when it is started again.

import { join } from "node:path";
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

  /** @throws Error with its last lines, if it has ended by itself. */
  assertRuns(): void {
    this.#child?.assertRuns();
  }

  /** Drains and ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child?.[Symbol.asyncDispose]();
  }
}
