import assert from "node:assert/strict";
import test from "node:test";
import { BufferPool } from "../../src/ingest/buffer-pool.ts";

test("a buffer that was given back is taken again", () => {
  const pool = new BufferPool(1 << 20);
  const buffer = pool.take(5_000);
  assert.equal(buffer.length, 16 << 10);
  pool.give(buffer);
  assert.equal(pool.take(16 << 10), buffer);
  assert.notEqual(pool.take(16 << 10), buffer);
});

test("a buffer is at least as large as it was asked for, and small ones are small", () => {
  const pool = new BufferPool(0);
  for (const bytes of [1, 4 << 10, (4 << 10) + 1, 256 << 10, 1 << 20, (1 << 20) + 1, 3_000_000]) {
    const { length } = pool.take(bytes);
    assert.ok(length >= bytes && length <= Math.max(4 << 10, bytes * 4));
  }
});

test("what is kept is bounded, and large buffers are not kept at all", () => {
  const pool = new BufferPool(40 << 10);
  const buffers = Array.from({ length: 4 }, () => pool.take(16 << 10));
  for (const buffer of buffers) pool.give(buffer);
  const again = Array.from({ length: 4 }, () => pool.take(16 << 10));
  assert.equal(again.filter((buffer) => buffers.includes(buffer)).length, 2);
  const large = pool.take(2 << 20);
  pool.give(large);
  assert.notEqual(pool.take(2 << 20), large);
});

test("lent buffers are counted", () => {
  const pool = new BufferPool(1 << 20);
  const buffers = [1, 10_000, 2 << 20].map((bytes) => pool.take(bytes));
  assert.equal(pool.lentBuffers, 3);
  for (const buffer of buffers) pool.give(buffer);
  assert.equal(pool.lentBuffers, 0);
});
