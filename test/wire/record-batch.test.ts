import assert from "node:assert/strict";
import test from "node:test";
import { crc32c as platformaticCrc32c } from "@platformatic/kafka";
import fc from "fast-check";
import { crc32c } from "../../src/wire/crc32c.ts";
import { encodeRecordBatch } from "../../src/wire/encode-records.ts";
import {
  decodeRecords,
  hasValidCrc,
  readBatchHeader,
  RECORD_BATCH_HEADER_BYTES,
  sliceRecordBatch,
  stampCrc,
  stampProducer,
} from "../../src/wire/record-batch.ts";
import { decode, decodeByKafkajs, decodeByPlatformatic, grouped, recordOf, transcode } from "./records.ts";
import { encodeRequest, legalEvents } from "./requests.ts";

const NOW_MS = 1_700_000_000_123;
const CRC_OFFSET = 17;

const batchOf = (values: readonly string[]): Buffer =>
  transcode(encodeRequest({ topic: "t", events: values.map((value) => ({ value: Buffer.from(value) })) }), NOW_MS);

test("the checksum is CRC-32C, and can be taken in parts", () => {
  // From RFC 3720, appendix B.4.
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a91_36aa);
  assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8_ab43);
  assert.equal(crc32c(Buffer.from("123456789")), 0xe306_9283);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (array, cut) => {
      const bytes = Buffer.from(array);
      assert.equal(crc32c(bytes), platformaticCrc32c(bytes));
      assert.equal(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut))), crc32c(bytes));
    }),
  );
});

test("a batch is stamped for a producer, and again for another", () => {
  const batch = batchOf(["a", "b"]);
  const records = decode(batch);
  const unstamped = { producerId: -1n, producerEpoch: -1, baseSequence: -1 };
  const header = {
    baseOffset: 0,
    length: batch.length,
    count: 2,
    attributes: 0,
    baseTimestamp: NOW_MS,
    maxTimestamp: NOW_MS,
  };
  assert.deepEqual(readBatchHeader(batch), { ...header, ...unstamped });
  for (const [producerId, producerEpoch, baseSequence] of [
    [7n, 1, 0],
    [2n ** 63n - 1n, 32_767, 2 ** 31 - 1],
  ] as const) {
    stampProducer(batch, producerId, producerEpoch, baseSequence);
    assert.ok(hasValidCrc(batch));
    assert.deepEqual(readBatchHeader(batch), { ...header, producerId, producerEpoch, baseSequence });
    assert.deepEqual(decode(batch), records);
  }
});

test("a flipped bit, a missing byte and a surplus byte are seen by the checksum's check", () => {
  const batch = batchOf(["a", "bc"]);
  for (let at = 0; at < batch.length; at++) {
    // baseOffset and the leader's epoch belong to the broker, and lie outside of the checksum.
    if (at < 8 || (at >= 12 && at < CRC_OFFSET)) continue;
    const broken = Buffer.from(batch);
    broken[at]! ^= 0x10;
    assert.equal(hasValidCrc(broken), false, `byte ${at}`);
  }
  for (let length = 0; length < batch.length; length++) assert.equal(hasValidCrc(batch.subarray(0, length)), false);
  assert.equal(hasValidCrc(Buffer.concat([batch, Buffer.alloc(1)])), false);
});

