import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { ConnectionError, ErrorCode } from "../../../src/http2/error-code.ts";
import { HeaderDecoder } from "../../../src/http2/hpack/decoder.ts";
import type { HeaderList } from "../../../src/http2/hpack/header-list.ts";
import { type Field, type Form, integer, listBytes, ModelEncoder, pairs, text } from "./model-encoder.ts";

const TABLE_BYTES = 4096;
const LIST_BYTES = 16_384;

function decoderOf(cachedBlocksMax = 16, listBytesMax = LIST_BYTES): HeaderDecoder {
  return new HeaderDecoder({ tableBytesMax: TABLE_BYTES, listBytesMax, cachedBlocksMax });
}

function decode(decoder: HeaderDecoder, bytes: readonly number[]): HeaderList {
  // In the middle of a larger buffer, as frames lie.
  const buffer = Buffer.from([0x82, 0x20, ...bytes, 0x82, 0x20]);
  return decoder.decode(buffer, 2, 2 + bytes.length);
}

function isCompressionError(error: unknown): boolean {
  return error instanceof ConnectionError && error.code === ErrorCode.COMPRESSION_ERROR;
}

/** The error that a block ends the connection with. */
function errorOf(...bytes: readonly number[]): ConnectionError {
  try {
    decode(decoderOf(), bytes);
  } catch (error) {
    assert.ok(isCompressionError(error), String(error));
    return error as ConnectionError;
  }
  return assert.fail("the block was decoded");
}

const names = fc.constantFrom(
  ":path",
  "te",
  "grpc-timeout",
  "user-agent",
  "x-a",
  "x-a-rather-long-name-of-a-field",
  "cookie",
);
const values = fc.oneof(
  fc.constantFrom("", "/", "trailers", "1S", "v".repeat(126), "v".repeat(127), "v".repeat(300)),
  fc.string({ unit: fc.nat(255).map((code) => String.fromCharCode(code)), maxLength: 20 }),
);
const fields = fc.tuple(fc.tuple(names, values), fc.constantFrom<Form[]>("insert", "insert", "plain", "never"));
const blocks = fc.array(
  fc.record({
    sizes: fc.oneof(
      { weight: 5, arbitrary: fc.constant<number[]>([]) },
      fc.array(fc.nat(TABLE_BYTES), { maxLength: 2 }),
    ),
    fields: fc.array(fields, { maxLength: 12 }),
    /** How many times it is sent: what is in the table after the first time is sent as indices. */
    times: fc.integer({ min: 1, max: 4 }),
  }),
  { maxLength: 20 },
);

test("whatever an encoder does with the table, the list comes out that went in, with and without a cache", () => {
  fc.assert(
    fc.property(blocks, (blocks) => {
      const encoder = new ModelEncoder(TABLE_BYTES);
      const decoders = [decoderOf(16), decoderOf(0), decoderOf(1), decoderOf(2)];
      let sizeUpdates = 0;
      for (const { sizes, fields, times } of blocks) {
        for (let time = 0; time < times; time++) {
          const sizesNow = time === 0 ? sizes : [];
          sizeUpdates += sizesNow.length;
          const bytes = sizesNow.flatMap((size) => encoder.resize(size));
          bytes.push(...fields.flatMap(([field, form]) => encoder.field(field, form)));
          for (const decoder of decoders) {
            const list = decode(decoder, bytes);
            assert.equal(list.tooLarge, false);
            assert.deepEqual(
              pairs(list.fields),
              fields.map(([field]) => field),
            );
            assert.equal(decoder.sizeUpdates, sizeUpdates);
          }
        }
      }
    }),
    { numRuns: 300 },
  );
});

test("a block is the same list again until the table changes, whatever came in between", () => {
  const decoder = decoderOf();
  const insert = [0x40, ...text("x-a"), ...text("first")];
  const block = [0x83, 0x86, 0xbe];
  decode(decoder, insert);
  const list = decode(decoder, block);
  list.memo = "made of it";
  for (let i = 0; i < 10; i++) decode(decoder, [0x83, 0x86, 0x04, ...text(`/${i}`)]);
  assert.equal(decode(decoder, block), list);
  assert.deepEqual(pairs(list.fields), [
    [":method", "POST"],
    [":scheme", "http"],
    ["x-a", "first"],
  ]);

  decode(decoder, [0x40, ...text("x-a"), ...text("second")]);
  const other = decode(decoder, block);
  assert.notEqual(other, list);
  assert.equal(other.memo, undefined);
  assert.deepEqual(pairs(other.fields).at(-1), ["x-a", "second"]);

  decode(decoder, [0x20]);
  assert.throws(() => decode(decoder, block), isCompressionError);
});

