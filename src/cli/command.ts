// A command: what it is about, its flags, and what it does.

import { type Flags, parseArguments, type Values } from "./flag.ts";
import { type About, commandHelp, flagRows, groupHelp } from "./help.ts";
import { type CliIo, Exit, printLines } from "./io.ts";

interface CommandDefinition<F extends Flags> extends About {
  readonly flags: F;
  /** @returns the exit code. Throws a CliError for what ends it with one line. */
  run(values: Values<F>, positionals: readonly string[], io: CliIo): Promise<number>;
}

/** What the command line knows of a command. */
export interface Command {
  /** @param args what was given beside `--help`: a command made of commands looks there for which one is meant. */
  help(args: readonly string[]): string[];
  /** @returns the exit code; throws a CliError for what ends it with one line. */
  run(args: readonly string[], io: CliIo): Promise<number>;
}

/** A command that is loaded when it is called. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Command>;
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

/** A command made of commands: `sluice dead-letters list`. */
export function group(
  name: string,
  notes: readonly string[],
  commands: Readonly<Record<string, { readonly summary: string; readonly command: Command }>>,
): Command {
  const rows = Object.entries(commands).map(([sub, { summary }]) => ({ name: sub, summary }));
  const find = ([sub]: readonly string[]) =>
    sub !== undefined && Object.hasOwn(commands, sub) ? commands[sub] : undefined;
  return {
    help: (args) => {
      const found = find(args);
      return found === undefined
        ? groupHelp(name, notes, rows)
        : [found.summary, "", ...found.command.help(args.slice(1))];
    },
    run: (args, io) => {
      const found = find(args);
      if (found !== undefined) return found.command.run(args.slice(1), io);
      const what = args[0] === undefined ? "a command is missing" : `${JSON.stringify(args[0])} is not a command`;
      printMistakes(io, name, [`${what}; give ${rows.map((row) => row.name).join(", ")}`]);
      return Promise.resolve(Exit.USAGE);
    },
  };
}
