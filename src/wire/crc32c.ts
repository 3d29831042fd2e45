// CRC-32C (Castagnoli), the checksum of Kafka's record batches and of the spool.
//
// The native one runs at 26 GB/s with the processor's multiplication without carry; a table in JavaScript reaches about 0.4 GB/s
// and would be the largest single cost of a record batch. Not each version of the package does: `node bench/micro/checksum.ts`.

import { crc32c as native } from "@node-rs/crc32";

/**
 * @param seed the checksum of the bytes before these, to go on from; 0 to begin.
 * @returns an unsigned 32-bit integer.
 */
export function crc32c(bytes: Buffer, seed = 0): number {
  return native(bytes, seed);
}
