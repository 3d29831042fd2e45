// HPACK's encoder (RFC 7541), as small as a server of short, constant answers can have it: nothing is inserted into the
// client's table and nothing is Huffman-coded, so a block means the same on every connection and at any time, and can be made
// once and sent forever. What is in the static table is named by its index.

import { isFieldName, isFieldValue } from "../field.ts";
import { pushInteger } from "./integer.ts";
import { staticIndex, staticNameIndex } from "./static-table.ts";

const INDEXED = 0x80;
const NOT_INSERTED = 0x00;

/**
 * A header block.
 *
 * @param fields pseudo-header fields first; names in lower case, values of one byte a character.
 * @throws {TypeError} a name or a value is none that HTTP/2 can carry.
 */
export function encodeHeaders(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  const bytes: number[] = [];
  for (const [name, value] of fields) {
    if (!isFieldName(name.startsWith(":") ? name.slice(1) : name)) {
      throw new TypeError(`${JSON.stringify(name)} is no name of a header field`);
    }
    // Cut to bytes, a character like U+010A would be a line feed.
    if (!isFieldValue(value)) throw new TypeError(`the value of header field "${name}" cannot be sent`);
    const index = staticIndex(name, value);
    if (index !== 0) {
      pushInteger(bytes, INDEXED, 0x7f, index);
      continue;
    }
    const nameIndex = staticNameIndex(name);
    pushInteger(bytes, NOT_INSERTED, 0x0f, nameIndex);
    if (nameIndex === 0) pushText(bytes, name);
    pushText(bytes, value);
  }
  return Buffer.from(bytes);
}

function pushText(bytes: number[], text: string): void {
  pushInteger(bytes, 0, 0x7f, text.length);
  for (let i = 0; i < text.length; i++) bytes.push(text.charCodeAt(i));
}
