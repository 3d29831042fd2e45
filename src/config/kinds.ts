// The kinds of value that an option can have: how its text is read, what a right one looks like, how it is printed.
//
// The configuration and the flags of every command are tables over these kinds, so a mistake in either reads the same.
// Rejected: a schema library. What it adds is types, which the tables infer anyway; what it lacks is the one line a
// person needs, with the name, what was given and what is right.

import { isIPv6 } from "node:net";

/** Where to listen or to connect. */
export interface Address {
  /** A host name, an IPv4 address, or an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** The text is not a value of the kind. `right` says what is, and follows "give" in a sentence. */
export interface Wrong {
  readonly right: string;
}

export interface Kind<T> {
  /** Stands for the value in `--help`, for example `ADDRESS`; empty: the flag takes no value. */
  readonly placeholder: string;
  /** What is right, in a sentence: follows "give". */
  readonly right: string;
  /** What is right, in a table. */
  readonly values: string;
  /** Units that the key in `Config` ends with; durations are numbers of milliseconds there. */
  readonly suffix: "" | "Ms";
  parse(text: string): { readonly value: T } | Wrong;
}

const KIB = 1024;
const BYTE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  KIB: KIB,
  MIB: KIB ** 2,
  GIB: KIB ** 3,
  TIB: KIB ** 4,
};
const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Formats an address for people and for gRPC: `127.0.0.1:50051`, `[::1]:50051`. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Formats bytes with the largest unit that divides them, so that it reads back as the same number. */
export function formatBytes(bytes: number): string {
  for (const [unit, size] of [
    ["TiB", KIB ** 4],
    ["GiB", KIB ** 3],
    ["MiB", KIB ** 2],
    ["KiB", KIB],
  ] as const) {
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return `${bytes}B`;
}

/** Formats a duration with the largest unit that divides it, so that it reads back as the same number. */
export function formatDuration(ms: number): string {
  if (ms > 0 && ms % 3_600_000 === 0) return `${ms / 3_600_000}h`;
  if (ms > 60_000 && ms % 60_000 === 0) return `${ms / 60_000}m`;
  if (ms > 0 && ms % 1000 === 0) return `${ms / 1000}s`;
  return `${ms}ms`;
}

//   address = host ":" port | "[" ipv6 "]" ":" port ; port = 0..65535
function parseAddress(text: string, portMin: number): Address | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([a-zA-Z0-9._-]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || (match?.[1] !== undefined && !isIPv6(host))) return undefined;
  return port > 65_535 || port < portMin ? undefined : { host, port };
}

function kind<T>(
  placeholder: string,
  values: string,
  right: string,
  read: (text: string) => T | undefined,
  suffix: Kind<T>["suffix"] = "",
): Kind<T> {
  return {
    placeholder,
    values,
    right,
    suffix,
    parse: (text) => {
      const value = read(text);
      return value === undefined ? { right } : { value };
    },
  };
}

/** `host:port` to listen on; port 0 lets the system choose a free one. */
export const listenAddress: Kind<Address> = kind(
  "HOST:PORT",
  "host:port",
  "host:port, for example 127.0.0.1:50051 or [::1]:50051",
  (text) => parseAddress(text, 0),
);

/** `host:port` to connect to. */
export const remoteAddress: Kind<Address> = kind(
  "HOST:PORT",
  "host:port",
  "host:port, for example 127.0.0.1:50051 or [::1]:50051",
  (text) => parseAddress(text, 1),
);

/** Comma-separated `host:port`; the empty text is an empty list. */
export const brokerList: Kind<readonly Address[]> = kind(
  "HOST:PORT,...",
  "host:port,...",
  "host:port, separated by commas, for example kafka-1:9092,kafka-2:9092",
  (text) => {
    const brokers = text
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== "")
      .map((part) => parseAddress(part, 1));
    return brokers.some((broker) => broker === undefined) ? undefined : (brokers as Address[]);
  },
);

