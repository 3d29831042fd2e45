// What every sink answers: a PublishResponse that calls all events of the request stored, without having looked at them.
//
// The request is walked field by field, because the load clients check that an answer accounts for each event; a hundred
// events are a hundred lengths to read, which is nothing beside the frames that brought them.
//
//   PublishRequest  := sequence=1:varint { topic=2:bytes | durability=3:varint | events=4:Event }     sequence first
//   PublishResponse := sequence=1:varint stored=2:varint
//   PublishStreamResponse := published=1:PublishResponse

import { OK } from "../../src/grpc/status.ts";
import type { CallHandler, Method, ServerCall } from "../../src/grpc/server.ts";
import { sizeOfVarint, writeVarint } from "../../src/wire/varint.ts";

const Tag = { SEQUENCE: 0x08, STORED: 0x10, EVENTS: 0x22, PUBLISHED: 0x0a } as const;

export const METHODS: readonly Method[] = [
  {
    path: "/sluice.v1.EventIngest/Publish",
    requestStream: false,
    responseStream: false,
    open: (call) => new AnsweringCall(call, answerTo),
  },
  {
    path: "/sluice.v1.EventIngest/PublishStream",
    requestStream: true,
    responseStream: true,
    open: (call) => new AnsweringCall(call, streamAnswerTo),
  },
];

class AnsweringCall implements CallHandler {
  readonly #call: ServerCall;
  readonly #answer: (request: Buffer) => Buffer;

  constructor(call: ServerCall, answer: (request: Buffer) => Buffer) {
    this.#call = call;
    this.#answer = answer;
  }

  message(buffer: Buffer, start: number, end: number): void {
    this.#call.send(this.#answer(buffer.subarray(start, end)));
  }

  halfClose(): void {
    this.#call.end(OK);
  }

  drained(): void {}

  cancelled(): void {}
}

/** The PublishResponse to a PublishRequest. @throws Error for one that does not begin with its sequence. */
export function answerTo(request: Buffer): Buffer {
  return writeAnswer(request, 0);
}

/** The same as a PublishStreamResponse. */
export function streamAnswerTo(request: Buffer): Buffer {
  const out = writeAnswer(request, 2);
  // The inner message has at most 17 bytes, so its length is one.
  out[0] = Tag.PUBLISHED;
  out[1] = out.length - 2;
  return out;
}

function writeAnswer(request: Buffer, offset: number): Buffer {
  if (request[0] !== Tag.SEQUENCE) throw new Error("a request that does not begin with its sequence");
  const sequenceEnd = varintEnd(request, 1);
  const stored = countEvents(request, sequenceEnd);
  const out = Buffer.allocUnsafe(offset + sequenceEnd + 1 + sizeOfVarint(stored));
  for (let i = 0; i < sequenceEnd; i++) out[offset + i] = request[i]!;
  out[offset + sequenceEnd] = Tag.STORED;
  writeVarint(out, offset + sequenceEnd + 1, stored);
  return out;
}

function countEvents(request: Buffer, start: number): number {
  let events = 0;
  for (let at = start; at < request.length;) {
    const tag = request[at]!;
    const valueEnd = varintEnd(request, at + 1);
    if ((tag & 7) !== 2) {
      at = valueEnd;
      continue;
    }
    let length = 0;
    for (let i = valueEnd - 1; i > at; i--) length = length * 128 + (request[i]! & 0x7f);
    if (tag === Tag.EVENTS) events++;
    at = valueEnd + length;
  }
  return events;
}

function varintEnd(bytes: Buffer, start: number): number {
  let at = start;
  while (bytes[at]! & 0x80) at++;
  return at + 1;
}
