import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { crc32c } from "../../src/wire/crc32c.ts";

/** Bit by bit, as the polynomial is defined. */
function reference(bytes: Uint8Array, seed: number): number {
  let crc = ~seed;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

test("the check value of CRC-32C", () => {
  assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
  assert.equal(crc32c(Buffer.alloc(0)), 0);
});

test("any bytes at any place of a buffer have the checksum of its definition, from any seed", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 20_000, size: "max" }),
      fc.nat(100),
      fc.nat(0xffffffff),
      (bytes, from, seed) => {
        const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).subarray(from);
        assert.equal(crc32c(view, seed), reference(view, seed));
      },
    ),
  );
});

test("it goes on from where it was interrupted", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2_000 }), fc.nat(2_000), (bytes, at) => {
      const whole = Buffer.from(bytes);
      assert.equal(crc32c(whole.subarray(at), crc32c(whole.subarray(0, at))), crc32c(whole));
    }),
  );
});
