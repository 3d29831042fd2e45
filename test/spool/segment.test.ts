import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { Reason } from "../../src/errors.ts";
import { decodeCheckpoint, encodeCheckpoint } from "../../src/spool/checkpoint.ts";
import {
  decodeBatch,
  decodeDeadLettered,
  decodeDropped,
  decodeForwarded,
  decodeStamped,
  encodeBatchHead,
  encodeDeadLettered,
  encodeDropped,
  encodeForwarded,
  encodeStamped,
} from "../../src/spool/entries.ts";
import { decodeLetter, encodeLetterHead } from "../../src/spool/letter.ts";
import {
  decodeEntry,
  decodeSegmentHeader,
  encodeSegmentHeader,
  ENTRY_HEADER_BYTES,
  entrySizeAt,
  markOf,
  readU64,
  sealEntry,
  segmentIdOf,
  segmentName,
  UnsupportedVersion,
  writeU64,
} from "../../src/spool/segment.ts";
import { SegmentState } from "../../src/spool/segment-state.ts";
import { crc32c } from "../../src/wire/crc32c.ts";

const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record<T>(model, { noNullPrototype: true });
const u64 = fc.maxSafeNat();
const u32 = fc.nat(0xffff_ffff);
const i32 = fc.integer();
const bytes = (maxLength = 300) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
const id16 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((array) => Buffer.from(array));
const topic = fc.stringMatching(/^[a-zA-Z0-9._-]{1,249}$/);
const payloadOf = (head: Buffer, body = Buffer.alloc(0)) => Buffer.concat([head.subarray(ENTRY_HEADER_BYTES), body]);

test("a 64-bit number is read back as it was written", () => {
  fc.assert(
    fc.property(u64, (value) => {
      const out = Buffer.alloc(8);
      writeU64(out, value, 0);
      assert.equal(readU64(out, 0), value);
      assert.equal(out.readBigUInt64BE(), BigInt(value));
    }),
  );
});

test("a segment header is read back as it was written, and one that was changed or cut is none", () => {
  const header = record({
    kind: fc.constantFrom(1, 2),
    segmentId: u64,
    spoolId: id16,
    createdAtMs: u64,
    syncedThrough: u64,
  });
  fc.assert(
    fc.property(header, fc.nat(63), fc.integer({ min: 1, max: 255 }), (given, at, flip) => {
      const encoded = encodeSegmentHeader(given);
      assert.equal(encoded.length, 64);
      assert.deepEqual(decodeSegmentHeader(encoded), given);
      assert.equal(decodeSegmentHeader(encoded.subarray(0, at)), undefined);
      encoded[at]! ^= flip;
      assert.equal(decodeSegmentHeader(encoded), undefined);
    }),
  );
});

test("a header of a newer version is told apart from damage", () => {
  const encoded = encodeSegmentHeader({
    kind: 1,
    segmentId: 1,
    spoolId: Buffer.alloc(16),
    createdAtMs: 0,
    syncedThrough: 0,
  });
  encoded.writeUInt16BE(2, 8);
  encoded.writeUInt32BE(crc32c(encoded.subarray(0, 60)), 60);
  assert.throws(() => decodeSegmentHeader(encoded), UnsupportedVersion);
});

test("an entry is read back as it was sealed, whether its payload lies in one buffer or two; any changed bit is noticed", () => {
  fc.assert(
    fc.property(
      bytes(),
      bytes(),
      u64,
      fc.nat(255),
      fc.boolean(),
      id16,
      fc.nat(),
      (a, b, sequence, type, first, id, bit) => {
        const mark = markOf(id);
        const head = Buffer.concat([Buffer.alloc(ENTRY_HEADER_BYTES, 0xee), a]);
        sealEntry(head, b, sequence, type, first, mark);
        const whole = Buffer.concat([Buffer.alloc(ENTRY_HEADER_BYTES), a, b]);
        sealEntry(whole, undefined, sequence, type, first, mark);
        const disk = Buffer.concat([head, b]);
        assert.deepEqual(disk, whole);
        assert.equal(entrySizeAt(disk, 0, mark), disk.length);
        const entry = decodeEntry(disk, 0, disk.length, 64);
        const payload = Buffer.concat([a, b]);
        assert.deepEqual(entry, { sequence, type, firstOfGroup: first, position: 64, bytes: disk.length, payload });
        const at = bit % (disk.length * 8);
        disk[at >>> 3]! ^= 1 << (at & 7);
        const size = entrySizeAt(disk, 0, mark);
        assert.ok(size === 0 || size !== whole.length || decodeEntry(disk, 0, size, 64) === undefined);
      },
    ),
  );
});

