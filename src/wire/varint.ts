// Variable-length integers as protobuf and Kafka write them: seven bits a byte, the lowest first, the high bit says "more".
//
//   varint  := { 1xxxxxxx } 0xxxxxxx
//   zigzag  := (n << 1) ^ (n >> 31), so that small negative numbers stay short
//
// Free functions over numbers, because they run several times an event. Doubles hold every integer up to 2^53, which covers
// timestamps in milliseconds; nothing here needs BigInt.

/** Of what is closer to 0 the zigzag is an int32, with which a processor is several times as fast as with a double. */
const ZIGZAG_SHORT = 0x4000_0000;

/** Bytes of an unsigned varint below 2^32. */
export function sizeOfVarint(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5;
}

/** Writes an unsigned varint below 2^32 and returns the position behind it. */
export function writeVarint(out: Uint8Array, position: number, value: number): number {
  // One or two bytes are nearly all there are, and a loop asks at each turn whether it was interrupted.
  if (value < 0x80) {
    out[position] = value;
    return position + 1;
  }
  if (value < 0x4000) {
    out[position] = (value & 0x7f) | 0x80;
    out[position + 1] = value >> 7;
    return position + 2;
  }
  while (value > 0x7f) {
    out[position++] = (value & 0x7f) | 0x80;
    value >>>= 7;
  }
  out[position++] = value;
  return position;
}

/** Zigzag of a 32-bit integer, as an unsigned one. */
export function zigzag32(value: number): number {
  return ((value << 1) ^ (value >> 31)) >>> 0;
}

/** Bytes of the zigzag varint of an integer between -2^52 and 2^52. */
export function sizeOfZigzag(value: number): number {
  return value < ZIGZAG_SHORT && value >= -ZIGZAG_SHORT
    ? sizeOfVarint(zigzag32(value))
    : sizeOfVarint53(zigzag53(value));
}

/** Writes the zigzag varint of an integer between -2^52 and 2^52 and returns the position behind it. */
export function writeZigzag(out: Uint8Array, position: number, value: number): number {
  return value < ZIGZAG_SHORT && value >= -ZIGZAG_SHORT
    ? writeVarint(out, position, zigzag32(value))
    : writeVarint53(out, position, zigzag53(value));
}

/** Zigzag of an integer between -2^52 and 2^52, as a double. */
export function zigzag53(value: number): number {
  return value >= 0 ? value * 2 : -value * 2 - 1;
}

/** Bytes of an unsigned varint below 2^53. */
export function sizeOfVarint53(value: number): number {
  let size = 1;
  while (value >= 0x1000_0000) {
    value = Math.floor(value / 0x1000_0000);
    size += 4;
  }
  return size - 1 + sizeOfVarint(value);
}

/** Writes an unsigned varint below 2^53 and returns the position behind it. */
export function writeVarint53(out: Uint8Array, position: number, value: number): number {
  while (value > 0x7fff_ffff) {
    out[position++] = (value % 0x80) | 0x80;
    value = Math.floor(value / 0x80);
  }
  return writeVarint(out, position, value);
}

/** Bytes of an unsigned 64-bit varint; a bigint where the value is beyond 2^53. */
export function sizeOfVarint64(value: number | bigint): number {
  if (typeof value === "number") return sizeOfVarint53(value);
  let size = 1;
  for (let rest = value >> 7n; rest > 0n; rest >>= 7n) size++;
  return size;
}

/** Writes an unsigned 64-bit varint and returns the position behind it. */
export function writeVarint64(out: Uint8Array, position: number, value: number | bigint): number {
  if (typeof value === "number") return writeVarint53(out, position, value);
  while (value > 0x7fn) {
    out[position++] = Number(value & 0x7fn) | 0x80;
    value >>= 7n;
  }
  out[position++] = Number(value);
  return position;
}
