import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { decodeHuffman as decodeBitByBit } from "../../../bench/load/huffman.ts";
import { ConnectionError, ErrorCode } from "../../../src/http2/error-code.ts";
import { decodeHuffman, huffmanText } from "../../../src/http2/hpack/huffman.ts";

function decode(bytes: Uint8Array): string {
  return huffmanText(decodeHuffman(bytes, 0, bytes.length));
}

/** Bits, padded with ones. */
function bytesOf(bits: string): Uint8Array {
  const padded = bits.padEnd(Math.ceil(bits.length / 8) * 8, "1");
  return Uint8Array.from(padded.match(/.{8}/g) ?? [], (byte) => Number.parseInt(byte, 2));
}

function code(hex: string, length: number): string {
  return Number.parseInt(hex, 16).toString(2).padStart(length, "0");
}

function isRefused(error: unknown): boolean {
  return error instanceof ConnectionError && error.code === ErrorCode.COMPRESSION_ERROR;
}

test("symbols that no valid header has are decoded by their codes in appendix B", () => {
  const codes: readonly (readonly [symbol: number, hex: string, length: number])[] = [
    [0, "1ff8", 13],
    [1, "7fffd8", 23],
    [2, "fffffe2", 28],
    [9, "ffffea", 24],
    [10, "3ffffffc", 30],
    [13, "3ffffffd", 30],
    [22, "3ffffffe", 30],
    [31, "ffffffb", 28],
    [127, "ffffffc", 28],
    [128, "fffe6", 20],
    [192, "3ffffe0", 26],
    [193, "3ffffe1", 26],
    [194, "fffeb", 20],
    [195, "7fff1", 19],
    [249, "ffffffe", 28],
    [255, "3ffffee", 26],
  ];
  for (const [symbol, hex, length] of codes) {
    assert.equal(decode(bytesOf(code(hex, length))), String.fromCharCode(symbol), `symbol ${symbol}`);
  }
});

test("the empty string is empty", () => {
  assert.equal(decode(new Uint8Array(0)), "");
});

test("the code of EOS is an error, at any place", () => {
  const eos = code("3fffffff", 30);
  const a = code("3", 5);
  for (const bits of [eos, a + eos, a + eos + a, eos + eos]) assert.throws(() => decode(bytesOf(bits)), isRefused);
});

test("padding is at most seven ones", () => {
  const a = code("3", 5);
  assert.equal(decode(bytesOf(a)), "a");
  assert.equal(decode(bytesOf(a.repeat(5))), "aaaaa");
  // Eight ones, or a zero among them.
  assert.throws(() => decode(bytesOf(a.repeat(8) + "1".repeat(8))), isRefused);
  assert.throws(() => decode(bytesOf("1".repeat(8))), isRefused);
  for (const padding of ["000", "110", "011", "101"]) assert.throws(() => decode(bytesOf(a + padding)), isRefused);
});

test("a string longer than any before is decoded whole", () => {
  const a = code("3", 5);
  for (const length of [10_000, 8, 50_000]) assert.equal(decode(bytesOf(a.repeat(length))), "a".repeat(length));
});

test("whatever is accepted is what a decoder that goes bit by bit makes of it", () => {
  let accepted = 0;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 24 }), fc.boolean(), (bytes, ascii) => {
      // Of random bits, those that begin with few ones are the codes of letters.
      const likely = ascii ? bytes.map((byte) => byte & 0b1011_0111) : bytes;
      let text: string;
      try {
        text = decode(likely);
      } catch (error) {
        assert.ok(isRefused(error));
        return;
      }
      accepted++;
      assert.equal(text, decodeBitByBit(likely, 0, likely.length));
    }),
    { numRuns: 5000 },
  );
  assert.ok(accepted > 100, `${accepted} were accepted`);
});