test("the payloads of all entries are read back as they were written", () => {
  fc.assert(
    fc.property(u64, topic, i32, u32, bytes(), (persistedAtMs, name, partition, count, body) => {
      const head = encodeBatchHead(persistedAtMs, Buffer.from(name), partition, count);
      assert.deepEqual(decodeBatch(payloadOf(head, body)), {
        persistedAtMs,
        topic: name,
        partition,
        count,
        bytes: body,
      });
    }),
  );
  fc.assert(
    fc.property(fc.array(u64, { minLength: 1, maxLength: 50 }), (batches) => {
      assert.deepEqual(decodeForwarded(payloadOf(encodeForwarded(batches))), batches);
      assert.deepEqual(decodeDropped(payloadOf(encodeDropped(batches))), batches);
    }),
  );
  fc.assert(
    fc.property(u64, u32, (batch, events) => {
      assert.deepEqual(decodeDeadLettered(payloadOf(encodeDeadLettered({ batch, events }))), { batch, events });
    }),
  );
  const stamp = record({
    batch: u64,
    partition: i32,
    partitions: u32,
    producerId: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
    producerEpoch: fc.integer({ min: -32768, max: 32767 }),
    baseSequence: i32,
  });
  fc.assert(
    fc.property(stamp, (given) => {
      assert.deepEqual(decodeStamped(payloadOf(encodeStamped(given))), given);
    }),
  );
  const letter = record({
    atMs: u64,
    persistedAtMs: u64,
    spoolId: id16,
    batch: u64,
    topic,
    partition: i32,
    ranges: fc.array(record({ first: fc.nat(0xffff_fffe), count: fc.nat(1000) }), { minLength: 1, maxLength: 20 }),
    count: u32,
    reason: fc.constantFrom(...Object.values(Reason)),
    message: fc.string({ unit: "grapheme", maxLength: 200 }),
    bytes: bytes(),
  });
  fc.assert(
    fc.property(letter, (random) => {
      const given = { ...random, events: random.ranges.reduce((sum, { count }) => sum + count, 0) };
      assert.deepEqual(decodeLetter(payloadOf(encodeLetterHead(given), given.bytes)), given);
    }),
  );
});

test("a checkpoint is read back as it was written, and one that was changed or cut is none", () => {
  const segment = record({ id: u32, first: u32, entries: fc.nat(200), done: fc.array(fc.nat(199)) });
  fc.assert(
    fc.property(
      id16,
      u64,
      u64,
      fc.array(segment),
      fc.nat(),
      fc.nat(),
      (spoolId, through, nextSegmentId, list, cut, flip) => {
        const segments = list.map(({ id, first, entries, done }) => {
          const state = new SegmentState("/dir", id, first, 0);
          state.entries = entries;
          for (const bit of done) if (bit < entries) state.setDone(first + bit);
          return state;
        });
        const stamps = segments.map(({ id }) => ({
          batch: id,
          partition: 3,
          partitions: 0,
          producerId: 77n,
          producerEpoch: 1,
          baseSequence: 5,
        }));
        const encoded = encodeCheckpoint({ spoolId, through, lowWater: through, nextSegmentId, segments, stamps });
        const decoded = decodeCheckpoint("/dir", encoded);
        assert.ok(decoded);
        assert.deepEqual(
          { ...decoded, segments: [] },
          { spoolId, through, lowWater: through, nextSegmentId, segments: [], stamps },
        );
        const described = (states: readonly SegmentState[]) =>
          states.map(({ id, firstSequence, entries, doneBits }) => ({ id, firstSequence, entries, doneBits }));
        assert.deepEqual(described(decoded.segments), described(segments));
        assert.equal(decodeCheckpoint("/dir", encoded.subarray(0, cut % encoded.length)), undefined);
        encoded[flip % encoded.length]! ^= 1;
        assert.equal(decodeCheckpoint("/dir", encoded), undefined);
      },
    ),
  );
});

test("the names of segments sort like their ids, and other names are none", () => {
  assert.equal(segmentName(7), "0000000007.segment");
  assert.equal(segmentIdOf("0000000007.segment"), 7);
  assert.ok(segmentName(9) < segmentName(10));
  for (const name of ["checkpoint", "7.segment", "0000000007.segment.tmp", "lock"])
    assert.equal(segmentIdOf(name), undefined);
});
