// RFC 7541's appendix C: the examples, byte by byte.

import assert from "node:assert/strict";
import test from "node:test";
import { HeaderDecoder } from "../../../src/http2/hpack/decoder.ts";
import { IntegerReader, pushInteger } from "../../../src/http2/hpack/integer.ts";

type Field = readonly [name: string, value: string];

function decoderOf(tableBytesMax: number): (hex: string) => Field[] {
  const decoder = new HeaderDecoder({ tableBytesMax, listBytesMax: 16_384 });
  return (hex) => {
    const block = Buffer.from(hex.replaceAll(/\s/g, ""), "hex");
    const { fields, tooLarge } = decoder.decode(block, 0, block.length);
    assert.equal(tooLarge, false);
    return Array.from({ length: fields.length / 2 }, (_, i): Field => [fields[2 * i]!, fields[2 * i + 1]!]);
  };
}

test("integers: appendix C.1", () => {
  const reader = new IntegerReader();
  const cases = [
    { value: 10, prefix: 0x1f, bytes: [0x0a] },
    { value: 1337, prefix: 0x1f, bytes: [0x1f, 0x9a, 0x0a] },
    { value: 42, prefix: 0xff, bytes: [0x2a] },
  ];
  for (const { value, prefix, bytes } of cases) {
    const written: number[] = [];
    pushInteger(written, 0, prefix, value);
    assert.deepEqual(written, bytes);
    assert.equal(reader.read(Uint8Array.from(bytes), 0, bytes.length, prefix), value);
    assert.equal(reader.at, bytes.length);
  }
});

test("each representation of a field: appendix C.2", () => {
  assert.deepEqual(decoderOf(4096)("400a637573746f6d2d6b65790d637573746f6d2d686561646572"), [
    ["custom-key", "custom-header"],
  ]);
  assert.deepEqual(decoderOf(4096)("040c2f73616d706c652f70617468"), [[":path", "/sample/path"]]);
  assert.deepEqual(decoderOf(4096)("100870617373776f726406736563726574"), [["password", "secret"]]);
  assert.deepEqual(decoderOf(4096)("82"), [[":method", "GET"]]);
});

const GET: readonly Field[] = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "www.example.com"],
];
const REQUESTS: readonly (readonly Field[])[] = [
  GET,
  [...GET, ["cache-control", "no-cache"]],
  [
    [":method", "GET"],
    [":scheme", "https"],
    [":path", "/index.html"],
    [":authority", "www.example.com"],
    ["custom-key", "custom-value"],
  ],
];

test("three requests that share a table: appendix C.3", () => {
  const decode = decoderOf(4096);
  const blocks = [
    "828684410f7777772e6578616d706c652e636f6d",
    "828684be58086e6f2d6361636865",
    "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
  ];
  assert.deepEqual(blocks.map(decode), REQUESTS);
});

test("the same, Huffman-coded: appendix C.4", () => {
  const decode = decoderOf(4096);
  const blocks = [
    "828684418cf1e3c2e5f23a6ba0ab90f4ff",
    "828684be5886a8eb10649cbf",
    "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
  ];
  assert.deepEqual(blocks.map(decode), REQUESTS);
});

const RESPONSES: readonly (readonly Field[])[] = [
  [
    [":status", "302"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
    ["location", "https://www.example.com"],
  ],
  [
    [":status", "307"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
    ["location", "https://www.example.com"],
  ],
  [
    [":status", "200"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:22 GMT"],
    ["location", "https://www.example.com"],
    ["content-encoding", "gzip"],
    ["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"],
  ],
];

test("three responses in a table of 256 bytes, from which entries are evicted: appendix C.5", () => {
  const decode = decoderOf(256);
  const blocks = [
    "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
    "4803333037c1c0bf",
    "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
  ];
  assert.deepEqual(blocks.map(decode), RESPONSES);
});

test("the same, Huffman-coded: appendix C.6", () => {
  const decode = decoderOf(256);
  const blocks = [
    "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
    "4883640effc1c0bf",
    "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
  ];
  assert.deepEqual(blocks.map(decode), RESPONSES);
});
