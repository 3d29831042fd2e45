// The configuration: one table that gives environment variables, flags, --help and the documentation.
//
// Every option is an environment variable and, in kebab case, a flag of `sluice serve`; flags win. Reading it collects all
// mistakes, because whoever mistyped three options should not have to start three times. Unknown flags are mistakes;
// unknown environment variables cannot be told from those of others.
//
// Invariants: `Config` is plain data, deeply frozen, so that it can be sent to a worker and nobody can bend it later. A key
// of `Config` is the option's name in camel case, and durations end in `Ms`. A secret leaves this file through `Config` only.

import { resolve } from "node:path";
import { type Given, readFlags, readValue } from "./config/flags.ts";
import { formatAddress, formatBytes } from "./config/kinds.ts";
import { type Config, CORES, type Key, NONE, type Option, OPTIONS } from "./config/options.ts";

export { type Address, formatAddress } from "./config/kinds.ts";
export type { Config } from "./config/options.ts";

export type Loaded =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly errors: readonly string[] };

const ENTRIES = Object.entries(OPTIONS) as [Key, Option<unknown>][];

/** The flag of an option: `--grpc-listen` of `GRPC_LISTEN`. */
function flagOf(name: string): string {
  return `--${name.toLowerCase().replaceAll("_", "-")}`;
}

function read(option: Option<unknown>, given: Given | undefined, errors: string[]): unknown {
  if (given === undefined) return option.byDefault();
  // An empty flag takes back what the environment says, where "none" is a value.
  if (given.text === "" && option.defaultText === NONE) return option.byDefault();
  return readValue(option.kind, given, errors, option.secret);
}

/** Mistakes that no option makes alone. */
function contradictions(config: Config): string[] {
  const errors: string[] = [];
  if (config.kafkaSaslMechanism === undefined) {
    if (config.kafkaSaslUsername !== undefined || config.kafkaSaslPassword !== undefined)
      errors.push(
        "KAFKA_SASL_MECHANISM: missing, but a user or password is given; give PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
      );
  } else {
    const by = `KAFKA_SASL_MECHANISM=${config.kafkaSaslMechanism}`;
    if (config.kafkaSaslUsername === undefined) errors.push(`KAFKA_SASL_USERNAME: missing; ${by} needs it`);
    if (config.kafkaSaslPassword === undefined) errors.push(`KAFKA_SASL_PASSWORD: missing; ${by} needs it`);
  }
  if (config.kafkaTlsCaFile !== undefined && !config.kafkaTls)
    errors.push(
      `KAFKA_TLS_CA_FILE: ${JSON.stringify(config.kafkaTlsCaFile)} has no use without TLS; give KAFKA_TLS=true`,
    );
  if (config.admittedBytesMax < config.grpcMessageBytesMax)
    errors.push(
      `ADMITTED_BYTES_MAX: ${formatBytes(config.admittedBytesMax)} is less than one message may have; give at least GRPC_MESSAGE_BYTES_MAX (${formatBytes(config.grpcMessageBytesMax)})`,
    );
  if (config.grpcReceiveBytesMax < config.grpcMessageBytesMax)
    errors.push(
      `GRPC_RECEIVE_BYTES_MAX: ${formatBytes(config.grpcReceiveBytesMax)} is less than one message may have; give at least GRPC_MESSAGE_BYTES_MAX (${formatBytes(config.grpcMessageBytesMax)})`,
    );
  if (config.grpcConnectionWindowBytes < config.grpcStreamWindowBytes)
    errors.push(
      `GRPC_CONNECTION_WINDOW_BYTES: ${formatBytes(config.grpcConnectionWindowBytes)} is less than one call may send; give at least GRPC_STREAM_WINDOW_BYTES (${formatBytes(config.grpcStreamWindowBytes)})`,
    );
  const { grpcTlsCertFile, grpcTlsKeyFile, grpcTlsClientCaFile } = config;
  const { adminTlsCertFile, adminTlsKeyFile, adminTlsClientCaFile } = config;
  errors.push(
    ...tlsContradictions("GRPC_TLS", grpcTlsCertFile, grpcTlsKeyFile, grpcTlsClientCaFile),
    ...tlsContradictions("ADMIN_TLS", adminTlsCertFile, adminTlsKeyFile, adminTlsClientCaFile),
  );
  if (config.spoolBytesMax < config.spoolSegmentBytes)
    errors.push(
      `SPOOL_BYTES_MAX: ${formatBytes(config.spoolBytesMax)} is less than one segment; give at least SPOOL_SEGMENT_BYTES (${formatBytes(config.spoolSegmentBytes)})`,
    );
  const { grpcListen, adminListen } = config;
  if (grpcListen.port !== 0 && grpcListen.port === adminListen.port && grpcListen.host === adminListen.host)
    errors.push(`ADMIN_LISTEN: ${formatAddress(adminListen)} is GRPC_LISTEN's; give another port`);
  return errors;
}

