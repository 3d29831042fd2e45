// Damaged requests, with the official decoder as the judge of what may be taken.

import assert from "node:assert/strict";
import test from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { Code, IngestError } from "../../src/errors.ts";
import { PublishRequestSchema } from "../../src/gen/sluice/v1/ingest_pb.js";
import { EventIndex } from "../../src/wire/publish-request.ts";
import { contentOfIndex, contentOfMessage, type RequestContent } from "./index-content.ts";
import { anyRequests, encodeRequest, encodeRequestByProtobufjs, type TestRequest } from "./requests.ts";

const index = new EventIndex(1_000);

type Verdict = { readonly content: RequestContent } | { readonly error: IngestError };

/** Reads the bytes where they lie alone, and again between others that must not matter. */
function judge(bytes: Buffer): Verdict {
  const alone = parse(bytes, 0, bytes.length);
  for (const filler of [0x00, 0x08, 0x22, 0xff]) {
    const around = Buffer.concat([Buffer.alloc(5, filler), bytes, Buffer.alloc(40, filler)]);
    const between = parse(around, 5, 5 + bytes.length);
    if ("error" in alone) assert.equal("error" in between && between.error.message, alone.error.message);
    else assert.deepEqual(between, alone);
  }
  return alone;
}

function parse(bytes: Buffer, start: number, end: number): Verdict {
  try {
    index.parse(bytes, start, end);
  } catch (error) {
    assert.ok(error instanceof IngestError, `${bytes.toString("hex")}: ${String(error)}`);
    assert.equal(error.code, Code.INVALID_ARGUMENT);
    const offset = Number(/\(byte (\d+)\)$/.exec(error.message)?.[1]);
    assert.ok(offset >= 0 && offset <= end - start, error.message);
    assert.ok(error.field !== undefined && error.message.startsWith(error.field), error.message);
    return { error };
  }
  return { content: contentOfIndex(index, bytes, start, end) };
}

function officially(bytes: Buffer): RequestContent | undefined {
  try {
    return contentOfMessage(fromBinary(PublishRequestSchema, bytes));
  } catch {
    return undefined;
  }
}

/** What may be refused here and taken there: by the parser's own rules, and by two checks that the official decoder leaves out. */
function isStricter(message: string): boolean {
  const ownRule =
    / has the wrong wire type \(| has a wire type that is not supported \(group\) | has an over-long tag | is an over-long varint /;
  if (ownRule.test(message)) return true;
  // It lets a field run past the end of its event, and keeps only 32 bits of a length.
  const [, length = "0"] = / is cut short: it says (\d+) bytes/.exec(message) ?? [];
  return /^events\[\d+\].* is cut short/.test(message) || Number(length) >= 2 ** 32;
}

function assertAgreed(bytes: Buffer): Verdict {
  const verdict = judge(bytes);
  const official = officially(bytes);
  if ("content" in verdict) {
    assert.deepEqual(verdict.content, official, bytes.toString("hex"));
  } else if (official !== undefined) {
    const { message } = verdict.error;
    assert.ok(isStricter(message), `${bytes.toString("hex")}: ${message}`);
  }
  return verdict;
}

const FULL: TestRequest = {
  sequence: 2n ** 60n,
  topic: "größe",
  durability: 2,
  events: [
    {
      key: Buffer.from("key"),
      value: Buffer.alloc(200, 7),
      headers: [
        ["trace-id", Buffer.from("1")],
        ["ключ", Buffer.alloc(0)],
      ],
      timestamp: { seconds: 1_700_000_000n, nanos: 123_456_789 },
      topic: "тема",
      partition: -1,
    },
    {},
    { key: Buffer.alloc(0), value: Buffer.alloc(0), headers: [["", Buffer.alloc(0)]] },
  ],
};

test("a request cut at any byte is refused, or is a shorter request if it is cut between two fields", () => {
  for (const encode of [encodeRequest, encodeRequestByProtobufjs]) {
    const whole = encode(FULL);
    let taken = 0;
    for (let length = 0; length <= whole.length; length++) {
      const verdict = assertAgreed(whole.subarray(0, length));
      if ("content" in verdict) taken++;
      else assert.match(verdict.error.message, / is cut short/);
    }
    // Nothing, and the ends of sequence, topic, durability and three events.
    assert.equal(taken, 7);
  }
});

test("random requests cut anywhere agree with the official decoder", () => {
  fc.assert(
    fc.property(anyRequests, fc.nat(), (request, cut) => {
      const whole = encodeRequest(request);
      assertAgreed(whole.subarray(0, cut % (whole.length + 1)));
    }),
    { numRuns: 500 },
  );
});

/** Bytes at which parsers break: the tags of the schema, ends and beginnings of varints, lengths next to a border. */
const INTERESTING = [0, 1, 2, 0x08, 0x0a, 0x10, 0x12, 0x18, 0x1a, 0x1b, 0x22, 0x2a, 0x30, 0x7f, 0x80, 0xc3, 0xed, 0xff];
const byte = fc.oneof(fc.constantFrom(...INTERESTING), fc.nat(255));
const mutation = fc.record({
  kind: fc.constantFrom("overwrite", "insert", "delete", "repeat", "flip"),
  at: fc.nat(),
  length: fc.integer({ min: 1, max: 12 }),
  bytes: fc.array(byte, { minLength: 1, maxLength: 12 }),
});

type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never;

function mutate(bytes: Buffer, { kind, at, length, bytes: given }: Mutation): Buffer {
  const start = at % (bytes.length + 1);
  const before = bytes.subarray(0, start);
  const end = Math.min(bytes.length, start + length);
  switch (kind) {
    case "overwrite":
      return Buffer.concat([before, Buffer.from(given), bytes.subarray(Math.min(bytes.length, start + given.length))]);
    case "insert":
      return Buffer.concat([before, Buffer.from(given), bytes.subarray(start)]);
    case "delete":
      return Buffer.concat([before, bytes.subarray(end)]);
    case "repeat":
      return Buffer.concat([before, bytes.subarray(start, end), bytes.subarray(start)]);
    case "flip": {
      const flipped = Buffer.from(bytes);
      if (start < flipped.length) flipped[start]! ^= 1 << (length & 7);
      return flipped;
    }
    default:
      return kind satisfies never;
  }
}

test("mutated requests are refused in order, or read as the official decoder reads them", { timeout: 60_000 }, () => {
  const verdicts = { taken: 0, refused: 0 };
  fc.assert(
    fc.property(anyRequests, fc.array(mutation, { minLength: 1, maxLength: 4 }), (request, mutations) => {
      const verdict = assertAgreed(mutations.reduce(mutate, encodeRequest(request)));
      if ("content" in verdict) verdicts.taken++;
      else verdicts.refused++;
    }),
    { numRuns: 5_000 },
  );
  // A test that only ever sees one side of the border proves nothing.
  assert.ok(verdicts.taken > 200 && verdicts.refused > 200, JSON.stringify(verdicts));
});

test("random bytes are refused in order, or read as the official decoder reads them", { timeout: 60_000 }, () => {
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 40 }), (bytes) => {
      assertAgreed(Buffer.from(bytes));
    }),
    { numRuns: 5_000 },
  );
});
