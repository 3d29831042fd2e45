// What clients send, for the fuzzer to change: bytes of real clients (record.ts wrote them), and bytes made here that have
// what those clients do not use: padding, priorities, CONTINUATION, small windows, and messages cut anywhere.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { JOIN, REPEAT, STREAM, UNARY } from "../support/echo.ts";
import {
  data,
  Flag,
  frame,
  headers,
  ping,
  PREFACE,
  priority,
  rstStream,
  Setting,
  settings,
  settingsAck,
  Type,
  windowUpdate,
} from "../support/frames.ts";
import { callBlock, callFields, message } from "../support/grpc.ts";
import { indexed, indexing, literal, literals, neverIndexed, tableSize } from "../support/hpack.ts";
import { PAUSING } from "./methods.ts";

export interface Recording {
  readonly name: string;
  readonly bytes: Buffer;
  /** Streams with calls of methods that do not exist. */
  readonly unimplemented: readonly number[];
}

const real = ["grpc-js", "node-http2", "grpc-go", "curl"].map((name) => ({
  name,
  bytes: readFileSync(join(import.meta.dirname, "recordings", `${name}.bin`)),
  unimplemented: name === "node-http2" ? [9] : [],
}));

const CANCEL = 8;

/** A row of frames after the preface. */
function made(name: string, entries: readonly (readonly [number, number])[], ...frames: readonly Buffer[]): Recording {
  const bytes = Buffer.concat([PREFACE, settings(entries), settingsAck(), ...frames]);
  return { name, bytes, unimplemented: name === "endings" ? [1] : [] };
}

/** Fields that enter the dynamic table, and the same fields taken from it (the newest has index 62). */
function tableBlocks(path: string): { readonly first: Buffer; readonly later: Buffer } {
  const fields = callFields(path, [["x-tag", "table"]]);
  const first = Buffer.concat(fields.map(([name, value]) => indexing(name, value)));
  const later = Buffer.concat(fields.map((_, i) => indexed(62 + fields.length - 1 - i)));
  return { first, later };
}

/** The bytes in DATA frames of so many bytes; the last one ends the request. */
function cut(id: number, bytes: Buffer, every: number): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += every) {
    frames.push(data(id, bytes.subarray(at, at + every), at + every >= bytes.length));
  }
  return frames;
}

/** Frames of several streams, in turns. */
function interleaved(...rows: readonly (readonly Buffer[])[]): Buffer {
  const turns = Math.max(...rows.map(({ length }) => length));
  return Buffer.concat(Array.from({ length: turns }, (_, i) => rows.flatMap((row) => row[i] ?? [])).flat());
}

const GZIP = [["grpc-encoding", "gzip"]] as const;
const zipped = (text: string): Buffer => message(gzipSync(text, { level: 9 }), true);
const table = tableBlocks(UNARY);

/** The other fields of a call than its path. */
const pathless = literals(callFields("").filter(([name]) => name !== ":path"));
/** A block whose path is the newest entry of the dynamic table, whatever that is. */
const newestPath = Buffer.concat([indexed(62), pathless]);
const insertPath = (path: string): Buffer => Buffer.concat([indexing(":path", path), pathless]);

/** The reserved bit of a frame's stream, set. */
function withReservedBit(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  copy[5]! |= 0x80;
  return copy;
}

