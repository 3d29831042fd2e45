// A process that a script started, and its end.
//
// Each is the leader of its own process group: Ctrl-C in a terminal then reaches the script alone, which ends its children
// in order, and a supervisor that has to be killed takes its workers along. What lives when the script exits is killed in
// its exit handler; where the script is killed itself, the kernel ends its children (on Linux).

import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { endedWithParent } from "./kafka/reaper.ts";

const END_MS = 15_000;
const LINES_KEPT = 15;

export interface ChildSpec {
  /** For messages. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** The whole environment but PATH, HOME and TMPDIR, so that a shell's settings do not change what is measured. */
  readonly env: Readonly<Record<string, string>>;
  /** A file to which its standard error is appended, too. */
  readonly logFile?: string;
}

/** A JSON line with "msg":"ready" and what else stands in it. */
export type ReadyLine = Readonly<Record<string, unknown>>;

const running = new Set<Child>();
process.on("exit", killAll);

/** Kills every child at once. */
export function killAll(): void {
  for (const child of running) child.kill();
}

export class Child implements AsyncDisposable {
  readonly #name: string;
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #ready = Promise.withResolvers<ReadyLine>();
  readonly #closed: Promise<void>;
  readonly #stdout: string[] = [];
  readonly #lastLines: string[] = [];
  readonly #startedMs = performance.now();
  #readyMs = 0;

  constructor({ name, command, args, cwd, env, logFile }: ChildSpec) {
    this.#name = name;
    const { PATH = "", HOME = "", TMPDIR } = process.env;
    this.#process = spawn(...endedWithParent(command, args), {
      cwd,
      env: { PATH, HOME, ...(TMPDIR !== undefined && { TMPDIR }), ...env },
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
    });
    running.add(this);
    this.#process.stdin.on("error", () => {}); // a child that ends closes its input, and that is all it says
    this.#process.stdout.setEncoding("utf8").on("data", (text: string) => this.#stdout.push(text));
    if (logFile !== undefined) this.#process.stderr.pipe(createWriteStream(logFile, { flags: "a" }));
    createInterface(this.#process.stderr).on("line", (line) => this.#line(line));
    this.#closed = once(this.#process, "close").then(
      () => this.#ended(`ended with ${this.#outcome()}`),
      (error: Error) => this.#ended(`could not be started: ${error.message}`),
    );
    // Whoever waits for the ready line sees its rejection; a load client has none.
    this.#ready.promise.catch(() => {});
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** From the spawn to the ready line, in milliseconds. */
  get readyMs(): number {
    return this.#readyMs;
  }

  /** Resolves with the ready line of its standard error. */
  async ready(withinMs: number, signal: AbortSignal): Promise<ReadyLine> {
    return await within(this.#ready.promise, withinMs, signal, () => this.#error(`is not ready after ${withinMs} ms`));
  }

  /** Resolves with its standard output when it has ended with code 0. */
  async output(withinMs: number, signal: AbortSignal): Promise<string> {
    await within(this.#closed, withinMs, signal, () => this.#error(`has not ended after ${withinMs} ms`));
    if (this.#process.exitCode !== 0) throw this.#error(`ended with code ${this.#process.exitCode}`);
    return this.#stdout.join("");
  }

  /** @throws Error with its last lines, if it has ended by itself. */
  assertRuns(): void {
    if (!running.has(this)) throw this.#error(`ended with ${this.#outcome()}`);
  }

  /** True until it has ended. */
  get runs(): boolean {
    return running.has(this);
  }

  /** Kills it and its group, and resolves when the last of them is gone. */
  async killed(): Promise<void> {
    this.kill();
    await this.#closed;
  }

  /** Ends it with SIGTERM, and its whole group with SIGKILL if that takes too long. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!running.has(this)) return;
    this.#process.kill("SIGTERM");
    const timer = setTimeout(() => this.kill(), END_MS);
    await this.#closed;
    clearTimeout(timer);
  }

  /** Kills it and its group at once. */
  kill(): void {
    this.signal("SIGKILL");
  }

  /** Sends a signal to it and its group. */
  signal(name: NodeJS.Signals): void {
    if (this.pid === 0) return;
    try {
      process.kill(-this.pid, name);
    } catch {
      // The group is gone already.
    }
  }

  #line(line: string): void {
    this.#lastLines.push(line);
    if (this.#lastLines.length > LINES_KEPT) this.#lastLines.shift();
    if (this.#readyMs > 0 || !line.startsWith("{") || !line.includes('"ready"')) return;
    const fields = JSON.parse(line) as ReadyLine;
    if (fields["msg"] !== "ready") return;
    this.#readyMs = performance.now() - this.#startedMs;
    this.#ready.resolve(fields);
  }

  #ended(how: string): void {
    running.delete(this);
    this.#ready.reject(this.#error(`${how} before it was ready`));
  }

  #outcome(): string {
    return this.#process.signalCode ?? `code ${this.#process.exitCode}`;
  }

  #error(what: string): Error {
    const lines = this.#lastLines.map((line) => `\n    ${line}`).join("");
    return new Error(`${this.#name} ${what}${lines === "" ? "" : `; its last lines:${lines}`}`);
  }
}

async function within<T>(promise: Promise<T>, ms: number, signal: AbortSignal, late: () => Error): Promise<T> {
  signal.throwIfAborted();
  const other = Promise.withResolvers<never>();
  const timer = setTimeout(() => other.reject(late()), ms);
  const aborted = () => other.reject(signal.reason as Error);
  signal.addEventListener("abort", aborted, { once: true });
  try {
    return await Promise.race([promise, other.promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", aborted);
  }
}
