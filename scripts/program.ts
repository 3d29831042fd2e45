// A program of the machine that scripts and tests run: whether it is there, and which version.

import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** What a program prints about itself, or undefined if it cannot be run. */
export async function version(command: string, args: readonly string[]): Promise<string | undefined> {
  return await promisify(execFile)(command, args).then(
    ({ stdout, stderr }) => stdout + stderr,
    () => undefined,
  );
}
