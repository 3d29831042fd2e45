// What clients and the service say to each other, as bytes, by the generated code.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  PublishRequestSchema,
  type PublishResponse,
  PublishResponseSchema,
  type PublishStreamResponse,
  PublishStreamResponseSchema,
} from "../../src/gen/sluice/v1/ingest_pb.js";
import type { SentBatch } from "./history.ts";

export function encodeRequest(batch: SentBatch): Buffer {
  const message = create(PublishRequestSchema, {
    sequence: BigInt(batch.sequence),
    topic: batch.topic,
    durability: batch.durability,
    events: batch.events.map(({ key, value, topic, partition }) => ({
      ...(key === undefined ? {} : { key: Buffer.from(key) }),
      value: Buffer.from(value, "latin1"),
      ...(topic === batch.topic ? {} : { topic }),
      ...(partition === undefined ? {} : { partition }),
    })),
  });
  return Buffer.from(toBinary(PublishRequestSchema, message));
}

export function decodeAnswer(bytes: Uint8Array): PublishResponse {
  return fromBinary(PublishResponseSchema, bytes);
}

export function decodeStreamAnswer(bytes: Uint8Array): PublishStreamResponse {
  return fromBinary(PublishStreamResponseSchema, bytes);
}