export function integer(min: number, max: number): Kind<number> {
  return kind("N", `${min} to ${max}`, `a whole number from ${min} to ${max}`, (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max ? value : undefined;
  });
}

/** A part of something: `0.01`, `1`. */
export const ratio: Kind<number> = kind("RATIO", "0 to 1", "a number from 0 to 1, for example 0.01", (text) => {
  const value = /^\d{1,3}(?:\.\d{1,12})?$/.test(text) ? Number(text) : Number.NaN;
  return value <= 1 ? value : undefined;
});

/** The URL of an HTTP server, as it was given; without a user, because it is logged and shown. */
export const httpUrl: Kind<string> = kind(
  "URL",
  "http(s)://host:port/path",
  "a URL without user and password, for example http://127.0.0.1:4318",
  (text) => {
    const url = /^https?:\/\//.test(text) ? URL.parse(text) : null;
    return url !== null && url.username === "" && url.password === "" ? text : undefined;
  },
);

/** A number of bytes: `65536`, `256KiB`, `64MiB`, `10GiB`. */
export function bytes(min: number, max: number): Kind<number> {
  const values = `${formatBytes(min)} to ${formatBytes(max)}`;
  return kind("BYTES", values, `bytes from ${values} with their unit (KiB, MiB or GiB)`, (text) => {
    const match = /^(\d{1,15}) ?([a-z]*)$/i.exec(text);
    const value = Number(match?.[1]) * (BYTE_UNITS[match?.[2]?.toUpperCase() ?? ""] ?? Number.NaN);
    return value >= min && value <= max ? value : undefined;
  });
}

/** A time with its unit: `5ms`, `20s`, `1m`; in milliseconds once read. A bare number is refused: its unit is a guess. */
export function duration(minMs: number, maxMs: number): Kind<number> {
  const values = `${formatDuration(minMs)} to ${formatDuration(maxMs)}`;
  const read = (text: string): number | undefined => {
    if (text === "0" && minMs === 0) return 0;
    const match = /^(\d{1,12}(?:\.\d{1,3})?) ?(ms|s|m|h)$/.exec(text);
    const value = Number(match?.[1]) * (DURATION_UNITS[match?.[2] ?? ""] ?? Number.NaN);
    return value >= minMs && value <= maxMs ? value : undefined;
  };
  return kind("DURATION", values, `a duration from ${values} with its unit (ms, s, m or h)`, read, "Ms");
}

export const boolean: Kind<boolean> = kind("", "true, false", "true or false", (text) =>
  text === "true" || text === "1" ? true : text === "false" || text === "0" ? false : undefined,
);

export function oneOf<const T extends string>(...values: readonly T[]): Kind<T> {
  const right = values.length === 1 ? `${values[0]}` : `${values.slice(0, -1).join(", ")} or ${values.at(-1)}`;
  return kind(values.join("|"), values.join(", "), right, (text) => values.find((value) => value === text));
}

/** Any text but the empty one. */
export function text(placeholder = "TEXT", right = "a text that is not empty"): Kind<string> {
  return kind(placeholder, "text", right, (given) => (given === "" ? undefined : given));
}

/** What HTTP takes as a bearer token, and long enough that nobody guesses it. */
export const token: Kind<string> = kind(
  "SECRET",
  "16 characters or more",
  "at least 16 of a-z, A-Z, 0-9 and -._~+/, for example from `openssl rand -hex 32`",
  (given) => (/^[a-zA-Z0-9._~+/-]{16,}=*$/.test(given) ? given : undefined),
);

/** A name that Kafka takes for a topic. */
export const topicName: Kind<string> = kind(
  "TOPIC",
  "a topic",
  'the name of a topic: 1 to 249 of a-z, A-Z, 0-9, ".", "_" and "-"',
  (given) => (/^[a-zA-Z0-9._-]{1,249}$/.test(given) && given !== "." && given !== ".." ? given : undefined),
);

/** A path, as it was given: whoever reads the table resolves it. */
export const path: Kind<string> = { ...text("PATH"), values: "a path", right: "a path" };
