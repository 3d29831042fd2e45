// Murmur2 with the seed of Kafka's Java client, by which equal keys find the same partition from every client.
//
// All arithmetic is in int32 (Math.imul): libraries that use BigInt or slices here take quadratic time for long keys.

const SEED = 0x9747_b28c;
const M = 0x5bd1_e995;

/** The hash of bytes[start, start + length), as a signed 32-bit integer. */
export function murmur2(bytes: Uint8Array, start: number, length: number): number {
  let hash = SEED ^ length;
  let at = start;
  const end = start + (length & ~3);
  while (at < end) {
    let k = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    k = Math.imul(k, M);
    k ^= k >>> 24;
    hash = Math.imul(hash, M) ^ Math.imul(k, M);
    at += 4;
  }
  const rest = length & 3;
  if (rest > 0) {
    if (rest === 3) hash ^= bytes[at + 2]! << 16;
    if (rest >= 2) hash ^= bytes[at + 1]! << 8;
    hash ^= bytes[at]!;
    hash = Math.imul(hash, M);
  }
  hash ^= hash >>> 13;
  hash = Math.imul(hash, M);
  return hash ^ (hash >>> 15);
}

/** The partition that the Java client's default partitioner gives a key. */
export function partitionOfKey(bytes: Uint8Array, start: number, length: number, partitions: number): number {
  return (murmur2(bytes, start, length) & 0x7fff_ffff) % partitions;
}
