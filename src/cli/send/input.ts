// Files and standard input as records: NDJSON, one JSON array, or CSV with a header; any of them gzipped.
//
// What an input is, its first bytes tell; a name ending in .csv, .ndjson or .jsonl settles what they leave open. Nothing is
// read as a whole: one chunk and one record are in memory, whatever the size. A record that is wrong is told with its line
// and costs nothing else.

import { createReadStream, type Stats, statSync } from "node:fs";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { type Info, parse } from "csv-parse";
import { CliError, messageOf } from "../io.ts";
import type { InputRecord } from "./event.ts";
import {
  InputError,
  JsonArraySplitter,
  LineSplitter,
  type Piece,
  RECORD_BYTES_MAX,
  type Splitter,
} from "./splitter.ts";

export type Format = "ndjson" | "json" | "csv";

/** A record that could not be read. */
export interface BadRecord {
  /** From 1; 0 if it is about no line. */
  readonly line: number;
  readonly problem: string;
}

export interface Source {
  /** For messages: the path, or `standard input`. */
  readonly name: string;
  /** Bytes on disk; undefined if nobody knows. */
  readonly bytes: number | undefined;
  readonly open: () => Readable;
}

/** The first of these bytes decide what an input is. */
const PEEK_BYTES = 64 * 1024;
const CHUNK_BYTES = 256 * 1024;

/** Throws a CliError if one of them cannot be read, before anything of the others is. */
export function openSources(paths: readonly string[], stdin: Readable): Source[] {
  return (paths.length === 0 ? ["-"] : paths).map((path) => {
    if (path === "-") return { name: "standard input", bytes: undefined, open: () => stdin };
    let stats: Stats;
    try {
      stats = statSync(path);
    } catch (error) {
      const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
      throw new CliError(missing ? `${path}: there is no such file` : messageOf(error), { cause: error });
    }
    if (stats.isDirectory()) throw new CliError(`${path}: is a directory; give files`);
    const open = () => createReadStream(path, { highWaterMark: CHUNK_BYTES });
    return { name: path, bytes: stats.isFile() ? stats.size : undefined, open };
  });
}

/**
 * The records of a source, in bunches.
 * @param format undefined: found out.
 * @param onBytes told how many bytes of the source, as they lie on disk, were read since the last time.
 * @param signal ends the reading.
 */