test("the cache keeps as many blocks as it may, and none that changes the table or is long", () => {
  const decoder = decoderOf(2);
  const block = (path: string) => [0x83, 0x04, ...text(path)];
  const first = decode(decoder, block("/1"));
  const second = decode(decoder, block("/2"));
  assert.equal(decode(decoder, block("/1")), first);
  assert.equal(decode(decoder, block("/2")), second);
  assert.equal(decode(decoder, block("/1")), first);
  const third = decode(decoder, block("/3"));
  assert.equal(decode(decoder, block("/3")), third);
  assert.equal(decode(decoder, block("/1")), first, "the one used last stays");
  assert.notEqual(decode(decoder, block("/2")), second);

  const long = block(`/${"v".repeat(300)}`);
  assert.notEqual(decode(decoder, long), decode(decoder, long));
  const inserting = [0x44, ...text("/4")];
  assert.notEqual(decode(decoder, inserting), decode(decoder, inserting));
  const none = decoderOf(0);
  assert.notEqual(decode(none, block("/1")), decode(none, block("/1")));
});

test("a block kept in the place of a longer one, or a shorter one, is found", () => {
  const decoder = decoderOf(1);
  for (const length of [100, 10, 200, 0, 50]) {
    const block = [0x04, ...text("v".repeat(length))];
    const list = decode(decoder, block);
    assert.equal(list.fields[1]?.length, length);
    assert.equal(decode(decoder, block), list);
  }
});

test("an empty block is an empty list", () => {
  assert.deepEqual(decode(decoderOf(), []).fields, []);
});

test("an index to nothing is an error", () => {
  assert.match(errorOf(0x80).message, /header index 0 is in no table/);
  assert.match(errorOf(0xbe).message, /header index 62 is in no table/);
  assert.match(errorOf(0x7f, 0x00, ...text("value")).message, /header index 63/);
  assert.match(errorOf(...integer(0x80, 7, 2 ** 31 - 1)).message, /header index 2147483647/);
  // What was evicted is in no table either.
  const decoder = decoderOf();
  decode(decoder, [0x40, ...text("x-a"), ...text("1")]);
  decode(decoder, [0x40, ...text("x-b"), ...text("v".repeat(TABLE_BYTES - 36))]);
  assert.equal(decode(decoder, [0xbe]).fields[0], "x-b");
  assert.throws(() => decode(decoder, [0xbf]), isCompressionError);
});

test("an entry larger than the table empties it, and is in the list all the same", () => {
  const decoder = decoderOf();
  decode(decoder, [0x40, ...text("x-a"), ...text("1")]);
  const value = "v".repeat(TABLE_BYTES);
  assert.deepEqual(pairs(decode(decoder, [0x40, ...text("x-b"), ...text(value)]).fields), [["x-b", value]]);
  assert.throws(() => decode(decoder, [0xbe]), isCompressionError);
});

test("entries stay while they fill the table to its last byte, and the oldest goes for one byte more", () => {
  const entry = (name: string, bytes: number) => [0x40, ...text(name), ...text("v".repeat(bytes - name.length - 32))];
  const decoder = decoderOf();
  decode(decoder, entry("x-a", 96));
  decode(decoder, entry("x-b", TABLE_BYTES - 96));
  assert.equal(decode(decoder, [0xbf]).fields[0], "x-a");

  const over = decoderOf();
  decode(over, entry("x-a", 96));
  decode(over, entry("x-b", TABLE_BYTES - 95));
  assert.equal(decode(over, [0xbe]).fields[0], "x-b");
  assert.throws(() => decode(over, [0xbf]), isCompressionError);

  const shrunk = decoderOf();
  decode(shrunk, entry("x-a", 96));
  decode(shrunk, [...integer(0x20, 5, 96), 0xbe]);
  assert.throws(() => decode(shrunk, [...integer(0x20, 5, 95), 0xbe]), isCompressionError);
});

