// CRC-32C (Castagnoli), the checksum of Kafka's record batches and of the spool.
//
// It is most of what a record batch costs after its bytes were copied, so it is the fastest that is well kept: this one folds
// with wide multiplications without carry (20 GB/s and more), where the processor's CRC instruction alone reaches 6 in
// `@node-rs/crc32` and a table in JavaScript 0.4. Why a package of that size for it: docs/adr/0009-dependencies.md.
//
// Only the file with the checksums is loaded, not the package's main one, which loads clients of HTTP and MQTT.

import { crc32c as native } from "aws-crt/dist/native/checksums.js";

/**
 * @param seed the checksum of the bytes before these, to go on from; 0 to begin.
 * @returns an unsigned 32-bit integer.
 */
export function crc32c(bytes: Buffer, seed = 0): number {
  return native(bytes, seed) >>> 0;
}
