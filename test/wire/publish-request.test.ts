// What the parser says of requests that are not valid messages, to the word, and what it reads of those that are.

import assert from "node:assert/strict";
import test from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { Code, IngestError } from "../../src/errors.ts";
import { PublishRequestSchema } from "../../src/gen/sluice/v1/ingest_pb.js";
import { EventIndex } from "../../src/wire/publish-request.ts";
import { contentOfIndex, contentOfMessage, type RequestContent } from "./index-content.ts";
import { concat, field, tag, varint, varintField, type Part } from "./protobuf.ts";
import { anyRequests, encodeRequest, encodeRequestByProtobufjs } from "./requests.ts";

const EVENTS_MAX = 1_000;

function read(bytes: Buffer, index = new EventIndex(EVENTS_MAX)): RequestContent {
  index.parse(bytes);
  return contentOfIndex(index, bytes, 0, bytes.length);
}

function refusal(bytes: Buffer, index = new EventIndex(EVENTS_MAX)): { message: string; field: string | undefined } {
  try {
    index.parse(bytes);
  } catch (thrown) {
    assert.ok(thrown instanceof IngestError, String(thrown));
    assert.equal(thrown.code, Code.INVALID_ARGUMENT);
    assert.equal(thrown.retryable, false);
    return { message: thrown.message, field: thrown.field };
  }
  throw new assert.AssertionError({ message: `${bytes.toString("hex")} is taken` });
}

/** The message names the field first. */
function assertRefused(bytes: Buffer, field: string, problem: string): void {
  assert.deepEqual(refusal(bytes), { message: `${field} ${problem}`, field });
}

// As parts of a request: those of an event, of a header of its and of its timestamp. An event's content begins at byte 2, a
// header's or a timestamp's at byte 4.
const event = (...parts: Part[]): Buffer => field(4, ...parts);
const header = (...parts: Part[]): Buffer => event(field(3, ...parts));
const timestamp = (...parts: Part[]): Buffer => event(field(4, ...parts));

test("whatever the schema can say is read as the official library reads it", () => {
  for (const encode of [encodeRequest, encodeRequestByProtobufjs]) {
    fc.assert(
      fc.property(anyRequests, (request) => {
        const bytes = encode(request);
        assert.deepEqual(read(bytes), contentOfMessage(fromBinary(PublishRequestSchema, bytes)));
      }),
      { numRuns: 500 },
    );
  }
});

test("one index reads request after request, and keeps nothing of the one before", () => {
  const index = new EventIndex(EVENTS_MAX);
  fc.assert(
    fc.property(anyRequests, (request) => {
      const bytes = encodeRequest(request);
      assert.deepEqual(read(bytes, index), read(bytes));
    }),
  );
});

test("an empty request is one without events", () => {
  assert.deepEqual(read(Buffer.alloc(0)), { sequence: 0n, topic: "", durability: 0, events: [] });
});

test("a length beyond the end is refused where it stands", () => {
  assertRefused(concat(tag(2, 2), [5], "abc"), "topic", "is cut short: it says 5 bytes, 3 are left (byte 1)");
  assertRefused(concat(tag(4, 2), [5, 0]), "events[0]", "is cut short: it says 5 bytes, 1 are left (byte 1)");
  assertRefused(concat(event(), tag(4, 2), [1]), "events[1]", "is cut short: it says 1 bytes, 0 are left (byte 3)");
  assertRefused(event(tag(1, 2), [3], "ab"), "events[0].key", "is cut short: it says 3 bytes, 2 are left (byte 3)");
  assertRefused(event(tag(2, 2), [3], "ab"), "events[0].value", "is cut short: it says 3 bytes, 2 are left (byte 3)");
  assertRefused(event(tag(5, 2), [3], "ab"), "events[0].topic", "is cut short: it says 3 bytes, 2 are left (byte 3)");
  assertRefused(
    event(tag(4, 2), [3], "ab"),
    "events[0].timestamp",
    "is cut short: it says 3 bytes, 2 are left (byte 3)",
  );
  assertRefused(
    event(field(3), tag(3, 2), [3], "ab"),
    "events[0].headers[1]",
    "is cut short: it says 3 bytes, 2 are left (byte 5)",
  );
  assertRefused(
    header(tag(1, 2), [9]),
    "events[0].headers[0].key",
    "is cut short: it says 9 bytes, 0 are left (byte 5)",
  );
  assertRefused(
    header(tag(2, 2), [9]),
    "events[0].headers[0].value",
    "is cut short: it says 9 bytes, 0 are left (byte 5)",
  );
});

