// Runs a command in this process and keeps what it printed.

import { Readable, Writable } from "node:stream";
import { runCli } from "../../src/cli/cli.ts";
import type { Input } from "../../src/cli/io.ts";

export { Files } from "../support/files.ts";

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Input;
  readonly signal?: AbortSignal;
}

class Collector extends Writable {
  text = "";

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

/** The environment is only what is given. */
export async function run(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { env = {}, stdin = "", signal = new AbortController().signal } = options;
  const stdout = new Collector();
  const stderr = new Collector();
  const input = typeof stdin === "string" ? Readable.from(stdin === "" ? [] : [Buffer.from(stdin)]) : stdin;
  const code = await runCli(args, { stdin: input, stdout, stderr, env, shutdown: signal });
  return { code, stdout: stdout.text, stderr: stderr.text };
}
