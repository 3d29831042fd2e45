// A request's bytes become records that say what the events said, whoever encodes and whoever decodes.

import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { hasValidCrc, readBatchHeader } from "../../src/wire/record-batch.ts";
import { decode, decodeByKafkajs, decodeByPlatformatic, grouped, recordOf, transcode } from "./records.ts";
import { encodeRequest, encodeRequestByProtobufjs, legalEvents, type TestEvent } from "./requests.ts";

const NOW_MS = 1_700_000_000_123;

async function assertRoundTrip(events: readonly TestEvent[], encode: typeof encodeRequest): Promise<void> {
  const batch = transcode(encode({ topic: "t", events }), NOW_MS);
  const expected = events.map((event) => recordOf(event, NOW_MS));
  assert.ok(hasValidCrc(batch));
  assert.deepEqual(decode(batch), expected);
  assert.deepEqual(decodeByPlatformatic(batch), expected);
  assert.deepEqual(await decodeByKafkajs(batch), grouped(expected));
  const { count, baseTimestamp, maxTimestamp, length } = readBatchHeader(batch);
  assert.deepEqual(
    { count, baseTimestamp, maxTimestamp, length },
    {
      count: events.length,
      baseTimestamp: expected[0]!.timestamp,
      maxTimestamp: Math.max(...expected.map(({ timestamp }) => timestamp)),
      length: batch.length,
    },
  );
}

for (const [name, encode] of [
  ["@bufbuild/protobuf", encodeRequest],
  ["protobufjs", encodeRequestByProtobufjs],
] as const) {
  test(`random events encoded by ${name} are read back the same by three decoders`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(legalEvents, { minLength: 1, maxLength: 20 }), (events) =>
        assertRoundTrip(events, encode),
      ),
      { numRuns: 300 },
    );
  });

  test(`null and empty keys and values encoded by ${name} stay apart`, async () => {
    const empty = Buffer.alloc(0);
    await assertRoundTrip(
      [{}, { key: empty }, { value: empty }, { key: empty, value: empty }, { headers: [["", empty]] }],
      encode,
    );
  });
}

test("headers keep their order, and names may repeat", async () => {
  const headers = ["b", "a", "b", "10", "9", "constructor", "__proto__", "b"].map(
    (name, i) => [name, Buffer.from([i])] as const,
  );
  await assertRoundTrip([{ headers }, {}, { headers: headers.toReversed() }], encodeRequest);
});

test("timestamps that go back and leap are kept to the millisecond", async () => {
  const last = { seconds: 253_402_300_799n, nanos: 999_999_999 };
  const first = { seconds: 0n, nanos: 0 };
  const now = { seconds: 1_700_000_000n, nanos: 1 };
  const timestamps = [last, first, { seconds: 0n, nanos: 1_999_999 }, last, now];
  const events: TestEvent[] = [...timestamps.map((timestamp) => ({ timestamp })), {}];
  await assertRoundTrip(events, encodeRequest);
  await assertRoundTrip(events.toReversed(), encodeRequest);
});

test("thousands of events, thousands of headers and a long key fit", async () => {
  await assertRoundTrip(
    Array.from({ length: 5_000 }, (_, i) => ({ key: Buffer.from(`k${i}`), value: Buffer.from(String(i)) })),
    encodeRequest,
  );
  const headers = Array.from({ length: 1_000 }, (_, i) => [`h${i}`, Buffer.from(String(i))] as const);
  await assertRoundTrip([{}, { headers }, { key: Buffer.alloc(3 << 20, 7) }, { headers }], encodeRequest);
});