test("a part may not run past the end of its parent into what follows", () => {
  const followed = (bytes: Buffer): Buffer => concat(bytes, varintField(1, 7), varintField(3, 1));
  assertRefused(
    followed(event(tag(2, 2), [3], "ab")),
    "events[0].value",
    "is cut short: it says 3 bytes, 2 are left (byte 3)",
  );
  assertRefused(followed(event(tag(6, 0))), "events[0].partition", "is cut short inside a varint (byte 3)");
  assertRefused(
    followed(timestamp(tag(1, 0), [0x80])),
    "events[0].timestamp.seconds",
    "is cut short inside a varint (byte 6)",
  );
  assertRefused(followed(header([0x80])), "events[0].headers[0]", "is cut short inside a varint (byte 5)");
});

test("a varint that ends with the message is refused", () => {
  assertRefused(concat(tag(1, 0)), "sequence", "is cut short inside a varint (byte 1)");
  assertRefused(concat(tag(1, 0), [0xff, 0xff]), "sequence", "is cut short inside a varint (byte 3)");
  assertRefused(concat(tag(3, 0), [0x80]), "durability", "is cut short inside a varint (byte 2)");
  assertRefused(concat(tag(2, 2)), "topic", "is cut short inside a varint (byte 1)");
  assertRefused(concat(tag(4, 2), [0x80]), "events[0]", "is cut short inside a varint (byte 2)");
  assertRefused(event(tag(6, 0), [0x80]), "events[0].partition", "is cut short inside a varint (byte 4)");
  assertRefused(timestamp(tag(2, 0), [0x80]), "events[0].timestamp.nanos", "is cut short inside a varint (byte 6)");
  assertRefused(concat([0x80]), "PublishRequest", "is cut short inside a varint (byte 1)");
});

test("every known field with another wire type is refused", () => {
  const wires = {
    0: "varint",
    1: "64-bit",
    2: "length-delimited",
    3: "group",
    4: "end of group",
    5: "32-bit",
    6: "6",
    7: "7",
  };
  const messages = [
    {
      at: 0,
      prefix: "",
      wrap: concat,
      fields: { sequence: [1, 0], topic: [2, 2], durability: [3, 0], events: [4, 2] },
    },
    {
      at: 2,
      prefix: "events[0].",
      wrap: event,
      fields: { key: [1, 2], value: [2, 2], headers: [3, 2], timestamp: [4, 2], topic: [5, 2], partition: [6, 0] },
    },
    { at: 4, prefix: "events[0].headers[0].", wrap: header, fields: { key: [1, 2], value: [2, 2] } },
    { at: 4, prefix: "events[0].timestamp.", wrap: timestamp, fields: { seconds: [1, 0], nanos: [2, 0] } },
  ];
  for (const { at, prefix, wrap, fields } of messages) {
    for (const [name, [number, right]] of Object.entries(fields)) {
      for (const [wire, wireName] of Object.entries(wires)) {
        if (Number(wire) === right) continue;
        const bytes = wrap(concat(tag(number!, Number(wire)), [1, 1, 1, 1, 1, 1, 1, 1, 1]));
        assertRefused(bytes, prefix + name, `has the wrong wire type (${wireName}) (byte ${at})`);
      }
    }
  }
});

test("groups and the wire types that protobuf does not have are refused in unknown fields too", () => {
  for (const [wire, name] of [
    [3, "group"],
    [4, "end of group"],
    [6, "6"],
    [7, "7"],
  ] as const) {
    const unknown = concat(tag(100, wire), tag(100, 4));
    const problem = (at: number): string => `has a wire type that is not supported (${name}) (byte ${at})`;
    assertRefused(unknown, "PublishRequest.100", problem(0));
    assertRefused(event(unknown), "events[0].100", problem(2));
    assertRefused(header(unknown), "events[0].headers[0].100", problem(4));
    assertRefused(timestamp(unknown), "events[0].timestamp.100", problem(4));
  }
});

