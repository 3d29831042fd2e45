import assert from "node:assert/strict";
import test from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { emptyAnswer, readPublishResponse, readStreamResponse } from "../../bench/load/answers.ts";
import {
  Durability,
  PublishResponseSchema,
  PublishStreamResponseSchema,
  Reason,
} from "../../src/gen/sluice/v1/ingest_pb.js";

const RESPONSE = {
  sequence: 268_435_455n,
  stored: 98,
  failures: [
    { index: 3, reason: Reason.TOO_LARGE, message: "events[3].value: too large", retryable: false },
    { index: 7, reason: Reason.UNAVAILABLE, message: "later", retryable: true },
  ],
  placements: [{ topic: "bench", partition: 5, firstOffset: 1n << 40n, count: 98 }],
  durability: Durability.REPLICATED,
};

/** Reads the bytes out of the middle of a larger buffer, as they lie in a socket's chunk. */
function read(reader: typeof readPublishResponse, bytes: Uint8Array) {
  const answer = emptyAnswer();
  const chunk = Buffer.concat([Buffer.from([0xff, 0xff]), bytes, Buffer.from([0xff])]);
  reader(chunk, 2, 2 + bytes.length, answer);
  return answer;
}

test("an answer's sequence, stored and failed events are read past everything else", () => {
  const bytes = toBinary(PublishResponseSchema, create(PublishResponseSchema, RESPONSE));
  const expected = { sequence: 268_435_455, stored: 98, failed: 2, refusal: "", drain: false };
  assert.deepEqual(read(readPublishResponse, bytes), expected);
});

test("an answer on a stream is read out of its envelope", () => {
  const message = create(PublishStreamResponseSchema, { event: { case: "published", value: RESPONSE } });
  const answer = read(readStreamResponse, toBinary(PublishStreamResponseSchema, message));
  assert.deepEqual(answer, { sequence: 268_435_455, stored: 98, failed: 2, refusal: "", drain: false });
});

test("a refused batch is told with its status", () => {
  const value = { sequence: 9n, status: { code: 8, message: "too much at once", details: [] } };
  const message = create(PublishStreamResponseSchema, { event: { case: "refused", value } });
  const answer = read(readStreamResponse, toBinary(PublishStreamResponseSchema, message));
  assert.equal(answer.sequence, 9);
  assert.equal(answer.refusal, "refused with status 8: too much at once");
});

test("a drain answers no batch", () => {
  const value = { deadline: { seconds: 1n, nanos: 0 }, lastSettledSequence: 4n };
  const message = create(PublishStreamResponseSchema, { event: { case: "drain", value } });
  assert.equal(read(readStreamResponse, toBinary(PublishStreamResponseSchema, message)).drain, true);
});

test("an answer that ends inside a field is an error", () => {
  const bytes = toBinary(PublishResponseSchema, create(PublishResponseSchema, RESPONSE));
  assert.throws(() => read(readPublishResponse, bytes.subarray(0, bytes.length - 3)), /ends inside a field/);
});
