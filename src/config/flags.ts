// Reads flags by a table of kinds, for the configuration and for every command alike.
//
// node:util's parseArgs does the splitting; its strict mode is not used, because it stops at the first mistake and speaks
// in paragraphs. A repeated flag keeps all its texts; who takes one takes the last.

import { parseArgs } from "node:util";
import type { Kind } from "./kinds.ts";

/** What was given for an option. */
export interface Given {
  /** How the user wrote the option's name. */
  readonly as: string;
  readonly text: string;
}

export interface Flags {
  /** The last text of each flag, by flag. */
  readonly given: ReadonlyMap<string, Given>;
  /** Every text of each flag, in order. */
  readonly all: ReadonlyMap<string, readonly Given[]>;
  readonly positionals: readonly string[];
}

/** `--topic --key user`: the next flag is no value; one that starts with dashes is written `--topic=--key`. */
function swallowsFlag(token: {
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}): boolean {
  return token.inlineValue !== true && token.value?.startsWith("--") === true;
}

/**
 * @param kinds by flag, for example `--grpc-listen`.
 * @param help the command that lists the flags.
 * @param short letters for flags, for example `f` for `--follow`.
 * @param errors takes one line per mistake.
 */
export function readFlags(
  kinds: ReadonlyMap<string, Kind<unknown>>,
  args: readonly string[],
  help: string,
  errors: string[],
  short: Readonly<Record<string, string>> = {},
): Flags {
  const letters = new Map(Object.entries(short).map(([letter, flag]) => [flag, letter]));
  const options = Object.fromEntries(
    [...kinds].map(([flag, { placeholder }]) => {
      const type = placeholder === "" ? ("boolean" as const) : ("string" as const);
      const letter = letters.get(flag);
      return [flag.slice(2), letter === undefined ? { type } : { type, short: letter }];
    }),
  );
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true });
  const all = new Map<string, Given[]>();
  const positionals: string[] = [];
  let afterUnknown = -1;
  for (const token of tokens) {
    if (token.kind === "positional" && token.index !== afterUnknown) positionals.push(token.value);
    if (token.kind !== "option") continue;
    const flag = `--${token.name}`;
    const kind = kinds.get(flag);
    if (kind === undefined) {
      errors.push(`${token.rawName}: no such option; \`${help}\` lists them`);
      // What follows may be its value: one mistake, one line.
      if (token.value === undefined) afterUnknown = token.index + 1;
    } else if (kind.placeholder !== "" && (token.value === undefined || swallowsFlag(token))) {
      errors.push(`${flag}: a value is missing; give ${kind.right}`);
    } else {
      const given = { as: flag, text: token.value ?? "true" };
      all.set(flag, [...(all.get(flag) ?? []), given]);
    }
  }
  return { given: new Map([...all].map(([flag, texts]) => [flag, texts.at(-1)!])), all, positionals };
}

/**
 * The value of what was given, or undefined with one more line in `errors`.
 * @param secret what was given is not printed.
 */
export function readValue<T>(kind: Kind<T>, given: Given, errors: string[], secret = false): T | undefined {
  const result = kind.parse(given.text);
  if ("value" in result) return result.value;
  // A URL that is not right may be so because of the password in it.
  const shown = secret ? "what was given" : JSON.stringify(given.text.replace(/\/\/.*@/, "//[redacted]@"));
  errors.push(`${given.as}: ${shown} is not right; give ${result.right}`);
  return undefined;
}