test("the name of an entry that an insertion evicts is that insertion's name", () => {
  const decoder = decoderOf();
  decode(decoder, [0x40, ...text("x-old"), ...text("v".repeat(3000))]);
  const value = "w".repeat(3000);
  assert.deepEqual(pairs(decode(decoder, [0x7e, ...text(value)]).fields), [["x-old", value]]);
  assert.deepEqual(pairs(decode(decoder, [0xbe]).fields), [["x-old", value]]);
});

test("the table's size changes at a block's start only, twice at most, and not above what was allowed", () => {
  assert.deepEqual(decode(decoderOf(), [0x20, ...integer(0x20, 5, TABLE_BYTES), 0x82]).fields, [":method", "GET"]);
  assert.match(errorOf(0x82, 0x20).message, /inside a header block/);
  assert.match(errorOf(...integer(0x20, 5, TABLE_BYTES + 1)).message, /4097 bytes, where 4096 were allowed/);
  const thrice = errorOf(0x20, 0x21, 0x22, 0x82);
  assert.match(thrice.message, /more than twice/);
  assert.equal(thrice.attack, "hpack_table_churn");
});

test("every change of the table's size is counted, so that churn can be limited", () => {
  const decoder = decoderOf();
  for (let i = 0; i < 100; i++) decode(decoder, [0x20, ...integer(0x20, 5, TABLE_BYTES), 0x82]);
  assert.equal(decoder.sizeUpdates, 200);
});

test("an integer that does not end, or is above 31 bits, is an error", () => {
  assert.match(errorOf(0xff).message, /ends inside an integer/);
  assert.match(errorOf(0xff, 0x80, 0x80).message, /ends inside an integer/);
  assert.match(errorOf(0xff, ...Array.from({ length: 10_000 }, () => 0x80)).message, /more than 31 bits/);
  assert.match(errorOf(0xff, 0xff, 0xff, 0xff, 0xff, 0x7f).message, /more than 31 bits/);
  assert.match(errorOf(...integer(0x80, 7, 2 ** 31)).message, /more than 31 bits/);
  // Groups that add nothing are allowed, five of them: this is index 127 + 0.
  assert.match(errorOf(0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00).message, /more than 31 bits/);
  assert.match(errorOf(0xff, 0x80, 0x80, 0x80, 0x80, 0x00).message, /header index 127/);
});

test("a string that the block does not hold whole is an error", () => {
  assert.match(errorOf(0x40).message, /ends before a string/);
  assert.match(errorOf(0x40, 0x05, 0x61).message, /ends inside a string/);
  assert.match(errorOf(0x40, 0x01, 0x61).message, /ends before a string/);
  assert.match(errorOf(0x00, 0x01, 0x61, 0x7f, 0xe1, 0xff, 0xff, 0xff, 0x07, 0x61).message, /31 bits|inside a string/);
});

test("a list above its limit is empty and marked; the next block can rely on its insertions", () => {
  const decoder = decoderOf(16, 200);
  const long = "v".repeat(150);
  const block = [
    0x82,
    0x40,
    ...text("x-long"),
    ...text(long),
    0x00,
    ...text("x-b"),
    ...text("2"),
    0x40,
    ...text("x-a"),
    ...text("1"),
  ];
  const list = decode(decoder, block);
  assert.deepEqual({ ...list }, { fields: [], tooLarge: true, memo: undefined });
  assert.equal(
    decoder.listBytes,
    listBytes([
      [":method", "GET"],
      ["x-long", long],
      ["x-b", "2"],
      ["x-a", "1"],
    ]),
  );
  assert.deepEqual(decode(decoder, [0xbe]).fields, ["x-a", "1"]);
  assert.deepEqual(decode(decoder, [0xbf]).fields, ["x-long", long]);
});

