import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { HeaderDecoder } from "../../../src/http2/hpack/decoder.ts";
import { encodeHeaders } from "../../../src/http2/hpack/encoder.ts";
import { STATIC_NAMES, STATIC_VALUES } from "../../../src/http2/hpack/static-table.ts";
import { type Field, pairs } from "./model-encoder.ts";

const decoderOptions = { tableBytesMax: 4096, listBytesMax: 1_000_000 };

const names = fc.oneof(
  fc.constantFrom(...STATIC_NAMES.slice(1)),
  fc.stringMatching(/^[a-z0-9!#$%&'*+.^_`|~-]{1,140}$/),
);
const values = fc.oneof(
  fc.constantFrom(...STATIC_VALUES),
  fc.stringMatching(/^[!-~\x80-\xff]([ -~\x80-\xff]{0,140}[!-~\x80-\xff])?$/),
);

test("what is encoded is decoded, and leaves no trace in the decoder", () => {
  const decoder = new HeaderDecoder({ ...decoderOptions, tableBytesMax: 0 });
  fc.assert(
    fc.property(fc.array(fc.tuple(names, values)), (fields) => {
      const block = encodeHeaders(fields);
      assert.deepEqual(pairs(decoder.decode(block, 0, block.length).fields), fields);
    }),
  );
});

test("every entry of the static table is one byte", () => {
  for (let i = 1; i < STATIC_NAMES.length; i++) {
    assert.deepEqual([...encodeHeaders([[STATIC_NAMES[i]!, STATIC_VALUES[i]!]])], [0x80 | i]);
  }
});

test("the answer of a unary call is a short block", () => {
  const fields: Field[] = [
    [":status", "200"],
    ["content-type", "application/grpc"],
  ];
  assert.equal(encodeHeaders(fields).toString("hex"), `880f1010${Buffer.from("application/grpc").toString("hex")}`);
});

test("what HTTP/2 cannot carry is not encoded", () => {
  const refused: Field[] = [
    ["", "v"],
    [":", "v"],
    ["Upper", "v"],
    ["sp ace", "v"],
    ["col:on", "v"],
    ["ü", "v"],
    ["x", "line\nfeed"],
    ["x", "carriage\rreturn"],
    ["x", "nul\0"],
    ["x", "cut to a line feed \u010a."],
    ["x", " in front"],
    ["x", "behind\t"],
  ];
  for (const field of refused) assert.throws(() => encodeHeaders([field]), TypeError, JSON.stringify(field));
});
