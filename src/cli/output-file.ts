// Where a command writes bytes: a file that is whole or not there, or standard output.

import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { CliError, type CliIo, messageOf } from "./io.ts";

/** Stands for standard output. */
export const STDOUT = "-";

/** A terminal shows no bytes. Throws a CliError if it would have to. */
export function refuseTerminal(file: string, what: string, { stdout }: CliIo): void {
  if (file === STDOUT && stdout.isTTY === true)
    throw new CliError(`${what} is not text, and standard output is a terminal; give -o FILE`);
}

/**
 * Writes all of it: to the file, which has its name only once it is whole, or to standard output.
 * @returns the bytes. Throws a CliError if it cannot be read or written.
 */
export async function writeOutput(file: string, content: Readable | Buffer, io: CliIo): Promise<number> {
  let bytes = 0;
  const source = Buffer.isBuffer(content) ? Readable.from([content]) : content;
  source.on("data", (chunk: Buffer) => (bytes += chunk.length));
  const temporary = `${file}.part`;
  try {
    if (file === STDOUT) await pipeline(source, io.stdout, { end: false });
    else {
      await pipeline(source, createWriteStream(temporary, { mode: 0o600 }));
      await rename(temporary, file);
    }
  } catch (cause) {
    if (file !== STDOUT) await rm(temporary, { force: true });
    // Whoever reads standard output may stop before the end; the command line knows what to make of it.
    if (file === STDOUT && (cause as NodeJS.ErrnoException).code === "EPIPE") return bytes;
    throw new CliError(`${file === STDOUT ? "standard output" : file} cannot be written: ${messageOf(cause)}`, {
      cause,
    });
  }
  return bytes;
}