test("varints of more than 64 bits are refused wherever one may stand", () => {
  const eleven = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0];
  const sixtyFive = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
  for (const long of [eleven, sixtyFive]) {
    const problem = (start: number): string => `is an over-long varint (more than 64 bits) (byte ${start + 9})`;
    assertRefused(concat(tag(1, 0), long), "sequence", problem(1));
    assertRefused(concat(tag(2, 2), long), "topic", problem(1));
    assertRefused(concat(tag(3, 0), long), "durability", problem(1));
    assertRefused(concat(tag(4, 2), long), "events[0]", problem(1));
    assertRefused(concat(tag(9, 0), long), "PublishRequest.9", problem(1));
    assertRefused(concat(tag(9, 2), long), "PublishRequest.9", problem(1));
    assertRefused(concat(long), "PublishRequest", problem(0));
    assertRefused(event(tag(1, 2), long), "events[0].key", problem(3));
    assertRefused(event(tag(6, 0), long), "events[0].partition", problem(3));
    assertRefused(event(long), "events[0]", problem(2));
    assertRefused(timestamp(tag(1, 0), long), "events[0].timestamp.seconds", problem(5));
    assertRefused(header(tag(1, 2), long), "events[0].headers[0].key", problem(5));
  }
});

test("varints in more bytes than they need are read as long as they fit into 64 bits", () => {
  const nine = 9;
  const bytes = concat(
    [...tag(1, 0), ...varint(5, nine)],
    [...tag(2, 2), ...varint(1, 3), ...Buffer.from("t")],
    event(concat(tag(6, 0), varint(7, nine))),
  );
  const { sequence, topic, events } = read(bytes);
  assert.deepEqual([sequence, topic, events[0]!.partition], [5n, "t", 7]);
});

test("a tag of a known field in more bytes than it needs is refused", () => {
  const long = (number: number, wire: number): number[] => varint(number * 8 + wire, 1);
  assertRefused(concat(long(1, 0), [1]), "sequence", "has an over-long tag (byte 0)");
  assertRefused(event(long(2, 2), [0]), "events[0].value", "has an over-long tag (byte 2)");
  assertRefused(header(long(1, 2), [0]), "events[0].headers[0].key", "has an over-long tag (byte 4)");
  assertRefused(timestamp(long(1, 0), [0]), "events[0].timestamp.seconds", "has an over-long tag (byte 4)");
});

test("field number 0, and tags of more than 32 bits, are refused", () => {
  for (let wire = 0; wire < 8; wire++)
    assertRefused(concat([wire, 0]), "PublishRequest", "holds a field with number 0 (byte 0)");
  assertRefused(event([0]), "events[0]", "holds a field with number 0 (byte 2)");
  assertRefused(header([2]), "events[0].headers[0]", "holds a field with number 0 (byte 4)");
  const problem = "holds a tag of more than 32 bits (byte 0)";
  assertRefused(concat(varint(2n ** 32n), [0]), "PublishRequest", problem);
  assertRefused(concat(varint(100 * 8, 4), [0]), "PublishRequest", problem);
  assert.equal(read(concat(varint(2n ** 32n - 8n), [0])).events.length, 0);
});

test("invalid UTF-8 in a topic or a header's name is refused where the text begins", () => {
  const problem = (at: number): string => `is not valid UTF-8 (byte ${at})`;
  for (const broken of [[0xff], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0x61, 0x80]]) {
    assertRefused(field(2, broken), "topic", problem(2));
    assertRefused(concat(event(), event(field(5, broken))), "events[1].topic", problem(6));
    assertRefused(event(field(3), field(3, field(1, broken))), "events[0].headers[1].key", problem(8));
    // Also where another name follows, which is the one that would count.
    assertRefused(header(field(1, broken), field(1, "a")), "events[0].headers[0].key", problem(6));
  }
  for (const text of ["ü", "€", "🔑", "\0", "\u{10ffff}"]) assert.equal(read(field(2, text)).topic, text);
});

test("keys and values are any bytes", () => {
  const { events } = read(event(field(1, [0xff]), field(2, [0xc0, 0x80]), field(3, field(2, [0xff]))));
  assert.deepEqual(events[0], {
    key: "ff",
    value: "c080",
    headers: [["", "ff"]],
    timestamp: undefined,
    topic: undefined,
    partition: undefined,
  });
});

test("unknown fields are skipped at every level", () => {
  const unknown = concat(
    concat(tag(7, 0), varint(2n ** 64n - 1n)),
    concat(tag(8, 1), Buffer.alloc(8, 0xff)),
    field(9, "anything"),
    concat(tag(15, 5), Buffer.alloc(4, 0xff)),
    field(16, ""),
    field(2 ** 29 - 1, "the last number"),
  );
  const bytes = concat(
    unknown,
    field(2, "t"),
    unknown,
    event(
      unknown,
      field(2, "v"),
      field(3, unknown, field(1, "h"), unknown),
      field(4, unknown, varintField(1, 5), unknown),
      unknown,
    ),
  );
  const { topic, events } = read(bytes);
  assert.equal(topic, "t");
  assert.deepEqual(events, [
    { key: undefined, value: "76", headers: [["h", ""]], timestamp: 5_000, topic: undefined, partition: undefined },
  ]);
  assert.deepEqual(read(bytes), contentOfMessage(fromBinary(PublishRequestSchema, bytes)));
});

