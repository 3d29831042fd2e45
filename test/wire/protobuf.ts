// Protobuf by hand, for messages that no encoder writes.

/** Bytes of a varint; `pad` makes it so many bytes longer than it needs to be. */
export function varint(value: number | bigint, pad = 0): number[] {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  bytes.push(Number(rest));
  for (let i = 0; i < pad; i++) {
    bytes[bytes.length - 1]! |= 0x80;
    bytes.push(0);
  }
  return bytes;
}

export function tag(field: number, wire: number): number[] {
  return varint(field * 8 + wire);
}

export type Part = string | readonly number[] | Uint8Array;

export function concat(...parts: readonly Part[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : Uint8Array.from(part))));
}

/** A length-delimited field. */
export function field(number: number, ...content: readonly Part[]): Buffer {
  const bytes = concat(...content);
  return concat(tag(number, 2), varint(bytes.length), bytes);
}

export function varintField(number: number, value: number | bigint): Buffer {
  return concat(tag(number, 0), varint(value));
}