/** @param prefix what the options' names begin with. */
function tlsContradictions(
  prefix: string,
  certFile: string | undefined,
  keyFile: string | undefined,
  clientCaFile: string | undefined,
): string[] {
  if (certFile !== undefined && keyFile === undefined)
    return [`${prefix}_KEY_FILE: missing, but ${prefix}_CERT_FILE is given; give the certificate's key, too`];
  if (certFile !== undefined) return [];
  const given = keyFile === undefined ? `${prefix}_CLIENT_CA_FILE` : `${prefix}_KEY_FILE`;
  if (keyFile === undefined && clientCaFile === undefined) return [];
  return [`${prefix}_CERT_FILE: missing, but ${given} is given; give a certificate, too`];
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(deepFreeze);
  return value;
}

/**
 * Reads the configuration.
 * @param env environment variables; an empty one counts as not set.
 * @param flags the arguments after `serve`; they win over `env`.
 * @returns all mistakes, one line each: the option's name as it was given, what was given, what is right.
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>>, flags: readonly string[] = []): Loaded {
  const errors: string[] = [];
  const { given, positionals } = readFlags(
    new Map(ENTRIES.map(([, { name, kind }]) => [flagOf(name), kind])),
    flags,
    "sluice serve --help",
    errors,
  );
  for (const argument of positionals)
    errors.push(`unexpected argument ${JSON.stringify(argument)}; options start with --`);
  const values: Partial<Record<Key, unknown>> = {};
  for (const [key, option] of ENTRIES) {
    const variable = env[option.name];
    const fallback = variable === undefined || variable === "" ? undefined : { as: option.name, text: variable };
    values[key] = read(option, given.get(flagOf(option.name)) ?? fallback, errors);
  }
  const config = values as Config;
  if (errors.length === 0) errors.push(...contradictions(config));
  if (errors.length > 0) return { ok: false, errors };
  return { ok: true, config: deepFreeze({ ...config, dataDir: resolve(config.dataDir) }) };
}

/** The configuration as it may be logged: options that are not set are null, secrets are hidden. */
export function redacted(config: Config): Record<string, unknown> {
  return Object.fromEntries(
    ENTRIES.map(([key, option]) => {
      const value = config[key] ?? null;
      return [key, option.secret && value !== null ? "[redacted]" : value];
    }),
  );
}

/** A command line as it may be shown: what is given to flags of secrets is hidden. */
export function redactedArguments(args: readonly string[]): string[] {
  const secrets = new Set(ENTRIES.filter(([, { secret }]) => secret).map(([, { name }]) => flagOf(name)));
  return args.map((argument, i) => {
    if (secrets.has(args[i - 1] ?? "")) return "[redacted]";
    const [flag = ""] = argument.split("=", 1);
    return secrets.has(flag) && argument !== flag ? `${flag}=[redacted]` : argument;
  });
}

/** One row of the table, for `--help` and the docs. */
export interface OptionRow {
  readonly name: string;
  readonly flag: string;
  /** Stands for the value, for example `HOST:PORT`; empty: the flag alone means true. */
  readonly placeholder: string;
  readonly defaultText: string;
  /** What is right, for example `1 to 512`. */
  readonly values: string;
  readonly meaning: string;
}

export function optionRows(): OptionRow[] {
  return ENTRIES.map(([, { name, kind, defaultText, meaning }]) => ({
    name,
    flag: flagOf(name),
    placeholder: kind.placeholder,
    defaultText,
    values: kind.values,
    meaning,
  }));
}

/** The table for the docs, in Markdown. */
export function configMarkdown(): string {
  const cell = (content: string) => content.replaceAll("|", "\\|");
  const code = (value: string) => (value === NONE || value === CORES ? value : `\`${value}\``);
  return [
    "| name | default | values | meaning |",
    "|---|---|---|---|",
    ...optionRows().map(
      (row) => `| \`${row.name}\` | ${code(row.defaultText)} | ${cell(row.values)} | ${cell(row.meaning)} |`,
    ),
    "",
  ].join("\n");
}