const synthetic: readonly Recording[] = [
  made(
    "padding",
    [],
    headers(1, callBlock(UNARY), { padding: 200 }),
    data(1, message("padded-1"), true, 255),
    headers(3, callBlock(STREAM), { padding: 0, dependsOn: 0 }),
    data(3, message("padded-3-0"), false, 255),
    data(3, message("padded-3-1").subarray(0, 7), false, 0),
    data(3, message("padded-3-1").subarray(7), false, 255),
    data(3, Buffer.alloc(0), false, 255),
    data(3, message("padded-3-2"), false, 255),
    data(3, message("padded-3-3"), true, 255),
  ),
  made(
    "continuation",
    [],
    headers(1, callBlock(UNARY), { fragmentBytes: 11, padding: 3 }),
    data(1, message("continued-1"), true),
    headers(3, callBlock(STREAM), { fragmentBytes: 40, dependsOn: 1 }),
    priority(3, 0),
    data(3, message("continued-3-0")),
    data(3, message("continued-3-1")),
    headers(3, literal("x-trailer", "continued"), { end: true, fragmentBytes: 5 }),
    ping(Buffer.from("12345678")),
  ),
  made(
    "table",
    [[Setting.HEADER_TABLE_SIZE, 4096]],
    headers(1, table.first),
    data(1, message("table-1"), true),
    ...[3, 5, 7].flatMap((id) => [headers(id, table.later), data(id, message(`table-${id}`), true)]),
    headers(9, Buffer.concat([tableSize(100), tableSize(4096), callBlock(UNARY), neverIndexed("x-secret", "s")])),
    data(9, message("table-9"), true),
    headers(11, table.first),
    data(11, message("table-11"), true),
  ),
  made(
    "stale-blocks",
    [],
    headers(1, insertPath(UNARY)),
    data(1, message("stale-1"), true),
    headers(3, newestPath),
    data(3, message("stale-3"), true),
    headers(5, insertPath(JOIN)),
    data(5, message("stale-5"), true),
    headers(7, newestPath),
    data(7, message("stale-7-0")),
    data(7, message("stale-7-1"), true),
  ),
  made(
    "reserved-bits",
    [[Setting.INITIAL_WINDOW_SIZE, 20]],
    withReservedBit(headers(1, callBlock(STREAM))),
    withReservedBit(data(1, message("reserved-1-0"))),
    withReservedBit(windowUpdate(1, 30)),
    data(1, message("reserved-1-1"), true),
    withReservedBit(ping()),
  ),
  made(
    "small-windows",
    [[Setting.INITIAL_WINDOW_SIZE, 30]],
    headers(1, callBlock(UNARY)),
    data(1, message("small window 1 ".repeat(10)), true),
    headers(3, callBlock(REPEAT)),
    data(3, message("small window 3 ".repeat(3)), true),
    windowUpdate(1, 7),
    windowUpdate(3, 1),
    settings([[Setting.INITIAL_WINDOW_SIZE, 10]]),
    windowUpdate(1, 40),
    windowUpdate(3, 60),
    ping(),
    settings([[Setting.INITIAL_WINDOW_SIZE, 50]]),
    headers(5, callBlock(STREAM)),
    data(5, message("small window 5 ".repeat(4))),
    windowUpdate(1, 100),
    windowUpdate(3, 100),
    data(5, message("five, again"), true),
    windowUpdate(5, 100),
  ),
  made(
    "gzip",
    [],
    headers(1, callBlock(UNARY, GZIP)),
    data(1, zipped("gzip-1 ".repeat(20)), true),
    headers(3, callBlock(STREAM, GZIP)),
    data(3, Buffer.concat([zipped("gzip-3-0 ".repeat(9)), message("plain-3-1"), zipped("gzip-3-2")])),
    data(3, zipped("gzip-3-3").subarray(0, 12)),
    headers(5, callBlock(JOIN, GZIP)),
    data(5, zipped("gzip-5-0")),
    data(3, zipped("gzip-3-3").subarray(12), true),
    data(5, zipped("gzip-5-1"), true),
  ),
  made(
    "interleaved",
    [],
    ...[1, 3, 5, 7].map((id) => headers(id, callBlock(id === 5 ? JOIN : STREAM))),
    interleaved(
      cut(1, Buffer.concat([message("inter-1-0"), message("inter-1-1"), message("inter-1-2")]), 4),
      cut(3, Buffer.concat([message("inter-3-0"), message(""), message("inter-3-2")]), 3),
      cut(5, Buffer.concat([message("inter-5-0"), message("inter-5-1")]), 6),
      cut(7, message("inter-7-0 ".repeat(5)), 13),
    ),
  ),
  made(
    "pausing",
    [],
    headers(1, callBlock(PAUSING)),
    headers(3, callBlock(PAUSING, GZIP)),
    data(1, Buffer.concat(["pause-1-0", "pause-1-1", "pause-1-2"].map((text) => message(text)))),
    data(3, Buffer.concat([zipped("pause-3-0"), message("pause-3-1")])),
    data(1, message("pause-1-3").subarray(0, 8)),
    data(3, message("pause-3-2"), true),
    data(1, message("pause-1-3").subarray(8), true),
  ),
  made(
    "long",
    [],
    headers(1, callBlock(STREAM)),
    ...Array.from({ length: 4 }, (_, i) => data(1, message(`long-1-${i} `.repeat(60)))),
    headers(3, callBlock(UNARY)),
    ...cut(3, message("long-3 ".repeat(120)), 300),
    data(1, message("long-1-end")),
  ),
  made(
    "endings",
    [],
    headers(1, callBlock("/test.Echo/Missing")),
    data(1, message("missing"), true),
    headers(3, callBlock(STREAM)),
    data(3, message("reset-3")),
    rstStream(3, CANCEL),
    windowUpdate(3, 10),
    headers(5, callBlock(UNARY, [["content-length", "18"]])),
    data(5, message("length-exact!")),
    data(5, Buffer.alloc(0), true),
    headers(7, callBlock(UNARY)),
    data(7, message("")),
    data(7, Buffer.alloc(0), true),
    headers(9, callBlock(JOIN), { end: true }),
    headers(11, callBlock(STREAM, [["grpc-timeout", "10S"]])),
    frame(0x42, 0xff, 0, Buffer.from("extension")),
    data(11, message("timed-11"), true),
    headers(13, callBlock(STREAM)),
    data(13, message("open-13")),
    frame(Type.GOAWAY, 0, 0, Buffer.alloc(8)),
    frame(Type.PING, Flag.ACK, 0, Buffer.alloc(8)),
  ),
];

export const RECORDINGS: readonly Recording[] = [...real, ...synthetic];
