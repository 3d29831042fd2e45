// Headers that are added to a request's events come out as if the client had sent them last, and only where they belong.

import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { addHeaders, encodeHeaders } from "../../src/wire/added-headers.ts";
import { EventIndex } from "../../src/wire/publish-request.ts";
import { hasValidCrc } from "../../src/wire/record-batch.ts";
import { decode, decodeByPlatformatic, recordOf, transcode, writeBatch } from "./records.ts";
import { encodeRequest, legalEvents, type TestEvent } from "./requests.ts";

const NOW_MS = 1_700_000_000_123;
const ADDED = [
  ["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
  ["tracestate", `vendor=${"x".repeat(200)},other=é`],
] as const;

function transcodeWith(events: readonly TestEvent[], headers: readonly (readonly [string, string])[]) {
  const request = encodeRequest({ topic: "t", events });
  const index = new EventIndex(100_000);
  index.parse(request);
  const added = addHeaders(index, request, encodeHeaders(headers), headers.length);
  return { added, batch: writeBatch(request, index, NOW_MS), index, request };
}

function expectedOf(event: TestEvent, headers: readonly (readonly [string, string])[]) {
  const record = recordOf(event, NOW_MS);
  if (record.headers.some(([name]) => name === headers[0]![0])) return record;
  return {
    ...record,
    headers: [...record.headers, ...headers.map(([name, value]) => [name, Buffer.from(value)] as const)],
  };
}

test("records of any events end with the added headers, for two decoders", () => {
  fc.assert(
    fc.property(
      fc.array(legalEvents, { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 1, max: ADDED.length }),
      (events, count) => {
        const headers = ADDED.slice(0, count);
        const { added, batch } = transcodeWith(events, headers);
        const expected = events.map((event) => expectedOf(event, headers));
        assert.ok(hasValidCrc(batch));
        assert.equal(added, events.length);
        assert.deepEqual(decode(batch), expected);
        assert.deepEqual(decodeByPlatformatic(batch), expected);
      },
    ),
    { numRuns: 200 },
  );
});

test("an event that has the first of them keeps its own, and gets none; one that has another of them gets both", () => {
  const own = Buffer.from("00-11111111111111111111111111111111-2222222222222222-01");
  const events: TestEvent[] = [
    { headers: [["traceparent", own]] },
    {},
    {
      headers: [
        ["a", own],
        ["traceparent", Buffer.alloc(0)],
        ["b", own],
      ],
    },
    { headers: [["tracestate", own]] },
    { headers: [["Traceparent", own]] },
    { headers: [["traceparen", own]] },
    { headers: [["traceparent2", own]] },
  ];
  const { added, batch } = transcodeWith(events, ADDED);
  assert.equal(added, 5);
  assert.deepEqual(
    decode(batch),
    events.map((event) => expectedOf(event, ADDED)),
  );
});

test("an index that had headers added says nothing of them after the next parse", () => {
  const { index } = transcodeWith([{ headers: [["a", Buffer.from("1")]] }, {}], ADDED);
  const request = encodeRequest({
    topic: "t",
    events: [{ headers: [["b", Buffer.from("2")]] }, { value: Buffer.from("v") }],
  });
  index.parse(request);
  assert.deepEqual(writeBatch(request, index, NOW_MS), transcode(request, NOW_MS));
});
