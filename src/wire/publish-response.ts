// Writes the protobuf bytes of a PublishResponse, and of the stream message around it.
//
//   PublishResponse       := sequence=1:varint stored=2:varint { failures=3:EventFailure } { placements=4:Placement }
//                            durability=5:varint
//   EventFailure          := index=1:varint reason=2:varint message=3:bytes retryable=4:varint
//   Placement             := topic=1:bytes partition=2:varint first_offset=3:varint count=4:varint
//   PublishStreamResponse := published=1:PublishResponse
//   Zeros are left out, as proto3 does.
//
// An answer is written once for every batch, by a hot path that would spend more on a general encoder's objects than on the
// batch itself; failures are rare and may cost what they like.

import type { Reason } from "../errors.ts";
import { sizeOfVarint, sizeOfVarint53, sizeOfVarint64, writeVarint, writeVarint53, writeVarint64 } from "./varint.ts";

export interface EventFailure {
  /** The event's index in the batch. */
  readonly index: number;
  readonly reason: Reason;
  readonly message: string;
  readonly retryable: boolean;
}

/** Where a run of events lies, and the next one: most answers have one. Topics are ASCII, because only legal names get this far. */
export interface Placement {
  readonly topic: string;
  readonly partition: number;
  /** Not positive: not said. */
  readonly firstOffset: number;
  readonly count: number;
  readonly next: Placement | undefined;
}

export interface PublishAnswer {
  readonly sequence: number | bigint;
  readonly stored: number;
  readonly failures: readonly EventFailure[];
  /** The first one. */
  readonly placements: Placement | undefined;
  /** 1: REPLICATED, 2: PERSISTED. */
  readonly durability: number;
}

/** The bytes of the answer as a PublishResponse. They are good until the next answer is encoded. */
export function encodePublishResponse(answer: PublishAnswer): Buffer {
  const out = room(sizeOfAnswer(answer));
  writeAnswer(out, 0, answer);
  return out;
}

/** The bytes of the answer as a PublishStreamResponse. They are good until the next answer is encoded. */
export function encodePublished(answer: PublishAnswer): Buffer {
  const size = sizeOfAnswer(answer);
  const out = room(1 + sizeOfVarint(size) + size);
  out[0] = 0x0a;
  writeAnswer(out, writeVarint(out, 1, size), answer);
  return out;
}

/** Answers this short, as nearly all are, are written into the same memory, and their views are made once for each length. */
const SHORT_BYTES = 256;
const scratch = Buffer.allocUnsafeSlow(SHORT_BYTES);
const views = Array.from({ length: SHORT_BYTES + 1 }, (_, length) => scratch.subarray(0, length));

function room(bytes: number): Buffer {
  return bytes <= SHORT_BYTES ? views[bytes]! : Buffer.allocUnsafe(bytes);
}

function sizeOfAnswer(answer: PublishAnswer): number {
  let size = 0;
  if (answer.sequence !== 0) size += 1 + sizeOfVarint64(answer.sequence);
  size += sizeOfField(answer.stored);
  for (const failure of answer.failures) {
    const inner = sizeOfFailure(failure);
    size += 1 + sizeOfVarint(inner) + inner;
  }
  for (let placement = answer.placements; placement !== undefined; placement = placement.next) {
    const inner = sizeOfPlacement(placement);
    size += 1 + sizeOfVarint(inner) + inner;
  }
  return size + sizeOfField(answer.durability);
}

function writeAnswer(out: Buffer, position: number, answer: PublishAnswer): void {
  let at = position;
  if (answer.sequence !== 0) {
    out[at++] = 0x08;
    at = writeVarint64(out, at, answer.sequence);
  }
  at = writeField(out, at, 0x10, answer.stored);
  for (const failure of answer.failures) {
    out[at++] = 0x1a;
    at = writeVarint(out, at, sizeOfFailure(failure));
    at = writeField(out, at, 0x08, failure.index);
    at = writeField(out, at, 0x10, failure.reason);
    const length = Buffer.byteLength(failure.message);
    out[at++] = 0x1a;
    at = writeVarint(out, at, length);
    at += out.write(failure.message, at, length, "utf8");
    at = writeField(out, at, 0x20, failure.retryable ? 1 : 0);
  }
  for (let placement = answer.placements; placement !== undefined; placement = placement.next) {
    const { topic, partition, firstOffset, count } = placement;
    out[at++] = 0x22;
    at = writeVarint(out, at, sizeOfPlacement(placement));
    out[at++] = 0x0a;
    at = writeVarint(out, at, topic.length);
    for (let i = 0; i < topic.length; i++) out[at++] = topic.charCodeAt(i);
    at = writeField(out, at, 0x10, partition);
    if (firstOffset > 0) {
      out[at++] = 0x18;
      at = writeVarint53(out, at, firstOffset);
    }
    at = writeField(out, at, 0x20, count);
  }
  writeField(out, at, 0x28, answer.durability);
}

function sizeOfFailure(failure: EventFailure): number {
  const length = Buffer.byteLength(failure.message);
  return (
    sizeOfField(failure.index) +
    sizeOfField(failure.reason) +
    1 +
    sizeOfVarint(length) +
    length +
    sizeOfField(failure.retryable ? 1 : 0)
  );
}

function sizeOfPlacement({ topic, partition, firstOffset, count }: Placement): number {
  return (
    1 +
    sizeOfVarint(topic.length) +
    topic.length +
    sizeOfField(partition) +
    (firstOffset > 0 ? 1 + sizeOfVarint53(firstOffset) : 0) +
    sizeOfField(count)
  );
}

function sizeOfField(value: number): number {
  return value === 0 ? 0 : 1 + sizeOfVarint(value);
}

function writeField(out: Buffer, position: number, tag: number, value: number): number {
  if (value === 0) return position;
  out[position] = tag;
  return writeVarint(out, position + 1, value);
}
