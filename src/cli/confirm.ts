// Asks before what cannot be taken back.

import { createInterface } from "node:readline";
import type { CliIo } from "./io.ts";

/**
 * Lets whoever sits at the terminal type `word`; anything else, Ctrl-C and the end of the input are "no". Asks on standard
 * error, because standard output may go somewhere else.
 */
export async function confirm(io: CliIo, question: string, word: string): Promise<boolean> {
  const lines = createInterface({ input: io.stdin, output: io.stderr, terminal: false });
  io.stderr.write(question);
  const answer = await new Promise<string | undefined>((resolve) => {
    lines.once("line", resolve).once("close", () => {
      resolve(undefined);
    });
    io.shutdown.addEventListener("abort", () => {
      resolve(undefined);
    });
  });
  lines.close();
  return answer?.trim() === word;
}