test("a list of exactly the limit is taken, one byte more is not, however it is written", () => {
  const fits: Field = ["x-a", "v".repeat(100 - 35)];
  const over: Field = ["x-a", "v".repeat(101 - 35)];
  for (const form of ["insert", "plain", "never"] as const) {
    const decoder = decoderOf(16, 100);
    const encoder = new ModelEncoder(TABLE_BYTES);
    assert.equal(decode(decoder, encoder.field(fits, form)).tooLarge, false);
    assert.equal(decode(decoder, encoder.field(fits, form)).tooLarge, false);
    assert.equal(decode(decoder, encoder.field(over, form)).tooLarge, true);
    assert.equal(decode(decoder, encoder.field(over, form)).tooLarge, true);
  }
});

test("an HPACK bomb is refused for its size, and leaves the table as it was", () => {
  const decoder = decoderOf();
  decode(decoder, [0x40, ...text("x-bomb"), ...text("v".repeat(4000))]);
  const bomb = Array.from({ length: 16_384 }, () => 0xbe);
  const list = decode(decoder, bomb);
  assert.equal(list.tooLarge, true);
  assert.deepEqual(list.fields, []);
  assert.equal(decoder.listBytes, 16_384 * (4000 + 6 + 32));
  assert.equal(decode(decoder, [0xbe]).fields[0], "x-bomb");
});

test("literals beyond the limit are checked though nobody wants them", () => {
  const long = [0x00, ...text("x-a"), ...text("v".repeat(200))];
  assert.throws(() => decode(decoderOf(16, 100), [...long, 0x00, ...text("x-b"), 0x05, 0x61]), isCompressionError);
  // Huffman padding of zeros.
  assert.throws(() => decode(decoderOf(16, 100), [...long, 0x00, ...text("x-b"), 0x81, 0x00]), isCompressionError);
});

test("no mutation of one byte, and no truncation, does anything but end the connection or give another list", () => {
  const encoder = new ModelEncoder(TABLE_BYTES);
  const list: readonly (readonly [Field, Form])[] = [
    [[":method", "POST"], "insert"],
    [[":path", "/sluice.v1.EventIngest/Publish"], "insert"],
    [["te", "trailers"], "plain"],
    [["x-secret", "s"], "never"],
    [["x-long", "v".repeat(130)], "insert"],
  ];
  const before = [0x40, ...text("x-before"), ...text("1")];
  const huffman = [...Buffer.from("418cf1e3c2e5f23a6ba0ab90f4ff408825a849e95ba97d7f8925a849e95bb8e8b4bf", "hex")];
  const valid = [
    ...encoder.resize(2000),
    ...encoder.resize(TABLE_BYTES),
    ...list.flatMap(([field, form]) => encoder.field(field, form)),
    ...list.flatMap(([field, form]) => encoder.field(field, form)),
    ...huffman,
  ];
  const whole = decode(decoderOf(), valid).fields;
  let decoded = 0;
  const attempt = (bytes: number[]): readonly string[] => {
    const decoder = decoderOf();
    try {
      decode(decoder, before);
      const { fields, tooLarge } = decode(decoder, bytes);
      assert.equal(tooLarge, false);
      assert.equal(fields.length % 2, 0);
      assert.ok(fields.every((text) => typeof text === "string"));
      assert.ok(listBytes(pairs(fields)) <= LIST_BYTES);
      decoded++;
      return fields;
    } catch (error) {
      if (!isCompressionError(error)) throw error;
      return [];
    }
  };
  for (let at = 0; at < valid.length; at++) {
    const fields = attempt(valid.slice(0, at));
    assert.deepEqual(fields, whole.slice(0, fields.length));
    for (let byte = 0; byte < 256; byte++) attempt(valid.with(at, byte));
  }
  assert.ok(decoded > valid.length);
});

test("random bytes do nothing but end the connection or give a list", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { minLength: 1, maxLength: 5 }), (blocks) => {
      const [cached, plain] = [decoderOf(16), decoderOf(0)];
      const outcome = (decoder: HeaderDecoder, block: Uint8Array): unknown => {
        try {
          return decode(decoder, [...block]).fields;
        } catch (error) {
          if (!isCompressionError(error)) throw error;
          return (error as ConnectionError).message;
        }
      };
      for (const block of [...blocks, ...blocks]) {
        const result = outcome(plain, block);
        assert.deepEqual(outcome(cached, block), result);
        if (typeof result === "string") return;
      }
    }),
    { numRuns: 5000 },
  );
});
