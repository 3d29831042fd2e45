import assert from "node:assert/strict";
import test from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { Reason } from "../../src/errors.ts";
import { PublishResponseSchema, PublishStreamResponseSchema } from "../../src/gen/sluice/v1/ingest_pb.js";
import { linkPlacements, placementRows } from "../support/placements.ts";
import { encodePublished, encodePublishResponse, type PublishAnswer } from "../../src/wire/publish-response.ts";

const uint32 = fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
const int32 = fc.oneof(fc.nat(300), fc.nat(2 ** 31 - 1));
const topic = fc.stringMatching(/^[a-zA-Z0-9._-]{1,249}$/);
/** A bigint only where a number cannot say it. */
const sequences = fc
  .oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(0n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 64n - 1n))
  .map((value) => (value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value));

const answers: fc.Arbitrary<PublishAnswer> = fc.record({
  sequence: sequences,
  stored: uint32,
  failures: fc.array(
    fc.record({
      index: uint32,
      reason: fc.constantFrom(...Object.values(Reason)),
      message: fc.oneof(fc.string({ unit: "binary", maxLength: 200 }), fc.constantFrom("", "größer als erlaubt: 🔑")),
      retryable: fc.boolean(),
    }),
    { maxLength: 4 },
  ),
  placements: fc
    .array(fc.tuple(topic, int32, fc.maxSafeInteger().map(Math.abs), uint32), { maxLength: 4 })
    .map(linkPlacements),
  durability: fc.constantFrom(0, 1, 2),
});

function assertSays(answer: PublishAnswer): void {
  const alone = fromBinary(PublishResponseSchema, encodePublishResponse(answer));
  const { $unknown, ...decoded } = alone;
  assert.equal($unknown, undefined);
  assert.deepEqual(decoded, {
    $typeName: "sluice.v1.PublishResponse",
    sequence: BigInt(answer.sequence),
    stored: answer.stored,
    failures: answer.failures.map((failure) => ({ $typeName: "sluice.v1.EventFailure", ...failure })),
    placements: placementRows(answer.placements).map(([topic, partition, firstOffset, count]) => ({
      $typeName: "sluice.v1.Placement",
      topic,
      partition,
      firstOffset: BigInt(firstOffset),
      count,
    })),
    durability: answer.durability,
  });
  const { event } = fromBinary(PublishStreamResponseSchema, encodePublished(answer));
  assert.equal(event.case, "published");
  assert.deepEqual(event.value, alone);
}

test("an answer is decoded by the official library to what it says", () => {
  fc.assert(fc.property(answers, assertSays), { numRuns: 500 });
});

test("zeros are left out", () => {
  const placements = undefined;
  const nothing: PublishAnswer = { sequence: 0, stored: 0, failures: [], placements, durability: 0 };
  assert.equal(encodePublishResponse(nothing).length, 0);
  assert.deepEqual([...encodePublished(nothing)], [0x0a, 0]);
  assert.deepEqual([...encodePublishResponse({ ...nothing, durability: 2 })], [0x28, 2]);
  const first = linkPlacements([["t", 0, 0, 1]]);
  assert.deepEqual([...encodePublishResponse({ ...nothing, placements: first })], [0x22, 5, 0x0a, 1, 0x74, 0x20, 1]);
});

test("a message with half a surrogate pair still makes a valid answer", () => {
  const failure = { index: 0, reason: Reason.REJECTED, message: "half: \ud83d!", retryable: false };
  const placements = undefined;
  const bytes = encodePublishResponse({ sequence: 1, stored: 0, failures: [failure], placements, durability: 1 });
  assert.equal(fromBinary(PublishResponseSchema, bytes).failures[0]!.message, "half: \ufffd!");
});
