// Kafka's own console consumer as the judge of what is really in a topic, with the checksum of every batch checked.
//
// Its text output is made unambiguous by control characters: units end with US, records with RS, headers with GS, and null
// is SUB. So keys, header names and values must be text without those four, and header names without a colon.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { StringDecoder } from "node:string_decoder";

import { kafkaClassPath } from "./jars.ts";
import { endedWithParent, forgetProcess, reapProcess } from "./reaper.ts";

const UNIT = "\x1f";
const RECORD = "\x1e";
const HEADER = "\x1d";
const NULL = "\x1a";

export interface JavaRecord {
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  /** In their order on the wire. */
  readonly headers: readonly (readonly [name: string, value: string | null])[];
  readonly key: string | null;
  readonly value: string | null;
}

export interface JavaConsumeOptions {
  readonly bootstrap: string;
  readonly topic: string;
  /** Records to wait for. */
  readonly count: number;
  /** Give up after this, with what has come until then. Default 30,000. */
  readonly timeoutMs?: number;
  /** When `count` is reached, read on for so long, to catch records that should not be there. Default 0. */
  readonly extraMs?: number;
}

/**
 * Reads a topic from its beginning. Resolves with `count` records (or more, with `extraMs`; or fewer, after `timeoutMs`),
 * in order within each partition. Rejects if the consumer fails, for example at a batch whose checksum is wrong.
 */
export async function javaConsume(options: JavaConsumeOptions): Promise<JavaRecord[]> {
  const records: JavaRecord[] = [];
  await javaConsumeEach(options, (record) => records.push(record));
  return records;
}

/** The same for many records: keeps none of them. Resolves with how many there were. */
export async function javaConsumeEach(
  { bootstrap, topic, count, timeoutMs = 30_000, extraMs = 0 }: JavaConsumeOptions,
  onRecord: (record: JavaRecord) => void,
): Promise<number> {
  const format = {
    "print.timestamp": "true",
    "print.partition": "true",
    "print.offset": "true",
    "print.headers": "true",
    "print.key": "true",
    "print.value": "true",
    "key.separator": UNIT,
    "line.separator": RECORD,
    "headers.separator": HEADER,
    "null.literal": NULL,
  };
  const consumer = { "check.crcs": "true", "enable.auto.commit": "false" };
  const [command, args] = endedWithParent("java", [
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    // What Java 17 and what later ones call the encoding of standard output.
    ...["file.encoding", "sun.stdout.encoding", "stdout.encoding"].map((name) => `-D${name}=UTF-8`),
    "-cp",
    await kafkaClassPath(),
    "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "--bootstrap-server",
    bootstrap,
    "--topic",
    topic,
    "--from-beginning",
    ...Object.entries(consumer).flatMap(([name, value]) => ["--consumer-property", `${name}=${value}`]),
    ...Object.entries(format).flatMap(([name, value]) => ["--property", `${name}=${value}`]),
  ]);
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  const { pid } = child;
  if (pid !== undefined) reapProcess(pid);
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaints = (complaints + text).slice(-4_000);
  });
  let read = 0;
  let enough = false;
  let timer = setTimeout(end, timeoutMs);
  function end(): void {
    enough = true;
    clearTimeout(timer);
    child.kill("SIGKILL");
  }
  const decoder = new StringDecoder("utf8");
  let rest = "";
  let broken: unknown;
  child.stdout.on("data", (chunk: Buffer) => {
    if (enough) return;
    const lines = (rest + decoder.write(chunk)).split(RECORD);
    rest = lines.pop()!;
    try {
      for (const line of lines) {
        read += 1;
        onRecord(parse(line));
        if (read < count) continue;
        if (read === count) {
          clearTimeout(timer);
          if (extraMs > 0) timer = setTimeout(end, extraMs);
          else end();
        }
        if (enough) break;
      }
    } catch (error) {
      broken = error;
      end();
    }
  });
  const [code] = (await once(child, "close")) as [code: number | null];
  clearTimeout(timer);
  if (pid !== undefined) forgetProcess(pid);
  if (broken !== undefined) throw broken;
  if (!enough) throw new Error(`the console consumer ended by itself with ${code}:\n${complaints}`);
  return read;
}

// CreateTime:1700000000123 US Partition:0 US Offset:7 US (NO_HEADERS | name:value GS name:value…) US key US value
function parse(line: string): JavaRecord {
  const [timestamp, partition, offset, headers, key, value, ...more] = line.split(UNIT);
  if (value === undefined || key === undefined || headers === undefined || more.length > 0) {
    throw new Error(`not a record of the console consumer: ${JSON.stringify(line)}`);
  }
  return {
    partition: numberAfterColon(partition),
    offset: numberAfterColon(offset),
    timestamp: numberAfterColon(timestamp),
    headers:
      headers === "NO_HEADERS"
        ? []
        : headers.split(HEADER).map((header) => {
            const colon = header.indexOf(":");
            return [header.slice(0, colon), orNull(header.slice(colon + 1))] as const;
          }),
    key: orNull(key),
    value: orNull(value),
  };
}

function numberAfterColon(text: string | undefined): number {
  return Number(text?.slice(text.indexOf(":") + 1));
}

function orNull(text: string): string | null {
  return text === NULL ? null : text;
}
