// What a command may touch of the process, so that tests can run commands without one.

import type { Readable, Writable } from "node:stream";

/** An output; `isTTY`, `columns` and `rows` are there if it is a terminal, which emits "resize". */
export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };

/** An input; `isTTY` is there if somebody types, and `setRawMode` gives each key as it is pressed. */
export type Input = Readable & { readonly isTTY?: boolean; setRawMode?(raw: boolean): unknown };

export interface CliIo {
  readonly stdin: Input;
  /** What a command prints for whoever called it. */
  readonly stdout: Output;
  /** Mistakes, logs and progress. */
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted when the user asks the command to end; it then finishes what it has. */
  readonly shutdown: AbortSignal;
}

/** What ends a command with one line for the user: `sluice send: <message>`. */
export class CliError extends Error {
  override readonly name = "CliError";
}

/** The exit codes of every command. */
export const Exit = {
  OK: 0,
  /** The command ran and something failed; it said what. */
  FAILED: 1,
  /** The command line or the configuration is wrong; nothing was started. */
  USAGE: 2,
} as const;

/** Writes lines, each with its end. */
export function printLines(out: Writable, lines: readonly string[]): void {
  out.write(lines.map((line) => `${line}\n`).join(""));
}

/** The message of whatever was thrown, on one line. */
export function messageOf(thrown: unknown): string {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return message.replaceAll(/\s*\n\s*/g, " ");
}
