// Prebuilt PublishRequests, each as one whole gRPC message, so that the client spends nothing on encoding while it measures.
//
// Every request is sent many times and only its sequence differs. Sequences run from 2^21 to 2^28 - 1, whose varints are
// all four bytes long: rewriting one never changes the message's length, and stays the canonical encoding (padding a varint
// would make the servers meet bytes that no encoder writes).

import { mulberry32 } from "../../scripts/random.ts";

/** What the events of the requests look like. */
export interface RequestShape {
  /** Whose turn it is, request by request. */
  readonly topics: readonly string[];
  /** Events of a request. */
  readonly batch: number;
  /** Bytes of an event's value. */
  readonly valueBytes: number;
  /** How many distinct keys the events are drawn from. */
  readonly keys: number;
  /** Headers of an event. */
  readonly headers: number;
  /** The durability field: 0 unspecified, 1 REPLICATED, 2 PERSISTED. */
  readonly durability: number;
}

export const POOL_SIZE = 64;
export const SEQUENCE_FIRST = 1 << 21;
export const SEQUENCE_LAST = (1 << 28) - 1;

/** The gRPC message prefix: one byte for compression, four for the length. */
const PREFIX_BYTES = 5;
/** Where the sequence's varint lies: behind the prefix and the tag of field 1. */
const SEQUENCE_OFFSET = PREFIX_BYTES + 1;

const ALPHABET = `abcdefghijklmnopqrstuvwxyz0123456789":,{} `;

/** @returns gRPC messages, prefix included; the same seed gives the same bytes, but for the events' timestamps. */
export function prebuild(shape: RequestShape, seed: number, nowMs: number, count = POOL_SIZE): Buffer[] {
  const random = mulberry32(seed);
  const pick = (n: number) => Math.floor(random() * n);
  const timestamp = bytesField(4, [
    ...uintField(1, Math.floor(nowMs / 1000)),
    ...uintField(2, (Math.floor(nowMs) % 1000) * 1_000_000),
  ]);
  return Array.from({ length: count }, (_, index) => {
    const topic = shape.topics[index % shape.topics.length]!;
    const parts = [
      uintField(1, SEQUENCE_FIRST),
      bytesField(2, Buffer.from(topic)),
      shape.durability === 0 ? [] : uintField(3, shape.durability),
    ];
    for (let i = 0; i < shape.batch; i++) {
      const event = [...bytesField(1, Buffer.from(`user-${pick(shape.keys)}`))];
      const value = Array.from({ length: shape.valueBytes }, () => ALPHABET.charCodeAt(pick(ALPHABET.length)));
      event.push(...bytesField(2, value));
      for (let h = 0; h < shape.headers; h++) {
        const header = [
          ...bytesField(1, Buffer.from(`header-${h}`)),
          ...bytesField(2, Buffer.from("0123456789abcdef")),
        ];
        event.push(...bytesField(3, header));
      }
      event.push(...timestamp);
      parts.push(bytesField(4, event));
    }
    const message = Buffer.concat(parts.map((part) => Uint8Array.from(part)));
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt32BE(message.length, 1);
    return Buffer.concat([prefix, message]);
  });
}

/** Rewrites the sequence of a prebuilt message in place. */
export function writeSequence(message: Buffer, sequence: number): void {
  message[SEQUENCE_OFFSET] = (sequence & 0x7f) | 0x80;
  message[SEQUENCE_OFFSET + 1] = ((sequence >>> 7) & 0x7f) | 0x80;
  message[SEQUENCE_OFFSET + 2] = ((sequence >>> 14) & 0x7f) | 0x80;
  message[SEQUENCE_OFFSET + 3] = sequence >>> 21;
}

/** The sequence after this one; the numbers start again when they are used up. */
export function nextSequence(sequence: number): number {
  return sequence === SEQUENCE_LAST ? SEQUENCE_FIRST : sequence + 1;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 0x80);
  bytes.push(value);
  return bytes;
}

function uintField(field: number, value: number): number[] {
  return [...varint(field << 3), ...varint(value)];
}

function bytesField(field: number, bytes: ArrayLike<number>): number[] {
  return [...varint((field << 3) | 2), ...varint(bytes.length), ...Array.from(bytes)];
}
