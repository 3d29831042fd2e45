import assert from "node:assert/strict";
import { createRequire } from "node:module";
import test from "node:test";
import { murmur2 as platformaticMurmur2 } from "@platformatic/kafka";
import fc from "fast-check";
import { murmur2, partitionOfKey } from "../../src/wire/murmur2.ts";
import { JAVA_VECTORS } from "./java-vectors.ts";

const kafkajsMurmur2 = createRequire(import.meta.url)("kafkajs/src/producer/partitioners/default/murmur2.js") as (
  key: Buffer,
) => number;

test("the hashes are those that the Java client's own test lists", () => {
  for (const [key, hash] of JAVA_VECTORS) assert.equal(murmur2(Buffer.from(key), 0, key.length), hash, key);
});

test("random keys have the hash that other clients give them, wherever they lie", () => {
  const key = fc.uint8Array({ maxLength: 70 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(key, fc.nat(9), (key, before) => {
      const around = Buffer.concat([Buffer.alloc(before, 1), key, Buffer.alloc(5, 2)]);
      const hash = murmur2(around, before, key.length);
      assert.equal(hash, kafkajsMurmur2(key));
      assert.equal(hash, platformaticMurmur2(key));
    }),
    { numRuns: 1_000 },
  );
});

test("the partition is the hash without its sign, modulo", () => {
  for (const [text, hash] of JAVA_VECTORS) {
    const key = Buffer.from(text);
    for (const partitions of [1, 2, 3, 12, 1_000]) {
      assert.equal(partitionOfKey(key, 0, key.length, partitions), (hash & 0x7fff_ffff) % partitions);
    }
  }
  fc.assert(
    fc.property(fc.uint8Array(), fc.integer({ min: 1, max: 10_000 }), (key, partitions) => {
      const partition = partitionOfKey(key, 0, key.length, partitions);
      assert.ok(Number.isInteger(partition) && partition >= 0 && partition < partitions);
    }),
  );
});
