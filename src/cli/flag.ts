// The table of a command's flags, which gives parsing, mistakes and `--help`.
//
// The kinds are those of the configuration, so `--batch 0` and `WORKERS=0` are told in the same words.

import { readFlags, readValue } from "../config/flags.ts";
import { boolean, type Kind } from "../config/kinds.ts";

export interface Flag<T> {
  readonly kind: Kind<unknown>;
  /** What its texts mean; `undefined` for a missing one that is required. */
  readonly read: (texts: readonly { readonly as: string; readonly text: string }[], errors: string[]) => T | undefined;
  readonly required: boolean;
  /** The default as people read it; empty: there is none. */
  readonly defaultText: string;
  readonly meaning: string;
  readonly short: string | undefined;
}

/** A flag that has to be given. */
export function required<T>(kind: Kind<T>, meaning: string): Flag<T> {
  return {
    kind,
    read: (texts, errors) => readValue(kind, texts.at(-1)!, errors),
    required: true,
    defaultText: "",
    meaning,
    short: undefined,
  };
}

/** A flag with a default, written as its users would write it. */
export function withDefault<T>(kind: Kind<T>, defaultText: string, meaning: string): Flag<T> {
  const standard = { as: "the default", text: defaultText };
  return {
    ...required(kind, meaning),
    read: (texts, errors) => readValue(kind, texts.at(-1) ?? standard, errors),
    required: false,
    defaultText,
  };
}

/** A flag that may be left out. */
export function maybe<T>(kind: Kind<T>, meaning: string): Flag<T | undefined> {
  return {
    ...required<T | undefined>(kind, meaning),
    read: (texts, errors) => (texts.length === 0 ? undefined : readValue(kind, texts.at(-1)!, errors)),
    required: false,
  };
}

/** A flag that may be given many times. */
export function many<T>(kind: Kind<T>, meaning: string): Flag<readonly T[]> {
  return {
    ...required<readonly T[]>(kind as Kind<never>, meaning),
    read: (texts, errors) => texts.map((given) => readValue(kind, given, errors)!),
    required: false,
  };
}

/** A flag without a value. */
export function toggle(meaning: string, short?: string): Flag<boolean> {
  return { ...withDefault(boolean, "false", meaning), defaultText: "", short };
}

export type Flags = Readonly<Record<string, Flag<unknown>>>;
export type Values<F extends Flags> = { readonly [K in keyof F]: F[K] extends Flag<infer T> ? T : never };

/** The flag of a key: `--max-wait` of `maxWait`. */
export function flagOf(key: string): string {
  return `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Reads a command's arguments; `positionals` is empty if it takes none. All mistakes at once, one line each. */
export function parseArguments<F extends Flags>(
  { name, flags, positionals: expected }: { readonly name: string; readonly flags: F; readonly positionals: string },
  args: readonly string[],
):
  | { readonly ok: true; readonly values: Values<F>; readonly positionals: readonly string[] }
  | { readonly ok: false; readonly errors: readonly string[] } {
  const errors: string[] = [];
  const entries = Object.entries(flags);
  const short = Object.fromEntries(
    entries.flatMap(([key, flag]) => (flag.short === undefined ? [] : [[flag.short, flagOf(key)]])),
  );
  const kinds = new Map(entries.map(([key, flag]) => [flagOf(key), flag.kind]));
  const { all, positionals } = readFlags(kinds, args, `sluice ${name} --help`, errors, short);
  const values: Record<string, unknown> = {};
  for (const [key, flag] of entries) {
    const texts = all.get(flagOf(key)) ?? [];
    if (flag.required && texts.length === 0) {
      if (!errors.some((error) => error.startsWith(`${flagOf(key)}:`)))
        errors.push(`${flagOf(key)}: missing; give ${flag.kind.right}`);
    } else values[key] = flag.read(texts, errors);
  }
  if (expected === "")
    for (const argument of positionals)
      errors.push(`unexpected argument ${JSON.stringify(argument)}; options start with --`);
  return errors.length > 0 ? { ok: false, errors } : { ok: true, values: values as Values<F>, positionals };
}
