// A command: what it is about, its flags, and what it does.

import { type Flags, parseArguments, type Values } from "./flag.ts";
import { type About, commandHelp, flagRows } from "./help.ts";
import { type CliIo, Exit, printLines } from "./io.ts";

interface CommandDefinition<F extends Flags> extends About {
  readonly flags: F;
  /** @returns the exit code. Throws a CliError for what ends it with one line. */
  run(values: Values<F>, positionals: readonly string[], io: CliIo): Promise<number>;
}

/** What the command line knows of a command. */
export interface Command {
  help(): string[];
  /** @returns the exit code; throws a CliError for what ends it with one line. */
  run(args: readonly string[], io: CliIo): Promise<number>;
}

export function command<const F extends Flags>(definition: CommandDefinition<F>): Command {
  const { name, flags } = definition;
  return {
    help: () => commandHelp(definition, flagRows(flags)),
    run: (args, io) => {
      const parsed = parseArguments(definition, args);
      if (parsed.ok) return definition.run(parsed.values, parsed.positionals, io);
      printMistakes(io, name, parsed.errors);
      return Promise.resolve(Exit.USAGE);
    },
  };
}

/** One line per mistake, with the command's name in front. */
export function printMistakes(io: CliIo, name: string, errors: readonly string[]): void {
  printLines(
    io.stderr,
    errors.map((error) => `sluice ${name}: ${error}`),
  );
}
