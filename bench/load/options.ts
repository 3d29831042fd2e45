// The load client's command line, checked before anything is opened.

import net from "node:net";
import { parseArgs } from "node:util";

export interface LoadOptions {
  readonly mode: "unary" | "stream";
  readonly host: string;
  readonly port: number;
  /** Concurrent callers (unary) or streams. */
  readonly callers: number;
  /** Unanswered requests of a stream. */
  readonly window: number;
  readonly batch: number;
  readonly valueBytes: number;
  readonly keys: number;
  readonly headers: number;
  /** At least one. */
  readonly topics: readonly string[];
  readonly durability: number;
  readonly connections: number;
  readonly warmMs: number;
  readonly measureMs: number;
  /** Requests per second over all callers; 0: as fast as answers come. */
  readonly rate: number;
  /** The server's process, whose tree is measured; 0: none. */
  readonly pid: number;
}

export const HELP = `Usage: node bench/load.ts --addr HOST:PORT [options]

Drives sluice.v1.EventIngest on loopback with prebuilt requests and prints one line of JSON.

  --addr HOST:PORT   the server (loopback only)
  --mode MODE        unary or stream (unary)
  --callers N        concurrent callers, or streams (64)
  --window N         unanswered requests of a stream (8)
  --batch N          events of a request (100)
  --value-bytes N    bytes of an event's value (200)
  --keys N           distinct keys (10000)
  --headers N        headers of an event (0)
  --topic NAME       the topic, or several with commas between them, for which the requests are in turns (bench)
  --durability N     0 unspecified, 1 REPLICATED, 2 PERSISTED (0)
  --connections N    connections (4)
  --warm SECONDS     load before the measurement (3)
  --seconds SECONDS  the measurement (10)
  --rate N           requests per second over all callers, latency from when each was due; 0: as fast as answers come (0)
  --pid PID          the server's process: its tree's CPU and memory are measured
  --help             this text`;

/** @throws Error with one line per mistake. */
export function parseLoadOptions(args: readonly string[]): LoadOptions | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      addr: { type: "string" },
      mode: { type: "string", default: "unary" },
      callers: { type: "string", default: "64" },
      window: { type: "string", default: "8" },
      batch: { type: "string", default: "100" },
      "value-bytes": { type: "string", default: "200" },
      keys: { type: "string", default: "10000" },
      headers: { type: "string", default: "0" },
      topic: { type: "string", default: "bench" },
      durability: { type: "string", default: "0" },
      connections: { type: "string", default: "4" },
      warm: { type: "string", default: "3" },
      seconds: { type: "string", default: "10" },
      rate: { type: "string", default: "0" },
      pid: { type: "string", default: "0" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const errors: string[] = [];
  const number = (name: Exclude<keyof typeof values, "help">, min: number, max: number, whole = true) => {
    const value = Number(values[name]);
    if (values[name] !== "" && value >= min && value <= max && (!whole || Number.isInteger(value))) return value;
    errors.push(
      `--${name}: give ${whole ? "a whole number" : "a number"} from ${min} to ${max}, not "${values[name]}"`,
    );
    return min;
  };
  const mode = values.mode === "stream" ? "stream" : "unary";
  if (values.mode !== mode) errors.push(`--mode: give unary or stream, not "${values.mode}"`);
  const { host, port } = parseAddress(values.addr ?? "", errors);
  const options: LoadOptions = {
    mode,
    host,
    port,
    callers: number("callers", 1, 100_000),
    window: number("window", 1, 100_000),
    batch: number("batch", 0, 100_000),
    valueBytes: number("value-bytes", 0, 16 << 20),
    keys: number("keys", 1, 1e9),
    headers: number("headers", 0, 1000),
    topics: values.topic.split(","),
    durability: number("durability", 0, 2),
    connections: number("connections", 1, 10_000),
    warmMs: number("warm", 0, 3600, false) * 1000,
    measureMs: number("seconds", 0.1, 3600, false) * 1000,
    rate: number("rate", 0, 1e7, false),
    pid: number("pid", 0, 2 ** 31),
  };
  if (errors.length > 0) throw new Error(errors.join("\n"));
  return options;
}

function parseAddress(address: string, errors: string[]): { host: string; port: number } {
  const match = /^\[?([^\]]*)\]?:(\d+)$/.exec(address);
  const host = match?.[1] ?? "";
  const loopback = host === "localhost" || host === "::1" || (net.isIPv4(host) && host.startsWith("127."));
  if (!loopback)
    errors.push(`--addr: give HOST:PORT of a server on loopback, for example 127.0.0.1:50051, not "${address}"`);
  return { host, port: Number(match?.[2]) };
}