test("an unknown field that is cut short is refused", () => {
  assertRefused(concat(tag(9, 1), [1, 2, 3]), "PublishRequest.9", "is cut short (byte 1)");
  assertRefused(concat(tag(9, 5), [1, 2, 3]), "PublishRequest.9", "is cut short (byte 1)");
  assertRefused(concat(tag(9, 2), [3, 1]), "PublishRequest.9", "is cut short: it says 3 bytes, 1 are left (byte 1)");
  assertRefused(concat(tag(9, 0), [0x80]), "PublishRequest.9", "is cut short inside a varint (byte 2)");
  assertRefused(event(tag(9, 5), [1]), "events[0].9", "is cut short (byte 3)");
});

test("of a singular field that is repeated the last one counts, and timestamps merge", () => {
  const bytes = concat(
    varintField(1, 1),
    field(2, "first"),
    varintField(3, 1),
    varintField(1, 2),
    field(2, "last"),
    varintField(3, 2),
    event(
      field(1, "first"),
      field(2, "first"),
      varintField(6, 1),
      field(5, "first"),
      field(4, varintField(1, 5), varintField(1, 6)),
      field(4, varintField(2, 7_000_000)),
      field(3, field(1, "first"), field(2, "first"), field(1, "last"), field(2, "last")),
      field(1, "last"),
      field(2),
      varintField(6, 2),
      field(5, "last"),
    ),
  );
  assert.deepEqual(read(bytes), {
    sequence: 2n,
    topic: "last",
    durability: 2,
    events: [
      {
        key: Buffer.from("last").toString("hex"),
        value: "",
        headers: [["last", Buffer.from("last").toString("hex")]],
        timestamp: 6_007,
        topic: "last",
        partition: 2,
      },
    ],
  });
  assert.deepEqual(read(bytes), contentOfMessage(fromBinary(PublishRequestSchema, bytes)));
});

test("timestamps outside of 1970 to 9999 are told apart from those inside, also right at the border", () => {
  const timestamps = [
    { seconds: -1n, nanos: 0 },
    { seconds: -1_024n, nanos: 0 },
    { seconds: -1n, nanos: 999_999_999 },
    { seconds: -(2n ** 63n), nanos: 0 },
    { seconds: 2n ** 63n - 1n, nanos: 0 },
    { seconds: 253_402_300_800n, nanos: 0 },
    { seconds: 0n, nanos: -1 },
    { seconds: 0n, nanos: 1_000_000_000 },
    { seconds: 0n, nanos: 0 },
    { seconds: 253_402_300_799n, nanos: 999_999_999 },
  ];
  const { events } = read(encodeRequest({ events: timestamps.map((timestamp) => ({ timestamp })) }));
  const given = events.map(({ timestamp }) => timestamp);
  assert.deepEqual(given, [...Array<"invalid">(8).fill("invalid"), 0, 253_402_300_799_999]);
});

test("negative partitions are told as they are", () => {
  const partitions = [-1, -5, -(2 ** 31) + 1, -(2 ** 31), 0, 2 ** 31 - 1];
  const { events } = read(encodeRequest({ events: partitions.map((partition) => ({ partition })) }));
  assert.deepEqual(
    events.map(({ partition }) => partition),
    // The least integer of all stands for "none".
    [-1, -5, -(2 ** 31) + 1, -1, 0, 2 ** 31 - 1],
  );
});

test("more events than allowed are refused", () => {
  const three = concat(event(), event(), event());
  assert.equal(read(three, new EventIndex(3)).events.length, 3);
  assert.deepEqual(refusal(three, new EventIndex(2)), {
    message: "events holds more than 2 events (PUBLISH_EVENTS_MAX); send smaller batches (byte 6)",
    field: "events",
  });
});

test("the sequence is known even if what follows it is broken", () => {
  const index = new EventIndex(EVENTS_MAX);
  refusal(concat(varintField(1, 2n ** 64n - 1n), field(2, [0xff])), index);
  assert.equal(index.sequence, 2n ** 64n - 1n);
  refusal(field(2, [0xff]), index);
  assert.equal(index.sequence, 0);
});

test("offsets count from where the request starts", () => {
  const around = concat([1, 2, 3], field(2, [0xff]), [4, 5]);
  assert.throws(() => new EventIndex(1).parse(around, 3, 6), { message: "topic is not valid UTF-8 (byte 2)" });
});
