// HPACK (RFC 7541) as clients of the tests write it, right or wrong: every representation, chosen by hand.

export type Field = readonly [name: string, value: string];

/** An integer with a prefix of so many bits (RFC 7541, section 5.1). @param high the bits in front of the prefix. */
export function integer(value: number, prefixBits: number, high = 0): Buffer {
  const max = (1 << prefixBits) - 1;
  if (value < max) return Buffer.from([high | value]);
  const bytes = [high | max];
  let rest = value - max;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}

export function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  return Buffer.concat([integer(bytes.length, 7), bytes]);
}

/** An entry of the static table (1 to 61) or the dynamic one (from 62). */
export const indexed = (index: number): Buffer => integer(index, 7, 0x80);

export const literal = (name: string, value: string): Buffer =>
  Buffer.concat([Buffer.from([0]), text(name), text(value)]);

export const neverIndexed = (name: string, value: string): Buffer =>
  Buffer.concat([Buffer.from([0x10]), text(name), text(value)]);

/** Becomes the newest entry of the dynamic table. */
export const indexing = (name: string, value: string): Buffer =>
  Buffer.concat([Buffer.from([0x40]), text(name), text(value)]);

export const tableSize = (bytes: number): Buffer => integer(bytes, 5, 0x20);

export const literals = (fields: readonly Field[]): Buffer =>
  Buffer.concat(fields.map(([name, value]) => literal(name, value)));
