// Random events, and the bytes of requests that hold them, written by two encoders that are not ours.

import { fileURLToPath } from "node:url";
import { create, toBinary } from "@bufbuild/protobuf";
import { loadSync, type MethodDefinition, type ServiceDefinition } from "@grpc/proto-loader";
import fc from "fast-check";
import { PublishRequestSchema } from "../../src/gen/sluice/v1/ingest_pb.js";

export interface TestEvent {
  /** Absent is null, as for the record that it becomes. */
  readonly key?: Buffer;
  readonly value?: Buffer;
  readonly headers?: readonly (readonly [name: string, value: Buffer])[];
  readonly timestamp?: { readonly seconds: bigint; readonly nanos: number };
  readonly topic?: string;
  readonly partition?: number;
}

export interface TestRequest {
  readonly sequence?: bigint;
  readonly topic?: string;
  /** The number on the wire, known or not. */
  readonly durability?: number;
  readonly events: readonly TestEvent[];
}

/** By the official library. */
export function encodeRequest({ sequence = 0n, topic = "", durability = 0, events }: TestRequest): Buffer {
  const message = create(PublishRequestSchema, {
    sequence,
    topic,
    durability,
    events: events.map(({ headers = [], ...event }) => ({
      ...event,
      headers: headers.map(([key, value]) => ({ key, value })),
    })),
  });
  return Buffer.from(toBinary(PublishRequestSchema, message));
}

const definition = loadSync("sluice/v1/ingest.proto", {
  includeDirs: [fileURLToPath(new URL("../../proto", import.meta.url))],
});
const { Publish } = definition["sluice.v1.EventIngest"] as ServiceDefinition;

/** By protobufjs, which also writes what equals its default. */
export function encodeRequestByProtobufjs({ sequence = 0n, topic = "", durability = 0, events }: TestRequest): Buffer {
  const message = {
    sequence: String(sequence),
    topic,
    durability,
    events: events.map(({ headers = [], timestamp, ...event }) => ({
      ...event,
      headers: headers.map(([key, value]) => ({ key, value })),
      ...(timestamp && { timestamp: { seconds: String(timestamp.seconds), nanos: timestamp.nanos } }),
    })),
  };
  return (Publish as MethodDefinition<object, object>).requestSerialize(message);
}

const bytes = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength, size: "max" }).map((array) => Buffer.from(array));

/** A text of any code points but half surrogate pairs, which UTF-8 cannot say. */
const unicode = (maxLength: number): fc.Arbitrary<string> => fc.string({ unit: "binary", maxLength });

const LAST_SECOND = 253_402_300_799n;
const timestamps = fc.record({
  seconds: fc.oneof(
    fc.bigInt({ min: 1_700_000_000n, max: 1_700_000_100n }),
    fc.bigInt({ min: 0n, max: LAST_SECOND }),
    fc.constantFrom(0n, LAST_SECOND),
  ),
  nanos: fc.oneof(fc.integer({ min: 0, max: 999_999_999 }), fc.constantFrom(0, 999_999, 1_000_000, 999_999_999)),
});

/** Lengths around the borders of varints and of how short copies are made. */
const sizedBytes: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 4, arbitrary: bytes(40) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(0, 23, 24, 63, 64, 127, 128, 8_191, 8_192, 20_000).map((n) => Buffer.alloc(n, n)),
  },
);

/** Events whose every record can be written: legal timestamps, no topic or partition of their own. */
export const legalEvents: fc.Arbitrary<TestEvent> = fc.record(
  {
    key: sizedBytes,
    value: sizedBytes,
    headers: fc.array(
      fc.tuple(fc.oneof(unicode(12), fc.constantFrom("", "a", "a", "trace-id", "ключ", "鍵", "🔑")), bytes(16)),
      { maxLength: 6 },
    ),
    timestamp: timestamps,
  },
  { requiredKeys: [] },
);

/** Events that say anything that the schema can say. */
export const anyEvents: fc.Arbitrary<TestEvent> = fc
  .tuple(
    legalEvents,
    fc.record(
      {
        topic: unicode(10),
        partition: fc.oneof(fc.integer({ min: -3, max: 300 }), fc.integer()),
        timestamp: fc.record({ seconds: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), nanos: fc.integer() }),
      },
      { requiredKeys: [] },
    ),
  )
  .map(([event, more]) => ({ ...event, ...more }));

export const anyRequests: fc.Arbitrary<TestRequest> = fc.record(
  {
    sequence: fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(2n ** 53n - 1n, 2n ** 53n + 1n)),
    topic: unicode(10),
    durability: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer()),
    events: fc.array(anyEvents, { maxLength: 6 }),
  },
  { requiredKeys: ["events"] },
);
