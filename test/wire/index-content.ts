// What an event index says of a request, as values that can be compared with those of the official decoder.

import assert from "node:assert/strict";
import type { PublishRequest } from "../../src/gen/sluice/v1/ingest_pb.js";
import {
  COLUMN,
  HEADER_COLUMN,
  HEADER_ROW,
  INVALID_TIMESTAMP,
  NO_PARTITION,
  NO_TIMESTAMP,
  ROW,
  type EventIndex,
} from "../../src/wire/publish-request.ts";

export interface EventContent {
  readonly key: string | undefined;
  readonly value: string | undefined;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Milliseconds since the epoch. */
  readonly timestamp: number | "invalid" | undefined;
  readonly topic: string | undefined;
  readonly partition: number | undefined;
}

export interface RequestContent {
  readonly sequence: bigint;
  readonly topic: string;
  readonly durability: number;
  readonly events: readonly EventContent[];
}

/** Checks on the way that nothing outside of bytes[start, end) is named. Bytes come as hexadecimal digits. */
export function contentOfIndex(index: EventIndex, bytes: Buffer, start: number, end: number): RequestContent {
  const part = (from: number, length: number): Buffer => {
    assert.ok(from >= start && length >= 0 && from + length <= end, `${from} + ${length} lies outside`);
    return bytes.subarray(from, from + length);
  };
  const events = Array.from({ length: index.count }, (_, event) => {
    const column = (name: keyof typeof COLUMN): number => index.rows[event * ROW + COLUMN[name]]!;
    const optional = (from: number, length: number): Buffer | undefined =>
      length < 0 ? undefined : part(from, length);
    const headers = Array.from({ length: column("headerCount") }, (_, i) => {
      const row = (column("headersStart") + i) * HEADER_ROW;
      const at = (name: keyof typeof HEADER_COLUMN): number => index.headers[row + HEADER_COLUMN[name]]!;
      return [
        part(at("keyStart"), at("keyLength")).toString("utf8"),
        part(at("valueStart"), at("valueLength")).toString("hex"),
      ] as const;
    });
    const timestamp = index.timestamps[event]!;
    const partition = column("partition");
    return {
      key: optional(column("keyStart"), column("keyLength"))?.toString("hex"),
      value: optional(column("valueStart"), column("valueLength"))?.toString("hex"),
      headers,
      timestamp: timestamp === NO_TIMESTAMP ? undefined : timestamp === INVALID_TIMESTAMP ? "invalid" : timestamp,
      topic: optional(column("topicStart"), column("topicLength"))?.toString("utf8"),
      partition: partition === NO_PARTITION ? undefined : partition,
    } satisfies EventContent;
  });
  assert.equal(
    index.hasEventTopics,
    events.some(({ topic }) => topic !== undefined),
  );
  return {
    sequence: BigInt(index.sequence),
    topic: part(index.topicStart, index.topicLength).toString("utf8"),
    durability: index.durability,
    events,
  };
}

export function contentOfMessage(message: PublishRequest): RequestContent {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
  return {
    sequence: message.sequence,
    topic: message.topic,
    durability: message.durability,
    events: message.events.map((event) => ({
      key: event.key && hex(event.key),
      value: event.value && hex(event.value),
      headers: event.headers.map(({ key, value }) => [key, hex(value)] as const),
      timestamp: event.timestamp && milliseconds(event.timestamp),
      topic: event.topic,
      // The least of all integers means "none" in the index; as a partition it is as wrong as -1.
      partition: event.partition === NO_PARTITION ? -1 : event.partition,
    })),
  };
}

function milliseconds({ seconds, nanos }: { seconds: bigint; nanos: number }): number | "invalid" {
  const legal = seconds >= 0n && seconds <= 253_402_300_799n && nanos >= 0 && nanos <= 999_999_999;
  return legal ? Number(seconds * 1000n) + Math.floor(nanos / 1e6) : "invalid";
}
