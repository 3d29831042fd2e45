// How fast record batches are checked: `node bench/micro/checksum.ts`. Bytes per nanosecond of CPU (GB/s), and the ratio to zlib's
// crc32 of Node.js: another polynomial, but as much work.
//
// To be run before another version of `@node-rs/crc32` is taken: see docs/adr/0009-dependencies.md.

import { crc32 } from "node:zlib";
import { crc32c } from "../../src/wire/crc32c.ts";
import { median } from "../statistics.ts";

const ROUNDS = 9;
const BYTES_PER_ROUND = 64 << 20;
/** A record of a spool, an unary call's record batch, a full one. */
const SIZES = [200, 8_000, 512 << 10];

const bytes = Buffer.alloc(512 << 10, "sluice");

function measure(checksum: (bytes: Buffer) => number, size: number): number {
  const view = bytes.subarray(0, size);
  const before = process.cpuUsage();
  for (let done = 0; done < BYTES_PER_ROUND; done += size) checksum(view);
  const { user, system } = process.cpuUsage(before);
  return BYTES_PER_ROUND / ((user + system) * 1_000);
}

for (const size of SIZES) {
  const ours: number[] = [];
  const zlib: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    ours.push(measure(crc32c, size));
    zlib.push(measure(crc32, size));
  }
  const ratio = median(ours) / median(zlib);
  console.log(
    `${size.toLocaleString("en-US")} bytes: ${median(ours).toFixed(1)} GB/s, zlib's crc32 ${median(zlib).toFixed(1)}, ${ratio.toFixed(2)}x`,
  );
}