export async function* readRecords(
  source: Source,
  format: Format | undefined,
  onBytes: (bytes: number) => void = () => {},
  signal: AbortSignal = new AbortController().signal,
): AsyncGenerator<(InputRecord | BadRecord)[]> {
  const stream = source.open();
  // A pipe that says nothing would be waited for.
  const stop = () => {
    stream.destroy();
  };
  signal.addEventListener("abort", stop, { once: true });
  try {
    const raw = await peek(counted(stream, onBytes));
    const gzipped = raw.head[0] === 0x1f && raw.head[1] === 0x8b;
    const { head, chunks } = gzipped ? await peek(gunzipped(raw.chunks)) : raw;
    const found = format ?? detectFormat(head, source.name.replace(/\.gz$/i, ""));
    if (found === "csv") yield* csvRecords(chunks);
    else yield* jsonRecords(chunks, found === "json" ? new JsonArraySplitter() : new LineSplitter());
  } catch (error) {
    if (signal.aborted) return;
    // Whatever is thrown is about the input: nothing after it can be read.
    yield [{ line: error instanceof InputError ? error.line : 0, problem: messageOf(error) }];
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** What the input is, by its first bytes and its name without `.gz`. */
export function detectFormat(head: Buffer, name: string): Format {
  const text = head
    .toString("utf8")
    .replace(/^\uFEFF/, "")
    .trimStart();
  if (/\.csv$/i.test(name)) return "csv";
  if (/\.(?:ndjson|jsonl)$/i.test(name)) return "ndjson";
  if (text.startsWith("[")) return "json";
  if (text.startsWith("{") || text === "" || /\.json$/i.test(name)) return "ndjson";
  const [line = ""] = text.split("\n", 1);
  return isJson(line) ? "ndjson" : "csv";
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

async function* counted(stream: Readable, onBytes: (bytes: number) => void): AsyncGenerator<Buffer> {
  for await (const chunk of stream as AsyncIterable<Buffer | string>) {
    const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    onBytes(bytes.length);
    yield bytes;
  }
}

async function* gunzipped(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  const input = Readable.from(chunks);
  input.on("error", (error) => gunzip.destroy(error));
  try {
    yield* input.pipe(gunzip) as AsyncIterable<Buffer>;
  } catch (error) {
    throw new InputError(0, `the gzipped data is broken: ${messageOf(error)}`);
  }
}

/** The first bytes, and all of them. */
async function peek(chunks: AsyncGenerator<Buffer>): Promise<{ head: Buffer; chunks: AsyncGenerator<Buffer> }> {
  const first: Buffer[] = [];
  let length = 0;
  while (length < PEEK_BYTES) {
    const { value, done } = await chunks.next();
    if (done === true) break;
    first.push(value);
    length += value.length;
    // A pipe that says little and then waits is not waited for: one line is enough to tell.
    if (value.includes(0x0a)) break;
  }
  const head = Buffer.concat(first);
  async function* all(): AsyncGenerator<Buffer> {
    if (head.length > 0) yield head;
    yield* chunks;
  }
  return { head, chunks: all() };
}

async function* jsonRecords(
  chunks: AsyncIterable<Buffer>,
  splitter: Splitter,
): AsyncGenerator<(InputRecord | BadRecord)[]> {
  let first = true;
  for await (const chunk of chunks) {
    const start = first && chunk[0] === 0xef && chunk[1] === 0xbb && chunk[2] === 0xbf ? 3 : 0;
    first = false;
    yield* split((out) => {
      splitter.push(chunk.subarray(start), out);
    });
  }
  yield* split((out) => {
    splitter.end(out);
  });
}

/** The records that a step found, also if it ended in an error. */
function* split(step: (out: Piece[]) => void): Generator<(InputRecord | BadRecord)[]> {
  const pieces: Piece[] = [];
  let error: unknown;
  try {
    step(pieces);
  } catch (thrown) {
    error = thrown;
  }
  if (pieces.length > 0) yield pieces.map(recordOf);
  if (error !== undefined) throw error;
}

function recordOf({ line, bytes }: Piece): InputRecord | BadRecord {
  if (bytes.length === 0) return { line, problem: "a record is missing here" };
  try {
    return { line, value: bytes, json: JSON.parse(bytes.toString("utf8")) };
  } catch (error) {
    return { line, problem: `not valid JSON: ${messageOf(error)}` };
  }
}

async function* csvRecords(chunks: AsyncIterable<Buffer>): AsyncGenerator<(InputRecord | BadRecord)[]> {
  const bad: BadRecord[] = [];
  const parser = parse({
    bom: true,
    columns: true,
    info: true,
    skip_empty_lines: true,
    max_record_size: RECORD_BYTES_MAX,
    skip_records_with_error: true,
    on_skip: (error) => {
      if (error === undefined) return;
      const line = typeof error["lines"] === "number" ? error["lines"] : 0;
      bad.push({ line, problem: messageOf(error).replace(/ on line \d+$/, "") });
    },
  });
  const input = Readable.from(chunks);
  input.on("error", (error) => parser.destroy(error));
  let bunch: (InputRecord | BadRecord)[] = [];
  for await (const { record, info } of input.pipe(parser) as AsyncIterable<{ record: unknown; info: Info }>) {
    bunch.push({ line: info.lines, value: Buffer.from(JSON.stringify(record)), json: record });
    // What came with one chunk is passed on together.
    if (bunch.length >= 500 || parser.readableLength === 0) {
      yield [...bad.splice(0), ...bunch];
      bunch = [];
    }
  }
  if (bunch.length + bad.length > 0) yield [...bad, ...bunch];
}
