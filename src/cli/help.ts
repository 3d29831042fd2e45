// `--help`, rendered from the tables of options, commands and flags.

import { optionRows } from "../config.ts";
import { flagOf, type Flags } from "./flag.ts";

/** What `--help` says of a command besides its options. */
export interface About {
  readonly name: string;
  /** What follows the options, for example `[FILE...]`; empty: nothing may. */
  readonly positionals: string;
  /** Paragraphs. */
  readonly notes: readonly string[];
  readonly examples: readonly string[];
}

const WIDTH = 100;

/** Two columns; the right one is wrapped. A left side that is too long has a line of its own. */
function columns(rows: readonly (readonly [left: string, right: string])[], leftMax = 34): string[] {
  const width = Math.min(leftMax, Math.max(...rows.map(([left]) => left.length)));
  return rows.flatMap(([left, right]) => {
    const lines = wrap(right, WIDTH - width - 4);
    const indent = " ".repeat(width + 4);
    const first =
      left.length > width ? [`  ${left}`, `${indent}${lines[0]}`] : [`  ${left.padEnd(width)}  ${lines[0]}`];
    return [...first, ...lines.slice(1).map((line) => indent + line)];
  });
}

function wrap(text: string, width: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1)!;
    if (line !== "" && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines;
}

export function generalHelp(commands: readonly { readonly name: string; readonly summary: string }[]): string[] {
  return [
    "sluice takes batches of events over gRPC and brings them to Kafka.",
    "",
    "Usage: sluice COMMAND [OPTIONS]",
    "",
    "Commands:",
    ...columns(commands.map(({ name, summary }) => [name, summary])),
    "",
    "Options:",
    ...columns([
      ["-h, --help", "Tell what a command does, and its options: `sluice COMMAND --help`."],
      ["-v, --version", "Print the version."],
    ]),
  ];
}

/** The help of a command that is made of commands. */
export function groupHelp(
  name: string,
  notes: readonly string[],
  commands: readonly { readonly name: string; readonly summary: string }[],
): string[] {
  return [
    `Usage: sluice ${name} COMMAND [OPTIONS]`,
    ...notes.flatMap((note) => ["", ...wrap(note, WIDTH)]),
    "",
    "Commands:",
    ...columns(commands.map((command) => [command.name, command.summary])),
    "",
    "Options:",
    ...columns([["-h, --help", `Tell what a command does: \`sluice ${name} COMMAND --help\`.`]]),
  ];
}

/** @param options the rows of its options, from whichever table they are in. */
export function commandHelp(
  { name, positionals, notes, examples }: About,
  options: readonly (readonly [left: string, right: string])[],
): string[] {
  const usage = ["sluice", name, "[OPTIONS]", positionals].filter((part) => part !== "").join(" ");
  return [
    `Usage: ${usage}`,
    ...notes.flatMap((note) => ["", ...wrap(note, WIDTH)]),
    "",
    "Options:",
    ...columns([...options, ["-h, --help", "Print this."]]),
    "",
    "Examples:",
    ...examples.map((example) => `  ${example}`),
  ];
}

/** A command's own flags. */
export function flagRows(flags: Flags): [left: string, right: string][] {
  return Object.entries(flags).map(([key, { kind, short, meaning, defaultText, required }]) => {
    const names = short === undefined ? flagOf(key) : `-${short}, ${flagOf(key)}`;
    const left = kind.placeholder === "" ? names : `${names} ${kind.placeholder}`;
    return [left, withNote(meaning, required ? "required" : defaultText === "" ? "" : `default ${defaultText}`)];
  });
}

/** The configuration's options as flags. */
export function configRows(): [left: string, right: string][] {
  return optionRows().map(({ flag, placeholder, meaning, defaultText }) => [
    placeholder === "" ? flag : `${flag} ${placeholder}`,
    withNote(meaning, `default ${defaultText}`),
  ]);
}

function withNote(meaning: string, note: string): string {
  return note === "" ? meaning : `${meaning.replace(/\.$/, "")} (${note}).`;
}
