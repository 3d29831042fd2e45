import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import type { File } from "../../src/spool/file-system.ts";
import { type Damage, SegmentScanner } from "../../src/spool/scanner.ts";
import { type Entry, ENTRY_HEADER_BYTES, sealEntry, SEGMENT_HEADER_BYTES } from "../../src/spool/segment.ts";

const MARK = 0x12345678;

function entryOf(sequence: number, size: number): Buffer {
  const bytes = Buffer.alloc(ENTRY_HEADER_BYTES + size, sequence & 0xff);
  sealEntry(bytes, undefined, sequence, 1, false, MARK);
  return bytes;
}

/** A file in memory that gives at most so many bytes for one read. */
function fileOf(bytes: Buffer, readMax = Infinity): File {
  const nothing = async () => {};
  return {
    read: async (buffer, position) => bytes.copy(buffer, 0, position, Math.min(bytes.length, position + readMax)),
    write: nothing,
    truncate: nothing,
    sync: nothing,
    size: async () => bytes.length,
    close: nothing,
  };
}

async function scan(scanner: SegmentScanner): Promise<{ entries: number[]; damages: Damage[] }> {
  const entries: number[] = [];
  const damages: Damage[] = [];
  do {
    for (let found: Entry | Damage | undefined = scanner.take(); found !== undefined; found = scanner.take()) {
      if ("from" in found) damages.push(found);
      else entries.push(found.sequence);
    }
  } while (await scanner.load());
  return { entries, damages };
}

test("entries of any size are found, also those larger than what is read at once", async () => {
  const sizes = [0, 1, 3_000_000, 500, 1_048_576, 1_048_500, 24, 700_000, 700_000, 0];
  const bytes = Buffer.concat([Buffer.alloc(SEGMENT_HEADER_BYTES), ...sizes.map((size, i) => entryOf(i + 1, size))]);
  const scanner = new SegmentScanner(fileOf(bytes), SEGMENT_HEADER_BYTES, bytes.length, MARK, 0);
  assert.deepEqual(await scan(scanner), { entries: sizes.map((_, i) => i + 1), damages: [] });
  assert.equal(scanner.goodEnd, bytes.length);
});

test("whatever lies between valid entries is reported as one range, and what lies behind the last is left", async () => {
  const garbage = fc.oneof(
    fc.uint8Array({ maxLength: 80 }).map((array) => Buffer.from(array)),
    fc.constant(entryOf(1, 20).subarray(5)),
    fc.constant(entryOf(1, 20)),
    fc.constant(Buffer.from("12345678".repeat(9), "hex")),
  );
  const piece = fc.record({ size: fc.nat(100), garbage: fc.option(garbage, { nil: Buffer.alloc(0) }) });
  await fc.assert(
    fc.asyncProperty(fc.array(piece), garbage, fc.integer({ min: 1, max: 200 }), async (pieces, tail, readMax) => {
      const chunks: Buffer[] = [Buffer.alloc(SEGMENT_HEADER_BYTES)];
      const damages: Damage[] = [];
      let at = SEGMENT_HEADER_BYTES;
      pieces.forEach((each, i) => {
        const entry = entryOf(i + 10, each.size);
        if (each.garbage.length > 0) damages.push({ from: at, to: at + each.garbage.length });
        chunks.push(each.garbage, entry);
        at += each.garbage.length + entry.length;
      });
      const bytes = Buffer.concat([...chunks, tail]);
      const scanner = new SegmentScanner(fileOf(bytes, readMax), SEGMENT_HEADER_BYTES, bytes.length, MARK, 9);
      assert.deepEqual(await scan(scanner), { entries: pieces.map((_, i) => i + 10), damages });
      assert.equal(scanner.goodEnd, at);
    }),
  );
});

test("an entry with a number that was passed already is none", async () => {
  const bytes = Buffer.concat([entryOf(5, 10), entryOf(5, 10), entryOf(4, 10), entryOf(6, 10)]);
  const { entries, damages } = await scan(new SegmentScanner(fileOf(bytes), 0, bytes.length, MARK, 4));
  assert.deepEqual(entries, [5, 6]);
  assert.deepEqual(damages, [{ from: 34, to: 102 }]);
});
