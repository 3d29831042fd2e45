// From the bytes of a request to a record batch, and back by three decoders of which two are not ours.

import { createRequire } from "node:module";
import { Reader, readRecordsBatch } from "@platformatic/kafka";
import { EventIndex, NO_TIMESTAMP } from "../../src/wire/publish-request.ts";
import { decodeRecords, RECORD_BATCH_HEADER_BYTES, stampCrc, writeBatchHeader } from "../../src/wire/record-batch.ts";
import { sizeOfRecord, sizeOfRecordBody, writeRecord } from "../../src/wire/record.ts";
import type { TestEvent } from "./requests.ts";

/** What a record says, whoever read it. */
export interface PlainRecord {
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly (readonly [name: string, value: Buffer | null])[];
}

/** What the record of an event has to say. */
export function recordOf(event: TestEvent, nowMs: number): PlainRecord {
  const { key = null, value = null, headers = [], timestamp } = event;
  const ms = timestamp && Number(timestamp.seconds) * 1000 + Math.floor(timestamp.nanos / 1e6);
  return { timestamp: ms ?? nowMs, key, value, headers };
}

/** Writes all events of a request into one record batch, the first of them giving the base timestamp. */
export function transcode(request: Buffer, nowMs: number): Buffer {
  const index = new EventIndex(100_000);
  index.parse(request);
  return writeBatch(request, index, nowMs);
}

export function writeBatch(request: Buffer, index: EventIndex, nowMs: number): Buffer {
  const timestamps = Array.from(index.timestamps.subarray(0, index.count), (given) =>
    given === NO_TIMESTAMP ? nowMs : given,
  );
  const base = timestamps[0] ?? 0;
  const bodies = timestamps.map((timestamp, event) => sizeOfRecordBody(index, event, timestamp - base, event));
  const length = bodies.reduce((sum, body) => sum + sizeOfRecord(body), RECORD_BATCH_HEADER_BYTES);
  // Beyond the batch nothing may be written: the bytes there belong to somebody else.
  const out = Buffer.alloc(length + 64, 0xaa);
  let at = RECORD_BATCH_HEADER_BYTES;
  for (const [event, body] of bodies.entries()) {
    const before = at;
    at = writeRecord(out, at, request, index, event, body, timestamps[event]! - base, event);
    if (at - before !== sizeOfRecord(body)) throw new Error(`record ${event} is not as long as was worked out`);
  }
  if (!out.subarray(length).every((byte) => byte === 0xaa)) throw new Error("written beyond the end");
  writeBatchHeader(
    out,
    length,
    timestamps.length,
    base,
    timestamps.reduce((a, b) => Math.max(a, b), base),
  );
  const batch = out.subarray(0, length);
  stampCrc(batch);
  return batch;
}

export function decode(batch: Buffer): PlainRecord[] {
  return Array.from(decodeRecords(batch), ({ timestamp, key, value, headers }) => ({
    timestamp,
    key,
    value,
    headers: headers.map(({ key, value }) => [key, value] as const),
  }));
}

export function decodeByPlatformatic(batch: Buffer): PlainRecord[] {
  const { firstTimestamp, records } = readRecordsBatch(Reader.from(batch));
  return records.map(({ timestampDelta, key, value, headers }) => ({
    timestamp: Number(firstTimestamp + timestampDelta),
    key,
    value,
    headers: headers.map(([key, value]) => [key!.toString("utf8"), value] as const),
  }));
}

type KafkajsDecoder = new (bytes: Buffer) => object;
interface KafkajsBatch {
  readonly records: readonly {
    readonly timestamp: string;
    readonly key: Buffer | null;
    readonly value: Buffer | null;
    readonly headers: Readonly<Record<string, unknown>>;
  }[];
}
const require = createRequire(import.meta.url);
const Decoder = require("kafkajs/src/protocol/decoder.js") as KafkajsDecoder;
const decodeBatch = require("kafkajs/src/protocol/recordBatch/v0/decoder.js") as (
  decoder: object,
) => Promise<KafkajsBatch>;

/** A record as kafkajs tells it: the values of each header name together, the order between names lost. */
export type GroupedRecord = Omit<PlainRecord, "headers"> & {
  readonly headers: ReadonlyMap<string, readonly unknown[]>;
};

export function grouped(records: readonly PlainRecord[]): GroupedRecord[] {
  return records.map(({ headers, ...record }) => {
    const byName = [...Map.groupBy(headers, ([name]) => name)];
    return { ...record, headers: new Map(byName.map(([name, pairs]) => [name, pairs.map(([, value]) => value)])) };
  });
}

export async function decodeByKafkajs(batch: Buffer): Promise<GroupedRecord[]> {
  const { records } = await decodeBatch(new Decoder(batch));
  return records.map(({ timestamp, key, value, headers }) => ({
    timestamp: Number(timestamp),
    key,
    value,
    // For a header called "constructor" it takes what every object has by that name for a first value.
    headers: new Map(
      Object.entries(headers).map(([name, value]) => [name, [value].flat().filter((part) => Buffer.isBuffer(part))]),
    ),
  }));
}
