import assert from "node:assert/strict";
import test from "node:test";
import { HpackDecoder, requestBlocks } from "../../bench/load/hpack.ts";
import { decodeHuffman } from "../../bench/load/huffman.ts";

test("Huffman strings of RFC 7541's appendix C are decoded", () => {
  const decode = (hex: string) => {
    const bytes = Buffer.from(hex, "hex");
    return decodeHuffman(bytes, 0, bytes.length);
  };
  assert.equal(decode("f1e3c2e5f23a6ba0ab90f4ff"), "www.example.com");
  assert.equal(decode("a8eb10649cbf"), "no-cache");
  assert.equal(decode("d07abe941054d444a8200595040b8166e082a62d1bff"), "Mon, 21 Oct 2013 20:13:21 GMT");
  assert.equal(
    decode("94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007"),
    "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
  );
});

test("RFC 7541's responses with a dynamic table of 256 bytes are decoded", () => {
  const decoder = new HpackDecoder();
  const decode = (hex: string) => Object.fromEntries(decoder.decode(Buffer.from(hex, "hex")));
  // Appendix C.6, with the size of the table set as a decoder is told.
  const first = decode(
    "3fe101488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
  );
  assert.equal(first[":status"], "302");
  assert.equal(first["location"], "https://www.example.com");
  const second = decode("4883640effc1c0bf");
  assert.equal(second[":status"], "307");
  assert.equal(second["cache-control"], "private");
  assert.equal(second["date"], "Mon, 21 Oct 2013 20:13:21 GMT");
  const third = decode(
    "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
  );
  assert.equal(third[":status"], "200");
  assert.equal(third["date"], "Mon, 21 Oct 2013 20:13:22 GMT");
  assert.equal(third["location"], "https://www.example.com");
  assert.equal(third["content-encoding"], "gzip");
  assert.equal(third["set-cookie"], "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1");
});

test("a header block that ends early or refers to nothing is an error", () => {
  const decode = (...bytes: number[]) => new HpackDecoder().decode(Buffer.from(bytes));
  assert.throws(() => decode(0x40, 0x05, 0x61), /ends inside a string/);
  assert.throws(() => decode(0xff, 0xff), /ends inside an integer/);
  assert.throws(() => decode(0xbe), /header index 62 is in no table/);
});

test("the indices of later requests name what the first one put into the server's table", () => {
  const { first, later } = requestBlocks("/pkg.Service/Method", "127.0.0.1:1", "bench", 4096);
  const decoder = new HpackDecoder();
  const headers = decoder.decode(first);
  assert.deepEqual(Object.fromEntries(headers), {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/pkg.Service/Method",
    ":authority": "127.0.0.1:1",
    "content-type": "application/grpc",
    te: "trailers",
    "user-agent": "bench",
  });
  assert.equal(later.length, 7);
  assert.deepEqual(decoder.decode(later), headers);
  assert.deepEqual(decoder.decode(later), headers);
});

test("a server without a dynamic table gets literals", () => {
  const { first, later } = requestBlocks("/pkg.Service/Method", "127.0.0.1:1", "bench", 0);
  const decoder = new HpackDecoder();
  const headers = decoder.decode(first);
  assert.equal(Object.fromEntries(headers)[":path"], "/pkg.Service/Method");
  assert.equal(Object.fromEntries(headers)["user-agent"], "bench");
  assert.deepEqual(decoder.decode(later), headers);
});