test("every slice of a batch is a batch of those records", async () => {
  const events = fc.array(legalEvents, { minLength: 1, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(events, fc.nat(), fc.nat(), async (events, from, some) => {
      const first = from % events.length;
      const end = first + 1 + (some % (events.length - first));
      const batch = transcode(encodeRequest({ topic: "t", events }), NOW_MS);
      stampProducer(batch, 7n, 1, 100);
      const untouched = Buffer.from(batch);
      const slice = sliceRecordBatch(batch, first, end);
      const expected = events.slice(first, end).map((event) => recordOf(event, NOW_MS));
      assert.deepEqual(decode(slice), expected);
      assert.deepEqual(batch, untouched);
      const header = readBatchHeader(slice);
      assert.equal(header.count, end - first);
      assert.equal(header.maxTimestamp, Math.max(...expected.map(({ timestamp }) => timestamp)));
      assert.equal(header.producerId, -1n);
      stampCrc(slice);
      assert.ok(hasValidCrc(slice));
      assert.deepEqual(decodeByPlatformatic(slice), expected);
      assert.deepEqual(await decodeByKafkajs(slice), grouped(expected));
    }),
    { numRuns: 200 },
  );
});

test("a batch of 2,000 records can be split one by one", () => {
  const values = Array.from({ length: 2_000 }, (_, i) => String(i));
  const batch = batchOf(values);
  const split = values.map((_, i) => decode(sliceRecordBatch(batch, i, i + 1))[0]!.value!.toString());
  assert.deepEqual(split, values);
});

test("a slice of records that are not there is refused", () => {
  const batch = batchOf(["a", "b"]);
  for (const [first, end] of [
    [0, 0],
    [1, 1],
    [1, 0],
    [-1, 1],
    [0, 3],
    [2, 3],
  ] as const) {
    assert.throws(() => sliceRecordBatch(batch, first, end), RangeError, `${first} to ${end}`);
  }
});

test("decoded records can be encoded again", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(legalEvents, { minLength: 1, maxLength: 12 }), async (events) => {
      const batch = transcode(encodeRequest({ topic: "t", events }), NOW_MS);
      // The same records have only one encoding.
      assert.deepEqual(encodeRecordBatch([...decodeRecords(batch)]), batch);
    }),
    { numRuns: 200 },
  );
  const nullHeader = [{ timestamp: 1, key: null, value: null, headers: [{ key: "h", value: null }] }];
  assert.deepEqual(decodeByPlatformatic(encodeRecordBatch(nullHeader))[0]!.headers, [["h", null]]);
});

test("bytes that are no batch are told, not read", () => {
  const batch = batchOf(["a", "bc"]);
  const read = (bytes: Buffer): unknown => [...decodeRecords(bytes)];
  for (let length = 0; length < batch.length; length++)
    assert.throws(() => read(batch.subarray(0, length)), RangeError);
  const change = (at: number, value: number): Buffer => {
    const changed = Buffer.from(batch);
    changed[at] = value;
    return changed;
  };
  assert.throws(() => read(change(16, 1)), /magic is 1, not 2/);
  assert.throws(() => read(change(22, 1)), /compressed batches are not decoded/);
  assert.throws(() => sliceRecordBatch(change(22, 1), 0, 1), /compressed batches are not decoded/);
  assert.throws(() => read(change(60, 3)), RangeError, "more records than there are");
  assert.throws(() => read(change(60, 1)), /a length is wrong/, "fewer records than there are");
  const firstRecord = RECORD_BATCH_HEADER_BYTES;
  assert.throws(() => read(change(firstRecord, 2)), RangeError, "a record shorter than its fields");
  assert.throws(() => sliceRecordBatch(change(firstRecord, 2), 0, 1), RangeError);
});

test("random damage never makes the decoder do anything but throw RangeError", () => {
  const events = [{ key: Buffer.from("k"), headers: [["h", Buffer.from("v")] as const] }, { value: Buffer.from("v") }];
  const batch = transcode(encodeRequest({ topic: "t", events }), NOW_MS);
  const damage = fc.array(fc.tuple(fc.nat(batch.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(damage, (changes) => {
      const damaged = Buffer.from(batch);
      for (const [at, value] of changes) damaged[at] = value;
      for (const read of [() => [...decodeRecords(damaged)], () => sliceRecordBatch(damaged, 0, 2)]) {
        try {
          read();
        } catch (thrown) {
          assert.ok(thrown instanceof RangeError, String(thrown));
        }
      }
    }),
    { numRuns: 5_000 },
  );
});
