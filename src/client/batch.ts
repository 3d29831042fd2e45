// A batch as its sender writes it, and its bytes.
//
// Strings and dates are what callers have; bytes and protobuf timestamps are what the contract takes. The conversion is one
// pass, and a batch is encoded once, when its turn to be sent comes. Its sequence is not part of these bytes: it is put in
// front when they are sent, so that a batch which is sent again is not encoded again.

import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Durability, type EventSchema, PublishRequestSchema } from "../gen/sluice/v1/ingest_pb.js";

export interface HeaderInit {
  readonly key: string;
  /** Text is UTF-8. Absent is empty. */
  readonly value?: Uint8Array | string;
}

/** One event. Text is encoded as UTF-8. */
export interface EventInit {
  /** Absent or null is Kafka's null; events of one stream with the same key keep their order. */
  readonly key?: Uint8Array | string | null;
  /** Absent or null is Kafka's null, a tombstone on compacted topics. */
  readonly value?: Uint8Array | string | null;
  readonly headers?: readonly HeaderInit[];
  /** A Date, or milliseconds since the epoch. Absent: when the service received it. */
  readonly timestamp?: Date | number;
  /** Overrides the batch's topic. */
  readonly topic?: string;
  /** Overrides the partition that the key gives. */
  readonly partition?: number;
}

export interface BatchInit {
  /** The topic of every event that names none itself. */
  readonly topic?: string;
  /** What an acknowledgement has to mean. Absent: the service's default, which the answer names. */
  readonly durability?: Durability;
  readonly events: readonly EventInit[];
}

/** The bytes of the batch as a PublishRequest, without a sequence. Throws a RangeError for what cannot be encoded. */
export function encodeBatch(batch: BatchInit): Uint8Array {
  const request = create(PublishRequestSchema, {
    topic: batch.topic ?? "",
    durability: batch.durability ?? Durability.DURABILITY_UNSPECIFIED,
    events: batch.events.map(eventOf),
  });
  return toBinary(PublishRequestSchema, request);
}

//   PublishRequest := sequence=1:varint, then the rest
/** A message: the sequence in front of an encoded batch. */
export function withSequence(sequence: number, body: Uint8Array): Buffer {
  const message = Buffer.allocUnsafe(11 + body.length);
  message[0] = 0x08;
  let at = 1;
  let rest = sequence;
  while (rest > 0x7f) {
    message[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  message[at++] = rest;
  message.set(body, at);
  return message.subarray(0, at + body.length);
}

function eventOf(event: EventInit): MessageInitShape<typeof EventSchema> {
  const init: MessageInitShape<typeof EventSchema> = {};
  if (event.key !== undefined && event.key !== null) init.key = bytesOf(event.key);
  if (event.value !== undefined && event.value !== null) init.value = bytesOf(event.value);
  if (event.headers !== undefined)
    init.headers = event.headers.map(({ key, value }) => ({ key, value: bytesOf(value ?? "") }));
  if (event.timestamp !== undefined) init.timestamp = timestampOf(event.timestamp);
  if (event.topic !== undefined) init.topic = event.topic;
  if (event.partition !== undefined) init.partition = event.partition;
  return init;
}

function bytesOf(value: Uint8Array | string): Uint8Array {
  return typeof value === "string" ? Buffer.from(value) : value;
}

function timestampOf(timestamp: Date | number): { seconds: bigint; nanos: number } {
  const ms = Math.floor(Number(timestamp));
  if (!Number.isFinite(ms)) throw new RangeError("the event's timestamp is not a valid date");
  const seconds = Math.floor(ms / 1000);
  return { seconds: BigInt(seconds), nanos: (ms - seconds * 1000) * 1e6 };
}
