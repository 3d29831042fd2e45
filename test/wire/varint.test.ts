import assert from "node:assert/strict";
import test from "node:test";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import {
  sizeOfVarint,
  sizeOfVarint53,
  sizeOfVarint64,
  sizeOfZigzag,
  writeVarint,
  writeVarint53,
  writeVarint64,
  writeZigzag,
  zigzag32,
  zigzag53,
} from "../../src/wire/varint.ts";

/** Both sides of every border between two lengths. */
const BORDERS = Array.from({ length: 63 }, (_, bit) => [2n ** BigInt(bit + 1) - 1n, 2n ** BigInt(bit + 1)]).flat();

/** Writes into a larger buffer, and returns what was written after checking that nothing else was. */
function written(size: number, write: (out: Uint8Array, position: number) => number): Uint8Array {
  const out = new Uint8Array(size + 6).fill(0xee);
  assert.equal(write(out, 3), 3 + size);
  const outside = [...out.subarray(0, 3), ...out.subarray(3 + size)];
  assert.ok(outside.every((byte) => byte === 0xee));
  return out.subarray(3, 3 + size);
}

function assertVarint(value: bigint): void {
  const plain = value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  const encodings = [written(sizeOfVarint64(plain), (out, at) => writeVarint64(out, at, plain))];
  if (typeof plain === "number") {
    encodings.push(written(sizeOfVarint53(plain), (out, at) => writeVarint53(out, at, plain)));
    if (plain < 2 ** 32) encodings.push(written(sizeOfVarint(plain), (out, at) => writeVarint(out, at, plain)));
  }
  for (const bytes of encodings) assert.equal(BigInt(new BinaryReader(bytes).uint64()), value);
}

test("varints of up to 64 bits are read back by an official reader, and are as long as was said", () => {
  for (const border of BORDERS) assertVarint(border);
  for (const value of [0n, 1n, 2n ** 64n - 1n]) assertVarint(value);
  fc.assert(fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), assertVarint));
});

test("zigzag gives what an official reader takes back", () => {
  const check32 = (value: number): void => {
    const zigzag = zigzag32(value);
    assert.equal(
      new BinaryReader(written(sizeOfVarint(zigzag), (out, at) => writeVarint(out, at, zigzag))).sint32(),
      value,
    );
  };
  const check53 = (value: number): void => {
    const zigzag = zigzag53(value);
    const bytes = written(sizeOfVarint53(zigzag), (out, at) => writeVarint53(out, at, zigzag));
    assert.equal(Number(new BinaryReader(bytes).sint64()), value);
    assert.deepEqual(
      written(sizeOfZigzag(value), (out, at) => writeZigzag(out, at, value)),
      bytes,
    );
  };
  for (const value of [0, -1, 1, -64, 63, 64, -65, 2 ** 31 - 1, -(2 ** 31)]) {
    check32(value);
    check53(value);
  }
  const limit = 2 ** 52 - 1;
  for (const value of [limit, -limit, 253_402_300_799_999, -253_402_300_799_999, 2 ** 30 - 1, 2 ** 30]) {
    check53(value);
    check53(-value);
    check53(-value - 1);
  }
  fc.assert(fc.property(fc.integer(), check32));
  fc.assert(
    fc.property(
      // Adding 0 makes 0 of -0.
      fc.maxSafeInteger().map((value) => Math.trunc(value / 2) + 0),
      check53,
    ),
  );
});
